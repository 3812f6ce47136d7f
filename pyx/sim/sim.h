/* The sim world: the subject's tasks as coroutines in one process, every access to the arena
 * seen, every choice made by a strategy.
 *
 * All of pyx/sim/ *.c is built without instrumentation; the subject is built with it and calls
 * the hooks (hooks.c). Nothing here knows z3fold: what is known of the arena is a window of
 * memory, lock words, and the few callbacks of struct sim_host. One world a process. */
#ifndef Z3F_SIM_H
#define Z3F_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "assert.h"
#include "../vocabulary/execution.h"
#include "../vocabulary/fault.h"
#include "../vocabulary/lock.h"
#include "../vocabulary/point.h"
#include "../vocabulary/poison.h"
#include "../vocabulary/size.h"
#include "../vocabulary/task.h"
#include "../vocabulary/verdict.h"

#pragma GCC visibility push(hidden)     /* one module: no call or variable is looked up */

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define ALWAYS_INLINE static inline __attribute__((always_inline))

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

enum {
    SIM_TASKS = 126,            /* set-up and finish tasks included */
    SIM_HELD = 64,              /* locks that a task holds at once: MAX_HELD of base/layout.pxi */
    SIM_REGIONS = 8,
};

#include "access.h"

/* Which stores without release of their own hand on what an earlier one released: C++20 dropped
 * those of the same task. Read-modify-writes always do. */
enum release_sequence { RELEASE_SEQUENCE_C11, RELEASE_SEQUENCE_C20 };

enum ready { READY_NOT, READY, READY_MAYBE };   /* maybe: sim_can_go() tells */

/* What sets a task's next access apart from any other. */
enum special {
    SPECIAL_RACE = 1,           /* it is meant to race: known_race tells why */
    SPECIAL_MORTAL = 2,         /* it may be its last */
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
    u8 nr_held;
    u8 held_before;             /* locks held when its operation began */
    u32 index;
    u64 accesses;               /* its own clock: accesses to the window, and points */
    u64 low, high;
    u32 program_at;             /* the instruction that it runs, told by the interpreter */
    u32 furthest;               /* the last one that it came to */
    u32 held[SIM_HELD];         /* offsets of the lock words that it holds */
    u8 held_class[SIM_HELD];
    u8 held_kind[SIM_HELD];     /* by what it was taken: enum point_kind */
    u64 held_pc[SIM_HELD];
    void *context;              /* what the host calls its current task */
    void *saved;                /* the host's copy of that, from the image */
};

struct sim_verdict {
    u32 kind;
    u32 task;
    u64 page, handle, lock;
    u64 pc;                     /* where the check was, or the second access */
    u64 other_pc;               /* the first access of a race */
    u32 other_task;
    u32 size;
    u64 object;
    u8 writes, other_writes;    /* of a race */
    char where[40];
    char text[184];
};

/* An intervention: at this point of this task something else happens than by default. The
 * default is to go on with the running task, or where it cannot, with the next after it. */
struct sim_choice {
    u64 at;                     /* the task's own clock */
    u16 task;
    u8 decision;                /* 0: switch to `to`; else what fails or dies */
    u8 to;
};

/* Memory in which allocations live and die, each a unit of the same size. */
struct region {
    u64 start, end;             /* offsets in the arena */
    u32 unit;                   /* bytes; divides 4096, or is a multiple of it */
    u32 guarded;                /* of a unit: what follows belongs to its allocator */
    bool payloads;              /* units hold objects: see sim_task.payload */
    bool pages;                 /* a verdict tells a unit as its page, else as its handle */
    const char *name;           /* of a unit, for people */
};

/* What the host (the Cython side) gives and is given. */
struct sim_host {
    void (*body)(u32 index);            /* run a task's program */
    void **current;                     /* its variables that name the current task */
    u32 *me;
    int (*audit)(void);                 /* how much is wrong; tells the first by sim_report */
    bool (*replace)(u32 index);         /* a killed actor's process by a new one */
    const struct remote_locks *locks;   /* the live world's, for actors that are processes */
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
    void (*drop)(void *search);         /* frees what prepare() left in sim.search; or null */
};

bool sim_decide_at_random(u32 what);
#define STRATEGY(name) extern const struct strategy strategy_##name;
#include "../vocabulary/strategies.h"
#undef STRATEGY
const struct strategy *strategy_named(const char *name);    /* strategies.c; null: there is none */

/* profile.c */
struct profile { u64 seed; u32 world, nr_promoted, done; bool last; };
bool profile_begin(struct profile *p, u32 least, bool *fresh);
void profile_forget(void);              /* another world begins */

