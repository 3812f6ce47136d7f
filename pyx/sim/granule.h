/* Eight aligned bytes, and how accesses have divided them: two bytes that were always touched
 * together are one segment, whatever the order and the sizes of the accesses; others never are. */
#ifndef Z3F_GRANULE_H
#define Z3F_GRANULE_H

#include "sim.h"

enum { UNDIVIDED = 0x101 };

extern u16 *granule;                    /* bit i: a segment begins, or the last one ends, at byte i */

void granule_divide(u64 g, u32 wanted); /* races.c: each segment has a cell, and a clock */

/* The bounds of segments with these two among them. */
static inline u32 granule_with(u64 g, u32 from, u32 to)
{
    u32 wanted = 1u << from | 1u << to;

    if (unlikely((granule[g] & wanted) != wanted))
        granule_divide(g, wanted);
    return granule[g];
}

/* Where the segment that begins at `from` ends. */
static inline u32 segment_end(u32 bounds, u32 from)
{
    return from + 1 + (u32)__builtin_ctz(bounds >> (from + 1));
}

#endif
