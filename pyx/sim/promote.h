/* Which accesses are schedule points by themselves: see promote.c. */
#ifndef Z3F_PROMOTE_H
#define Z3F_PROMOTE_H

#include "types.h"

#pragma GCC visibility push(hidden)

extern u32 nr_promoted;
extern u32 learnt;                      /* raised at each, and at whatever else a search has to begin
                                           anew for */
extern u64 promoted_filter[128];        /* a bit for some program counters each: few lines of cache */

static inline u32 promoted_bit(u64 pc) { return (pc ^ pc >> 13) & 8191; }

static inline bool may_be_promoted(u64 pc)
{
    return promoted_filter[promoted_bit(pc) >> 6] >> (promoted_bit(pc) & 63) & 1;
}

bool promoted(u64 pc);
bool promote(u64 pc);
void promote_reset(void);

#pragma GCC visibility pop

#endif
