/* The race detector as an observer: what is cheap about it, for the inliner. See races.c. */
#ifndef Z3F_RACES_H
#define Z3F_RACES_H

#include "shadow.h"

#pragma GCC visibility push(hidden)

void races_start(u64 arena_size);
void races_stop(void);
void races_begin(void);                         /* an execution: all before is ordered */
void races_access(struct sim_task *t, const struct access *a);
void races_atomic(struct sim_task *t, const struct access *a);
void races_waits(const struct access *a);

/* Others than such operations touch some memory of this world: until then nobody asks what orders
 * what, and nothing is written down. */
extern bool races_possible;

/* Only operations ever touched it that are schedule points whatever happens. */
ALWAYS_INLINE bool used_by_points_only(const struct access *a)
{
    const struct shape *s = &shape_of_only_points[a->size][a->offset & 7];

    return a->size <= 8 && (granule[a->offset >> 3] & s->mask) == s->wanted;
}

ALWAYS_INLINE void races_observe(struct sim_task *t, const struct access *a)
{
    if (unlikely(run.alone))
        return;                         /* all is ordered, before and after */
    if (a->kind >= POINT_RMW) {
        if (!races_possible)
            return;
        if (likely(used_by_points_only(a))) {
            if (!access_is_hint(a))
                clocks_log(t->index, a);
            return;
        }
    }
    if (a->kind <= POINT_STORE && !a->atomic && a->size <= 8) {
        clocks_now();
        if (unlikely(!shadow_plain(t->index, a->offset, a->size, a->writes,
                                   (u32)site_pc((u32)a->pc))))
            races_access(t, COPY_OF(a));
    } else if (a->kind == POINT_LOAD && a->atomic && a->size <= 8) {
        clocks_now();
        if (unlikely(!shadow_load(t->index, a->offset, a->size,
                                  SITE_ATOMIC << SITE_BITS | (u32)site_pc((u32)a->pc))))
            races_atomic(t, COPY_OF(a));
    } else if (a->kind == POINT_STORE && a->atomic && a->size <= 8 && !(a->order & ORDER_RELEASE)) {
        clocks_now();
        if (unlikely(!shadow_store(t->index, a->offset, a->size,
                                   SITE_ATOMIC << SITE_BITS | (u32)site_pc((u32)a->pc))))
            races_atomic(t, COPY_OF(a));
    } else if (a->atomic && a->size && !access_is_hint(a)) {
        races_atomic(t, COPY_OF(a));
    } else {
        races_access(t, COPY_OF(a));
    }
}

/* A task may have to wait until others have done something about this memory: it looks at it from
 * now on, not only when it goes on. */
ALWAYS_INLINE void races_announce(const struct access *a)
{
    if (a->kind >= POINT_LOCK && races_possible && unlikely(!used_by_points_only(a)))
        races_waits(COPY_OF(a));
}

#pragma GCC visibility pop

#endif
