/* Races that are known and harmless: program counters that the subject marked with data_race(),
 * each for a reason that is listed. They are counted, never silent. */
#include "sim.h"

enum { MAX_BENIGN = 256 };

struct benign benigns[MAX_BENIGN];
u32 nr_benign;

void benign_add(u64 pc, u32 reason)
{
    for (u32 i = 0; i < nr_benign; i++)
        if (benigns[i].pc == pc)
            return;
    if (nr_benign < MAX_BENIGN)
        benigns[nr_benign++] = (struct benign){ .pc = pc, .reason = reason };
}

void benign_reset(void)
{
    nr_benign = 0;
}

bool benign(u64 pc_a, u64 pc_b)
{
    for (u32 i = 0; i < nr_benign; i++) {
        struct benign *b = &benigns[i];

        if (b->pc != pc_a && b->pc != pc_b)
            continue;
        b->seen++;
        b->other_pc = b->pc == pc_a ? pc_b : pc_a;
        return true;
    }
    return false;
}
