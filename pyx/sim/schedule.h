/* The schedule: who chooses, among whom, and what was chosen. */
#ifndef Z3F_SCHEDULE_H
#define Z3F_SCHEDULE_H

#include "config.h"
#include "memory.h"
#include "run.h"
#include "../vocabulary/lock.h"
#include "../vocabulary/point.h"

#pragma GCC visibility push(hidden)

/* Until somebody looks at the clock: accesses of a task, steps of an execution. */
enum { ACCESSES_BETWEEN = 1 << 20, STEPS_BETWEEN = 1 << 20 };

enum ready { READY_NOT, READY, READY_MAYBE };   /* maybe: sim_can_go() tells */

/* An intervention: at this point of this task something else happens than by default. The
 * default is to go on with the running task, or where it cannot, with the next after it. */
struct sim_choice {
    u64 at;                     /* the task's own clock */
    u16 task;
    u8 decision;                /* enum decision; DECIDE_SWITCH: to `to` */
    u8 to;
};

struct strategy {
    const char *name;
    void (*prepare)(void);              /* once, before the first execution */
    bool (*begin)(void);                /* before each; false: nothing is left */
    u32 (*choose)(const u8 *enabled, u32 n, int running);   /* index into `enabled`;
                                           null: any of them, each alike */
    bool (*decide)(u32 what);           /* whether this fails, or the running task dies here */
    void (*executed)(u32 task);         /* its pending operation is being done; may be null */
    void (*end)(void);                  /* after each; may be null */
    void (*drop)(void *search);         /* frees what prepare() left in schedule.search; or null */
};

struct sim_schedule {
    const struct strategy *strategy;    /* the caller's; livelock.c puts its own in its place */
    struct access *doing;       /* the strategy's copy of what is being done, to be completed */
    struct sim_choice *taken;
    u32 nr_taken, max_taken;
    u32 nr_enabled;
    bool list_good;             /* the list holds still: nobody's readiness has to be asked */
    u8 ready[SIM_TASKS];        /* of each task: enum ready; sim_set_ready() writes it */
    u8 list[SIM_TASKS + 1];     /* the enabled tasks */
    u8 place[SIM_TASKS];        /* of each task in the list; 255: not in it */
    /* a replay */
    struct sim_choice *script;  /* what it is to do */
    u32 nr_script;
    u32 unused;                 /* of these, those that never came up */
    /* what a strategy tells of its search */
    void *search;               /* dfs, dpor: the tree; prepare() makes a new one where there is
                                   none. Its owner drops it. */
    u64 restarted;              /* dfs, dpor: the execution from which the count goes */
    double share_done;          /* dfs, dpor: of the tree, 0 to 1 */
    u64 longest;                /* pct: k, the most choices of a profiling execution */
};

extern struct sim_schedule schedule;

bool sim_decide_at_random(u32 what);
#define STRATEGY(name) extern const struct strategy strategy_##name;
#include "../vocabulary/strategies.h"
#undef STRATEGY
const struct strategy *strategy_named(const char *name);    /* strategies.c; null: there is none */

/* profile.c */
struct profile { u64 seed; u32 world, learnt, done; bool last; };
bool profile_begin(struct profile *p, u32 least, bool *fresh);
void profile_forget(void);              /* another world begins */

/* scheduler.c */
void sim_point_unusual(struct sim_task *t);
struct sim_task *sim_choose(struct sim_task *running);
bool sim_decide(u32 what, u64 pc);
void sim_may_die(struct sim_task *t);   /* a choice; does not return where it is taken */
bool sim_can_go(const struct sim_task *t);      /* locks.c */
void sim_nobody_can_go_on(void);        /* deadlock.c */
void sim_too_many_steps(void);          /* livelock.c */
void livelock_over(void);
void livelock_step(void);

/* What most who may have to wait are about to take. */
static inline bool sim_lock_is_free(u64 offset)
{
    return (*(const u32 *)(memory.base + offset) & OWNER_MASK) == 0;
}

/* A point is more than a choice: see sim_point_unusual(). */
static inline void sim_set_unusual(bool unusual)
{
    u32 next_look = run.steps + STEPS_BETWEEN;

    run.unusual = unusual;
    run.step_limit = unusual ? 0 : next_look < config.max_steps ? next_look : config.max_steps;
}

static inline void sim_set_ready(u32 task, u8 ready)
{
    if (schedule.ready[task] == ready)
        return;
    schedule.ready[task] = ready;
    schedule.list_good = false;
}

/* Synchronisation operations count, accesses do not: the limit is the same for any granularity. */
static inline void sim_count_step(int kind)
{
    if (kind < POINT_RMW)
        return;
    if (unlikely(++run.steps > config.max_steps))
        sim_too_many_steps();
    if (unlikely(run.steps % STEPS_BETWEEN == 0))
        sim_ran_long();
}

/* A task is about to do this; it goes on when it is chosen. Inlined into whoever calls: after a
 * switch each return is one that the processor did not foresee. */
static inline __attribute__((always_inline)) void sim_point(struct sim_task *t,
                                                            const struct access *a)
{
    struct sim_task *next;

    access_copy(&t->next, a);
    sim_set_ready(t->index, a->kind >= POINT_LOCK ? READY_MAYBE : READY);
    if (a->kind >= POINT_RMW ? unlikely(++run.steps > run.step_limit) : unlikely(run.unusual)) {
        run.steps -= a->kind >= POINT_RMW;
        sim_point_unusual(t);
        return;
    }
    next = sim_choose(t);
    /* Which one is hard to foresee where nobody waits for anybody: to switch in any case, even to
     * itself, costs less there than a branch that is taken at random. */
    if (a->kind == POINT_RMW || next != t)
        sim_go_to(t, next);
}

#pragma GCC visibility pop

#endif
