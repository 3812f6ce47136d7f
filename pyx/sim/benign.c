/* Races that are known and harmless: program counters that the subject marked with data_race(),
 * each for a reason that is listed. They are counted, never silent. */
#include "sim.h"

#include <stdlib.h>

struct benign *benigns;
u32 nr_benign;
static u32 max_benign;

void benign_add(u64 pc, u32 reason)
{
    for (u32 i = 0; i < nr_benign; i++)
        if (benigns[i].pc == pc)
            return;
    if (nr_benign == max_benign) {
        max_benign = max_benign ? 2 * max_benign : 64;
        benigns = realloc(benigns, max_benign * sizeof(*benigns));
        if (!benigns)
            abort();
    }
    benigns[nr_benign++] = (struct benign){ .pc = pc, .reason = reason };
}

void benign_reset(void)
{
    nr_benign = 0;
}

/* A race of these two is meant: which mark says so. Who asks counts it. */
struct benign *benign(u64 pc_a, u64 pc_b)
{
    for (u32 i = 0; i < nr_benign; i++) {
        struct benign *b = &benigns[i];

        if (b->pc != pc_a && b->pc != pc_b)
            continue;
        b->other_pc = b->pc == pc_a ? pc_b : pc_a;
        return b;
    }
    return NULL;
}
