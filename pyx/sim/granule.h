/* Eight aligned bytes of the arena, and what accesses have made of them, in one word.
 *
 * Two bytes that were always touched together are one segment, whatever the order and the sizes of
 * the accesses; others never are. Of each four bytes it is known what kinds of operations ever
 * touched them: those that are schedule points whatever happens neither race with each other nor
 * need be made points. Owns the words; never forgets what it has learnt. */
#ifndef Z3F_GRANULE_H
#define Z3F_GRANULE_H

#include "sim.h"

#pragma GCC visibility push(hidden)

enum {
    UNDIVIDED = 0x101,                  /* bit i: a segment begins, or the last one ends, at byte i */
    WITH_ATOMICS = 0x200,               /* an atomic access touched it */
    USE_SHIFT = 16,                     /* enum use, of the first four bytes; then of the others */
    USE_BITS = 8,
    STAMP_SHIFT = 32,                   /* the execution that touched it by itself last: shadow.h */
};

enum use {
    USE_POINTS = 1,
    USE_OTHERS = 2,
    USE_WAITED = 4,                     /* and not by such points only: somebody may wait for a change */
};

extern u64 *granule;

void granule_divide(u64 g, u32 wanted); /* shadow.c: each segment has its cells, and a clock */

/* The word with these two bounds of segments. */
static inline u32 granule_with(u64 g, u32 from, u32 to)
{
    u32 wanted = 1u << from | 1u << to;

    if (unlikely((granule[g] & wanted) != wanted))
        granule_divide(g, wanted);
    return (u32)granule[g];
}

/* Where the segment that begins at `from` ends. */
static inline u32 segment_end(u32 bounds, u32 from)
{
    return from + 1 + (u32)__builtin_ctz(bounds >> (from + 1));
}

/* Of four bytes, by their number. */
static inline u32 use_shift(u64 four) { return USE_SHIFT + (u32)(four & 1) * USE_BITS; }

static inline u32 use_of(u64 four)
{
    return granule[four >> 1] >> use_shift(four) & ((1u << USE_BITS) - 1);
}

static inline void use_add(u64 four, u32 use)
{
    granule[four >> 1] |= (u64)use << use_shift(four);
}

/* In a granule's word, of some of its bytes: these uses of each four of them. */
ALWAYS_INLINE u64 uses_within(u32 from, u32 size, u32 use)
{
    u64 first = (u64)use << use_shift(from >> 2), last = (u64)use << use_shift((from + size - 1) >> 2);

    return first | last;
}

#pragma GCC visibility pop

#endif
