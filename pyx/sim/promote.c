/* Accesses that were seen to conflict: from then on each is a schedule point. */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

enum { ROOM = 8192 };

u8 promoted_filter[8192];
static u32 table[ROOM];                 /* open addressing; 0: empty */

static inline u32 slot_of(u64 pc)
{
    return (u32)(pc * 0x9E3779B97F4A7C15ull >> 51);
}

bool promoted(u64 pc)
{
    for (u32 i = slot_of(pc); table[i]; i = (i + 1) & (ROOM - 1))
        if (table[i] == (u32)pc)
            return true;
    return false;
}

/* True when it is new. */
bool promote(u64 pc)
{
    u32 i = slot_of(pc);

    if (sim.every_access)               /* it is one already, and no search need begin anew */
        return false;
    for (; table[i]; i = (i + 1) & (ROOM - 1))
        if (table[i] == (u32)pc)
            return false;
    if (sim.nr_promoted > ROOM / 2)
        return false;
    table[i] = (u32)pc;
    promoted_filter[(pc ^ pc >> 13) & 8191] = 1;
    sim.nr_promoted++;
    return true;
}

void promote_reset(void)
{
    memset(table, 0, sizeof(table));
    memset(promoted_filter, 0, sizeof(promoted_filter));
    sim.nr_promoted = 0;
}