struct sim {
    /* hot */
    u64 window;                 /* bytes of the arena that are watched; 0: nobody runs */
    u64 checked;                /* the same of a real process that checks its accesses (watch.c) */
    char *base;                 /* of the arena */
    struct sim_task *running;
    bool races;                 /* a race is a verdict; what orders what is observed anyway */
    bool lifetimes;             /* an access to what was freed, or beside its object, is a verdict */
    bool every_access;          /* each access is a point */
    bool coverage_on;
    u8 recording;               /* keep events; 2: with stacks */
    u8 remote;                  /* this process is an actor of another's execution: enum remote */
    bool proxies;               /* the actors are other processes; here are their proxies */
    u32 nr_promoted;
    u32 nr_tasks;               /* actors; then set-up and finish */
    u32 steps, max_steps;
    u32 choices;                /* points with more than one task enabled */
    u32 switches, preemptions;
    u32 progress_step;          /* when an operation was last completed */
    u64 hash;
    u64 rng;
    const struct strategy *strategy;
    struct access *doing;       /* the strategy's copy of what is being done, to be completed */
    u8 ready[SIM_TASKS];        /* of each task: enum ready; sim_set_ready() writes it */
    bool list_good;             /* what follows holds still: nobody's readiness has to be asked */
    u8 list[SIM_TASKS + 1];     /* the enabled tasks */
    u8 place[SIM_TASKS];        /* of each task in the list; 255: not in it */
    u32 nr_enabled;
    struct sim_task task[SIM_TASKS];
    struct sim_host host;
    /* an execution's outcome */
    u8 ending;
    bool unusual;               /* a point is more than a choice */
    bool take_turns;            /* the step limit is met: livelock.c */
    bool alone;                 /* set-up or finish: one task, no choices */
    struct sim_verdict verdict;
    u32 order_cycles;           /* cycles of locks that were not told before: lock_order.c */
    bool order_sure;            /* their steps can meet; else orders were left aside */
    bool order_on;              /* clocks for lock order are kept */
    u64 order_given_up;         /* searches for a cycle that were cut, in this world */
    /* budgets of one execution */
    u8 fault_budget[32], fault_left[32];
    u8 death_budget, death_left;
    u8 death_rarity;            /* at random: one in 2^this chances to die is taken */
    /* parameters of strategies */
    u64 seed, execution;
    int depth;                  /* pct: d; dfs: preemption bound, -1: none */
    void *search;               /* dfs, dpor: the tree of the search; prepare() makes a new one
                                   where there is none. Its owner drops it. */
    int delay_bound;            /* dfs: delays instead of preemptions; -1: off */
    u8 release_sequence;        /* enum release_sequence */
    bool strict;                /* a replay that cannot do what it is told ends */
    u32 unused;                 /* interventions of a replay that never came up */
    u64 restarted;              /* dfs, dpor: the execution from which the count goes */
    double share_done;          /* dfs, dpor: of the tree, 0 to 1 */
    bool unnumbered;            /* a profiling execution: no number is used up */
    u64 longest;                /* pct: k, the most choices of a profiling execution */
    /* what was chosen */
    struct sim_choice *taken;
    u32 nr_taken, max_taken;
    struct sim_choice *script;  /* what a replay is to do */
    u32 nr_script;
    /* sizes of the arena's parts */
    u64 arena_size;
    struct region region[SIM_REGIONS];
    u32 nr_regions;
    u64 scratch;
    bool deadlock_ok;           /* an execution may end with everybody waiting */
    bool finish_is_audit;       /* it says nothing about scratch words */
    u64 audited_from;           /* what lies before are scratch words: the audit has no say */
    u64 deadline;               /* of a whole exploration: ends even one that loops; 0: none */
    bool ran_long;              /* this execution, so long that the clock was looked at */
    u64 module;                 /* load address of the extension: sites are offsets from it */
};

extern struct sim sim;

/* scheduler.c */
int sim_start(void *arena, u64 arena_size, u64 window);
void sim_stop(void);
u64 sim_shared(void);
void sim_run_alone(u32 task);
void sim_execute(void);
void sim_point_unusual(struct sim_task *t);
struct sim_task *sim_choose(struct sim_task *running);
void sim_too_many_steps(void);           /* livelock.c */
void livelock_over(void);
void livelock_step(void);
void sim_nobody_can_go_on(void);        /* deadlock.c */
void sim_ran_long(u64 turns);
bool sim_decide(u32 what, u64 pc);
_Noreturn void sim_end(int ending);
_Noreturn void sim_fail(int kind, const char *where, u64 page, u64 handle, u64 lock, u64 pc,
                        const char *text);
