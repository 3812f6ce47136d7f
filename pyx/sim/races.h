/* The race detector as an observer: what is cheap about it, for the inliner. See races.c. */
#ifndef Z3F_RACES_H
#define Z3F_RACES_H

#include "clocks.h"

#pragma GCC visibility push(hidden)

/* Of four aligned bytes of the arena: what kinds of operations ever touched them. Those that are
 * schedule points whatever happens neither race with each other nor need be made points. */
enum use {
    USE_POINTS = 1,
    USE_OTHERS = 2,
    USE_WAITED = 4,             /* and not by such points only: somebody may wait for a change */
};
extern u8 *use;

void races_start(u64 arena_size);
void races_stop(void);
void races_begin(void);                         /* an execution: all before is ordered */
void races_access(struct sim_task *t, const struct access *a);
void races_waits(const struct access *a);

ALWAYS_INLINE bool used_by_points_only(const struct access *a)
{
    const u8 *u = use + (a->offset >> 2);

    if (a->offset & (a->size - 1))
        return false;
    return a->size == 4 ? *u == USE_POINTS
        : a->size == 8 ? *(const u16 *)u == (USE_POINTS | USE_POINTS << 8) : false;
}

ALWAYS_INLINE void races_observe(struct sim_task *t, const struct access *a)
{
    if (a->kind < POINT_RMW || unlikely(!used_by_points_only(a)))
        races_access(t, COPY_OF(a));
    else if (!access_is_hint(a))
        clocks_log(t->index, a);
}

/* A task may have to wait until others have done something about this memory: it looks at it from
 * now on, not only when it goes on. */
ALWAYS_INLINE void races_announce(const struct access *a)
{
    if (a->kind >= POINT_LOCK && unlikely(!used_by_points_only(a)))
        races_waits(COPY_OF(a));
}

#pragma GCC visibility pop

#endif
