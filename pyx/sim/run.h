/* The execution under way: who runs, how far it is, and how it ends. */
#ifndef Z3F_RUN_H
#define Z3F_RUN_H

#include "access.h"
#include "fiber.h"
#include "../vocabulary/execution.h"
#include "../vocabulary/fault.h"
#include "../vocabulary/size.h"
#include "../vocabulary/task.h"

#pragma GCC visibility push(hidden)

enum { SIM_TASKS = 126 };               /* set-up and finish tasks included */

/* What sets a task's next access apart from any other. */
enum special {
    SPECIAL_RACE = 1,           /* it is meant to race: known_race tells why */
    SPECIAL_MORTAL = 2,         /* it may be its last */
};

struct held_lock {
    u32 offset;                 /* of its word */
    u8 lock_class;
    u8 kind;                    /* by what it was taken: enum point_kind */
    u64 pc;
};

struct sim_task {
    void *sp;                   /* where it goes on */
    struct access next;         /* what it is about to do, at its point */
    u8 state;
    u8 special;                 /* enum special */
    u8 daemon;                  /* need not finish */
    u8 woken;
    u8 known_race;              /* the reason */
    u8 payload;                 /* inside a payload: accesses to its region are held to [low, high) */
    u8 mortal;                  /* may be killed, where deaths are a choice */
    u8 has_run;                 /* since the image was put back: its context may have changed */
    u8 nr_held;
    u8 held_before;             /* locks held when its operation began */
    u32 index;
    u64 accesses;               /* its own clock: accesses to the window, and points */
    u64 low, high;
    u32 program_at;             /* the instruction that it runs, told by the interpreter */
    u32 furthest;               /* the last one that it came to */
    u32 turns;                  /* of its loops */
    struct held_lock *held;     /* nr_held of them, MAX_HELD at most */
    void *context;              /* what the host calls its current task */
    void *saved;                /* the host's copy of that, from the image */
} __attribute__((aligned(128)));        /* to be found by its number without a multiplication */

/* What the host (the Cython side) gives and is given. */
struct sim_host {
    void (*body)(u32 index);            /* run a task's program */
    void **current;                     /* its variables that name the current task */
    u32 *me;
    int (*audit)(void);                 /* how much is wrong; tells the first by sim_report */
    bool (*replace)(u32 index);         /* a killed actor's process by a new one */
    const struct remote_locks *locks;   /* the live world's, for actors that are processes */
};

struct sim_run {
    struct sim_task *running;
    u64 rng, drawn;             /* see random.h */
    u32 steps;
    u32 step_limit;             /* steps until a point has to be looked at; 0: each has */
    u32 progress_step;          /* when an operation was last completed */
    u32 choices;                /* points with more than one task enabled */
    u32 switches, given_way;    /* of the switches, those of a task that lets others run */
    u32 nr_tasks;               /* actors; then set-up and finish */
    u8 remote;                  /* this process is an actor of another's execution: enum remote */
    bool proxies;               /* the actors are other processes; here are their proxies */
    bool alone;                 /* set-up or finish: one task, no choices */
    bool unusual;               /* a point is more than a choice */
    bool watched;               /* an observer wants to see that is not always asked */
    bool take_turns;            /* the step limit is met: livelock.c */
    bool ran_long;              /* this execution, so long that the clock was looked at */
    bool unnumbered;            /* a profiling execution: no number is used up */
    u8 ending;                  /* enum ending */
    u8 fault_left[NR_FAULTS];   /* of the budgets */
    u8 death_left;
    u8 death_rarity;            /* at random: one in 2^this chances to die is taken */
    u64 hash;
    u64 execution;              /* its number: it and the seed are what random numbers follow from */
    u64 deadline;               /* of a whole exploration: ends even one that loops; 0: none */
    struct sim_host host;
    struct sim_task task[SIM_TASKS];
};

extern struct sim_run run;

/* scheduler.c */
int sim_start(void *arena, u64 arena_size, u64 window);
void sim_stop(void);
int sim_enter(void);
void sim_leave(void);
bool sim_in_fiber(void);
void sim_run_alone(u32 task);
void sim_execute(void);
void sim_ran_long(void);
_Noreturn void sim_end(int ending);
bool sim_died(u32 task);

/* explore.c */
int sim_explore(u64 executions, u64 nanoseconds, u64 left);
void sim_image(u32 context_bytes);
u64 sim_now(void);
struct sim_totals {
    u64 executions, steps, choices, switches, limited, pruned, failures, deaths;
};
extern struct sim_totals sim_totals;

/* The host's idea of who runs. */
static inline void sim_becomes(struct sim_task *t)
{
    run.running = t;
    *run.host.current = t->context;
    *run.host.me = t->index + 1;
}

static inline void sim_go_to(struct sim_task *from, struct sim_task *to)
{
    sim_becomes(to);
    fiber_switch(&from->sp, &to->sp);
}

static inline u32 sim_preemptions(void) { return run.switches - run.given_way; }

#pragma GCC visibility pop

#endif