void sim_report(int kind, const char *where, u64 page, u64 handle, u64 lock, const char *text);
bool sim_in_fiber(void);
int sim_enter(void);
bool sim_stop_asked(void);
u64 sim_now(void);
void sim_leave(void);
void sim_gate_wait_free(u32 *lock);
void sim_gate_wait_change(u64 *word, u64 seen);
void sim_gate_wait_while(u64 *word, u64 value);
void sim_gate_wait_equal(u64 *word, u64 value);
bool sim_gate_wait_work(void *items);
void sim_gate_yield(void);
bool sim_gate_should_fail(int fault);
void sim_look_away(void);
void sim_look_again(void);
void sim_remember(u64 *word);
void sim_might_sleep(const char *where, u32 preempt_count);
void sim_no_locks_in(u64 start, u64 size);
bool sim_holds(u32 *lock);
void sim_op_enter(void);
void sim_op_left(void);
void sim_turns(u64 turns);
void sim_payload_begin(u64 low, u64 high);
void sim_payload_end(void);
void sim_data_race(int reason);
u32 sim_history_invoke(u32 object, bool write, u64 value);
void sim_leave_operation(void);
void sim_poison(void *p, int byte, u64 size);
void sim_peek(const u64 *word, bool writes);
void sim_reads(const void *p, u64 size);
void sim_writes(const void *p, u64 size);
void sim_birth(u64 offset);
void sim_death(u64 offset);
bool sim_died(u32 task);
void sim_may_die(struct sim_task *t);   /* a choice; does not return where it is taken */

/* explore.c */
int sim_explore(u64 executions, u64 nanoseconds, u64 left);
void sim_image(u32 context_bytes);
struct sim_totals {
    u64 executions, steps, choices, switches, limited, pruned, failures, deaths;
};
extern struct sim_totals sim_totals;

/* locks.c: called by the gate, on the running task's stack */
void sim_gate_lock(u32 *word, int lock_class);
bool sim_gate_trylock(u32 *word, int lock_class);
bool sim_gate_trylock_bare(u32 *word, int lock_class);
void sim_gate_unlock(u32 *word);
void sim_read_lock(u32 *word, int lock_class, u64 pc);
void sim_read_unlock(u32 *word, u64 pc);
void sim_write_lock(u32 *word, int lock_class, u64 pc);
void sim_write_unlock(u32 *word, u64 pc);
bool sim_can_go(const struct sim_task *t);


/* What a proxy does for its process (remote.c): the access, and whether it succeeded. */
bool sim_memory_access(const struct access *a, const u64 *expected, int failure_order);
bool sim_lock_access(const struct access *a, int lock_class, bool may_fail);
bool sim_wait_access(const struct access *a);
void sim_might_sleep_at(const char *where, u32 preempt_count, u64 pc);
void sim_no_locks_in_at(u64 start, u64 size, u64 pc);
void sim_op_left_at(u64 pc);

/* fiber.c */
int fiber_stacks(u32 n);
void *fiber_new(u32 index, void (*entry)(void));
#if defined(__x86_64__)
/* Inlined, and left by a jump: a call without its return would have the processor foresee a wrong
 * address for each return that follows. Needs -mno-red-zone. */
