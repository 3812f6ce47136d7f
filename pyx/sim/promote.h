/* Which accesses are schedule points by themselves: see promote.c. */
#ifndef Z3F_PROMOTE_H
#define Z3F_PROMOTE_H

#include "types.h"

#pragma GCC visibility push(hidden)

extern u32 nr_promoted;
extern u8 promoted_filter[8192];

bool promoted(u64 pc);
bool promote(u64 pc);
void promote_reset(void);

#pragma GCC visibility pop

#endif
