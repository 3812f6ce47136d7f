/* The observers: each gets every access of every task, as it is done and before memory changes.
 * Another one is a file with a NAME_observe(), and its line in OBSERVERS: CALLED(NAME).
 *
 * An observer may be told to keep its verdict to itself, never to look away: what it learns is
 * what the others lean on (accesses that conflict become schedule points). What waits for others,
 * or must be asked beforehand, is no observer: strategies see the record announced (sim_point). */
#ifndef Z3F_OBSERVE_H
#define Z3F_OBSERVE_H

#include "lock_order.h"
#include "races.h"
#include "sim.h"

/* INLINED: its quick way stands in a header. */
#define OBSERVERS(INLINED, CALLED) \
    INLINED(undo)           /* what was overwritten */ \
    INLINED(regions)        /* what lives: use after free, objects left */ \
    INLINED(races)          /* what orders what: data races, schedule points */

/* Those that are not always asked: sim_watch() knows by whom. */
#define WATCHERS(EACH) \
    EACH(order)             /* what orders tasks besides locks: lock order */ \
    EACH(coverage)          /* how much was tried */ \
    EACH(dependence)        /* what a reduction compares */ \
    EACH(trace)             /* what a report shows */

#define DECLARED_THERE(name)
#define DECLARE(name) void name##_observe(struct sim_task *t, const struct access *a);
OBSERVERS(DECLARED_THERE, DECLARE)
#undef DECLARE
#undef DECLARED_THERE

ALWAYS_INLINE void undo_observe(struct sim_task *t, const struct access *a)
{
    (void)t;
    if (!a->writes || a->kind == POINT_BIRTH || a->kind == POINT_DEATH)
        return;                         /* a life changes no byte */
    if (a->size <= 8)
        undo_word(a->offset, a->size);
    else
        undo_range(a->offset, a->size);
}

ALWAYS_INLINE void regions_observe(struct sim_task *t, const struct access *a)
{
    if (a->size == 0 || a->kind == POINT_POISON || access_is_hint(a))
        return;                         /* the dead are poisoned */
    if (a->kind == POINT_BIRTH || a->kind == POINT_DEATH)
        regions_change(COPY_OF(a));
    else if (unlikely(life[a->offset >> PAGE_SHIFT] >= LIFE_PARTS) || unlikely(a->size > 8)
             || unlikely(t->payload))
        regions_check(t, COPY_OF(a));
}

ALWAYS_INLINE void order_observe(struct sim_task *t, const struct access *a)
{
    if (unlikely(order_on))
        order_access(t, COPY_OF(a));
}

/* Whether a try, or a compare-and-swap, did write is known only now. */
ALWAYS_INLINE void dependence_observe(struct sim_task *t, const struct access *a)
{
    (void)t;
    if (unlikely(schedule.doing)) {
        schedule.doing->writes = a->writes;
        schedule.doing = NULL;
    }
}

ALWAYS_INLINE void coverage_observe(struct sim_task *t, const struct access *a)
{
    if (unlikely(config.coverage_on))
        coverage_access(t, COPY_OF(a));
}

ALWAYS_INLINE void trace_observe(struct sim_task *t, const struct access *a)
{
    (void)t;
    if (unlikely(config.recording > 1))
        trace_access(COPY_OF(a));
}

static inline __attribute__((always_inline)) void sim_observe(struct sim_task *t,
                                                              const struct access *a)
{
#define OBSERVE(name) name##_observe(t, a);
    OBSERVERS(OBSERVE, OBSERVE)
    if (unlikely(run.watched)) {
        WATCHERS(OBSERVE)
    }
#undef OBSERVE
}

/* Before a task acts, whatever it does: its clock, and what sets this access apart. */
static inline struct sim_task *sim_step(void)
{
    struct sim_task *t = run.running;

    t->accesses++;
    return t;
}

#endif
