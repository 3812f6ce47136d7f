/* Accesses that were seen to conflict: from then on each is a schedule point. */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

u32 nr_promoted, learnt;
u64 promoted_filter[128];
static u32 *table;                      /* open addressing; 0: empty */
static u32 room, used;                  /* a power of two; at most half of it */

static inline u32 slot_of(u64 pc)
{
    return (u32)(pc * 0x9E3779B97F4A7C15ull >> 32) & (room - 1);
}

bool promoted(u64 pc)
{
    if (!room)
        return false;
    for (u32 i = slot_of(pc); table[i]; i = (i + 1) & (room - 1))
        if (table[i] == (u32)pc)
            return true;
    return false;
}

static void insert(u32 pc)
{
    u32 i = slot_of(pc);

    while (table[i])
        i = (i + 1) & (room - 1);
    table[i] = pc;
}

static void grow(void)
{
    u32 *old = table, before = room;

    room = room ? 2 * room : 1024;
    table = calloc(room, sizeof(u32));
    if (!table)
        abort();
    for (u32 i = 0; i < before; i++)
        if (old[i])
            insert(old[i]);
    free(old);
}

/* True when it is new. Where each access is a point, none need be made one. */
bool promote(u64 pc)
{
    if (config.every_access || promoted(pc))
        return false;
    if (2 * used >= room)
        grow();
    insert((u32)pc);
    used++;
    promoted_filter[promoted_bit(pc) >> 6] |= 1ull << (promoted_bit(pc) & 63);
    nr_promoted++;
    learnt++;
    return true;
}

void promote_reset(void)
{
    free(table);
    table = NULL;
    room = used = 0;
    memset(promoted_filter, 0, sizeof(promoted_filter));
    nr_promoted = learnt = 0;
}