static inline __attribute__((always_inline)) void fiber_switch(void **save, void *to)
{
    __asm__ volatile(
        "leaq 1f(%%rip), %%rax\n\t"
        "pushq %%rax\n\t"
        "pushq %%rbp\n\t"
        "movq %%rsp, (%0)\n\t"
        "movq %1, %%rsp\n\t"
        "popq %%rbp\n\t"
        "popq %%rcx\n\t"
        "jmp *%%rcx\n"
        "1:"
        : "+D"(save), "+S"(to)
        :
        : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
          "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
          "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "memory", "cc");
}
#else
void fiber_switch(void **save, void *to);
#endif
bool fiber_on_guard(const void *address);
const char *fiber_top(u32 index);

/* undo.c */
void undo_reset(void);
void undo_mark(void);
u64 undo_used(void);
void undo_back_to(u64 used);
bool undo_touches(u64 offset);
void undo_range(u64 offset, u64 size);
extern struct undo { u64 offset; u64 old; } *undo_next, *undo_end;
void undo_grow(void);
static inline void undo_word(u64 offset, u32 size)
{
    /* A naturally aligned access never crosses an 8-byte word: log that word. */
    ASSERT(offset + size <= sim.arena_size && undo_next <= undo_end);
    if (unlikely(undo_next == undo_end))
        undo_grow();
    undo_next->offset = offset & ~7ull;
    undo_next->old = *(u64 *)(sim.base + (offset & ~7ull));
    undo_next++;
    if (unlikely(size > 8 - (offset & 7)))
        undo_range(offset, size);
}

/* races.c (its observer is in races.h), clocks.c */
void races_start(u64 arena_size);
void races_stop(void);
void races_begin(void);                         /* an execution: all before is ordered */

/* promote.c: which accesses are schedule points by themselves */
bool promoted(u64 pc);
bool promote(u64 pc);
void promote_reset(void);
extern u8 promoted_filter[8192];

/* benign.c: races that are meant */
struct benign { u64 pc, seen, other_pc; u32 reason; };
struct benign *benign(u64 pc_a, u64 pc_b);
void benign_add(u64 pc, u32 reason);
void benign_reset(void);
extern struct benign *benigns;
extern u32 nr_benign;

/* regions.c: which allocations live */
void regions_start(void);
void regions_stop(void);
void regions_sync(void);                        /* take the arena's present state */
void regions_reset(void);
extern u8 *life;                                /* of each 4096 bytes of the arena: enum life */
enum life { LIFE_NO_REGION, LIFE_ALIVE, LIFE_PARTS, LIFE_DEAD };
void regions_check(struct sim_task *t, const struct access *a);
void regions_change(const struct access *a);

/* trace.c */
void trace_event(u32 kind, u64 object, u32 size, u64 pc);
void trace_access(const struct access *a);
struct sim_event {
    u32 step;
    u16 task;
    u8 kind;                    /* enum point_kind or event_kind */
    u8 size;
    u32 program_at;
    u32 nr_stack;
    u64 clock;
    u64 object;
    u64 before;                 /* what was there */
    u64 pc;
    u64 undo;                   /* what the undo log held: undo_back_to() goes there again */
    u64 stack[12];
    u32 nr_held;
    u32 held[8];
};
extern struct sim_event *events;
extern u32 nr_events;
u32 trace_stack(u64 *pcs, u32 most);
void trace_reset(void);
void trace_free(void);

/* watch.c: real processes that check their accesses (no execution: the window is empty) */
void watch_access(u64 offset, u64 size, bool write, bool atomic, u64 pc);
void watch_payload(u64 low, u64 high);
void watch_lives(u64 offset, bool live);
void watch_known_race(int reason);

/* coverage.c: ordered pairs of conflicting sites */
void coverage_access(const struct sim_task *t, const struct access *a);
void coverage_begin(void);                      /* an execution */
void coverage_reset(void);
u32 coverage_count(void);

/* linear.c: each object a register */
void linear_begin(void);
void linear_forget(void);               /* nothing was given up */
extern u64 linear_gave_up;              /* executions whose order nobody could find */
void linear_initial(u32 object, u64 value);
u32 linear_invoke(u32 task, u32 object, bool write, u64 value);
void linear_respond(u32 operation, u64 value);
enum linear { LINEAR, LINEAR_NOT, LINEAR_UNKNOWN };     /* the last: too long to tell */
enum linear linear_check(char *text, u32 size);

/* The host's idea of who runs. */
static inline void sim_becomes(struct sim_task *t)
{
    sim.running = t;
    *sim.host.current = t->context;
    *sim.host.me = t->index + 1;
}

static inline void sim_go_to(struct sim_task *from, struct sim_task *to)
{
    sim_becomes(to);
    fiber_switch(&from->sp, to->sp);
}

static inline void sim_set_ready(u32 task, u8 ready)
{
    if (sim.ready[task] == ready)
        return;
    sim.ready[task] = ready;
    sim.list_good = false;
}

/* Synchronisation operations count, accesses do not: the limit is the same for any granularity. */
static inline void sim_count_step(int kind)
{
    if (kind >= POINT_RMW && unlikely(++sim.steps > sim.max_steps))
        sim_too_many_steps();
}

/* A task is about to do this; it goes on when it is chosen. Inlined into whoever calls: after a
 * switch each return is one that the processor did not foresee. */
static inline __attribute__((always_inline)) void sim_point(struct sim_task *t,
                                                            const struct access *a)
{
    struct sim_task *next;

    access_copy(&t->next, a);
    sim_set_ready(t->index, a->kind >= POINT_LOCK ? READY_MAYBE : READY);
    if (unlikely(sim.unusual)) {
        sim_point_unusual(t);
        return;
    }
    sim_count_step(a->kind);
    next = sim_choose(t);
    if (next != t)
        sim_go_to(t, next);
}

/* xorshift64* (Vigna 2016). The state is one step ahead: who wants a number does not wait for it. */
static inline u64 sim_random_next(u64 x)
{
    x ^= x >> 12;
    x ^= x << 25;
    return x ^ x >> 27;
}

static inline u64 sim_random(void)
{
    u64 x = sim.rng;

    sim.rng = sim_random_next(x);
    return x * 2685821657736338717ull;
}

static inline u32 sim_random_below(u32 n)
{
    return (u32)(((sim_random() >> 32) * n) >> 32);
}

static inline u64 sim_mix(u64 x)
{
    x += 0x9E3779B97F4A7C15ull;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
    return x ^ (x >> 31);
}

static inline u64 offset_of(const void *p) { return (u64)((const char *)p - sim.base); }

#pragma GCC visibility pop

#endif
