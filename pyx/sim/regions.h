/* Which allocations live: see regions.c. */
#ifndef Z3F_REGIONS_H
#define Z3F_REGIONS_H

#include "memory.h"
#include "run.h"

#pragma GCC visibility push(hidden)

enum life { LIFE_NO_REGION, LIFE_ALIVE, LIFE_PARTS, LIFE_DEAD };

extern u8 *life;                                /* of each 4096 bytes of the arena: enum life */

void regions_start(void);
void regions_stop(void);
void regions_sync(void);                        /* take the arena's present state */
void regions_reset(void);
void regions_check(struct sim_task *t, const struct access *a);
void regions_change(const struct access *a);

#pragma GCC visibility pop

#endif
