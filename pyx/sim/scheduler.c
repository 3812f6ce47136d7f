/* The scheduler: one execution from its beginning to its end.
 *
 * Runs on the stack of whoever is at a point; only where another task is chosen is there a
 * switch. Knows what each task is about to do and whether it can; who goes on is the strategy's
 * choice. The order of accesses is all that it decides: executions are sequentially consistent.
 *
 * A task's clock counts its accesses to the arena and its synchronisation operations, whatever
 * of these are points: a schedule written in clocks means the same execution for any
 * granularity. */
#include "sim.h"
#include "lock_order.h"
#include "races.h"
#include "remote.h"
#include "signals.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_ACCESSES = 1 << 24,            /* of a task in one execution: looked at now and then */
    MOST_TURNS = 1 << 25,               /* and of its loops */
    MOST_UNDO = 1 << 24,                /* words to be put back after one execution */
};

/* No more accesses than one, no more steps than the other, go by without a look. */
_Static_assert(MOST_ACCESSES + ACCESSES_BETWEEN + STEPS_BETWEEN < 1 << CLOCK_BITS,
               "a task's clock, which each access may raise, fits in an epoch");

/* Each on lines of its own, what each access needs in front. */
#define OWN_LINES __attribute__((aligned(64)))
struct sim_config config OWN_LINES;
struct sim_memory memory OWN_LINES;
struct sim_run run OWN_LINES;
struct sim_schedule schedule OWN_LINES;
struct sim_verdict verdict OWN_LINES;

static void *main_sp, *first_sp;
static u64 full_window;
static bool starting;                   /* each task runs to its first point */
static bool in_fiber;
static struct held_lock held_locks[SIM_TASKS][MAX_HELD];
static u64 start_clock[SIM_TASKS];      /* of a replay; 0: the first synchronisation operation */

/* --- what is chosen, written down --- */

static __attribute__((noinline, cold)) void make_room(void)
{
    u32 room = schedule.max_taken ? 2 * schedule.max_taken : 256;
    struct sim_choice *more = realloc(schedule.taken, room * sizeof(*more));

    if (!more)
        abort();
    schedule.taken = more;
    schedule.max_taken = room;
}

static inline struct sim_choice *room_for_one(void)
{
    if (unlikely(schedule.nr_taken == schedule.max_taken))
        make_room();
    return &schedule.taken[schedule.nr_taken];
}

static void take(u32 task, u64 at, u8 decision, u8 to)
{
    *room_for_one() = (struct sim_choice){ at, (u16)task, decision, to };
    schedule.nr_taken++;
}

/* --- the end of an execution --- */

_Noreturn static void to_main(void)
{
    void *dropped;

    fiber_switch(&dropped, &main_sp);
    __builtin_unreachable();
}

_Noreturn void sim_end(int ending)
{
    run.ending = ending;
    memory.window = full_window;        /* a checker may have looked away */
    to_main();
}

static void report(int kind, const char *where, u64 page, u64 handle, u64 lock, u64 pc,
                   const char *text)
{
    struct sim_verdict *v = &verdict;

    if (v->kind)
        return;
    v->kind = kind;
    v->task = run.running ? run.running->index : SIM_TASKS;
    v->page = page;
    v->handle = handle;
    v->lock = lock;
    v->pc = pc;
    snprintf(v->where, sizeof(v->where), "%s", where);
    snprintf(v->text, sizeof(v->text), "%s", text);
}

void sim_fail(int kind, const char *where, u64 page, u64 handle, u64 lock, u64 pc,
              const char *text)
{
    if (run.remote)
        remote_fail(kind, where, page, handle, lock, pc, text);
    report(kind, where, page, handle, lock, pc, text);
    sim_end(END_VERDICT);
}

void sim_report(int kind, const char *where, u64 page, u64 handle, u64 lock, const char *text)
{
    report(kind, where, page, handle, lock, 0, text);
}

/* Each time that a task has made another million accesses, or many more turns of its loops: it may
 * go on for ever where there is no schedule point, or just have much to do. Nobody can tell which:
 * there is a limit, and no verdict. */
void sim_ran_long(void)
{
    run.ran_long = true;
    if (run.running->accesses >= MOST_ACCESSES || run.running->turns >= MOST_TURNS
            || undo_used() >= MOST_UNDO || sim_stop_asked()
            || (run.deadline && sim_now() > run.deadline))
        sim_end(END_STEPS);
}

/* --- choosing --- */

enum { NOWHERE = 255 };

/* Who can go on, into schedule.list. */
static __attribute__((noinline)) void list_enabled(void)
{
    u32 n = 0;
    bool asked = false;

    for (u32 i = 0; i < run.nr_tasks; i++) {
        u32 ready = schedule.ready[i];

        if (ready == READY_MAYBE) {
            const struct sim_task *t = &run.task[i];

            asked = true;
            ready = likely(t->next.kind == POINT_LOCK && sim_lock_is_free(t->next.offset))
                || sim_can_go(t);
        }
        schedule.list[n] = (u8)i;
        schedule.place[i] = ready ? (u8)n : NOWHERE;
        n += ready != 0;
    }
    schedule.nr_enabled = n;
    schedule.list_good = !asked;
}

/* Invariants: the list has who can go on, in the order of their numbers, and each one's place in
 * it; who is done, or dead, is never in it. */
static bool list_is_right(void)
{
    u32 n = 0;

    for (u32 i = 0; i < run.nr_tasks; i++) {
        bool ready = schedule.ready[i] == READY_MAYBE ? sim_can_go(&run.task[i]) : schedule.ready[i];

        if (ready && run.task[i].state != TASK_WAITING)
            return false;
        if (schedule.place[i] != (ready ? n : NOWHERE) || (ready && schedule.list[n] != i))
            return false;
        n += ready;
    }
    return n == schedule.nr_enabled;
}

/* No task can go on: over, or stuck, or somebody waits for work that cannot come. */
static __attribute__((noinline, cold)) u32 nobody_enabled(u8 *list)
{
    bool stuck = false;
    int waiter = -1;

    for (u32 i = 0; i < run.nr_tasks; i++) {
        struct sim_task *t = &run.task[i];

        if (t->state != TASK_WAITING)
            continue;
        if (t->next.kind != POINT_WORK)
            stuck = true;
        else if (!t->daemon && waiter < 0)
            waiter = (int)i;
    }
    if (waiter < 0) {
        if (stuck)
            sim_nobody_can_go_on();
        sim_end(END_DONE);
    }
    run.task[waiter].woken = 1;         /* no work comes any more */
    list[0] = (u8)waiter;
    return 1;
}

/* The default where the running task cannot go on, or lets others: the next after it. */
static u32 next_after(const u8 *list, u32 n, const struct sim_task *running)
{
    for (u32 i = 0; running && i < n; i++)
        if (list[i] > running->index)
            return i;
    return 0;
}

static inline u32 chosen_by_strategy(const u8 *list, u32 n, int at)
{
    u32 chosen = schedule.strategy->choose ? schedule.strategy->choose(list, n, at) : sim_random_below(n);

    ASSERT(chosen < n);
    return chosen;
}

/* The running task has ended, waits for something, or lets others run. */
static __attribute__((noinline)) struct sim_task *choose_another(struct sim_task *running)
{
    const u8 *list = schedule.list;
    u32 n = schedule.nr_enabled;
    int at = running && schedule.place[running->index] != NOWHERE ? schedule.place[running->index] : -1;
    u32 chosen = chosen_by_strategy(list, n, at);

    *room_for_one() = (struct sim_choice){ running ? running->accesses : 0,
                                           running ? (u16)running->index : NO_TASK,
                                           DECIDE_SWITCH,
                                           list[chosen] };
    schedule.nr_taken += chosen != next_after(list, n, running);
    run.switches += at >= 0 && (int)chosen != at;
    run.given_way += at >= 0 && (int)chosen != at;
    return &run.task[list[chosen]];
}

struct sim_task *sim_choose(struct sim_task *running)
{
    u8 *list = schedule.list;
    u32 at, n, chosen;
    bool leaves;

    if (!schedule.list_good)
        list_enabled();
    ASSERT(list_is_right());
    n = schedule.nr_enabled;
    if (unlikely(n == 0))
        n = nobody_enabled(list);
    if (n == 1)
        return &run.task[list[0]];
    run.choices++;
    if (unlikely(!running) || unlikely(running->next.kind == POINT_YIELD)
            || schedule.place[running->index] == NOWHERE)
        return choose_another(running);
    at = schedule.place[running->index];
    chosen = chosen_by_strategy(list, n, (int)at);
    /* Written down in any case, and kept if it is not the default: to go on. */
    *room_for_one() = (struct sim_choice){ running->accesses, (u16)running->index, DECIDE_SWITCH,
                                           list[chosen] };
    leaves = chosen != at;
    schedule.nr_taken += leaves;
    run.switches += leaves;
    return &run.task[list[chosen]];
}

/* Whatever is not the plain case: set-up and finish, the way to the first point, recording,
 * strategies that want to know what is done. */
void sim_point_unusual(struct sim_task *t)
{
    struct sim_task *next;

    if (unlikely(run.alone)) {
        if (t->next.kind >= POINT_LOCK && !sim_can_go(t)) {
            if (t->next.kind == POINT_WORK) {
                t->woken = 1;
                return;
            }
            sim_nobody_can_go_on();
        }
        sim_count_step(t->next.kind);
        if (config.recording)
            trace_event(t->next.kind, t->next.offset, t->next.size, t->next.pc);
        return;
    }
    if (unlikely(starting)) {
        if (start_clock[t->index] ? t->accesses < start_clock[t->index]
                                  : schedule.strategy == &strategy_replay
                                    && t->next.kind < POINT_RMW) {
            if (config.recording)
                trace_event(t->next.kind, t->next.offset, t->next.size, t->next.pc);
            return;
        }
        if (t->next.kind < POINT_RMW)
            take(t->index, t->accesses, DECIDE_START, 0);
        fiber_switch(&t->sp, &main_sp);
    } else {
        sim_count_step(t->next.kind);
        sim_set_unusual(run.unusual);
        if (unlikely(run.take_turns))
            livelock_step();
        next = sim_choose(t);
        if (next != t)
            sim_go_to(t, next);
    }
    if (schedule.strategy->executed)
        schedule.strategy->executed(t->index);
    if (unlikely(config.recording))
        trace_event(t->next.kind, t->next.offset, t->next.size, t->next.pc);
}

_Noreturn static void leave(struct sim_task *t, u8 state)
{
    struct sim_task *next;
    void *dropped;

    t->state = state;
    t->next.kind = POINT_NONE;
    sim_set_ready(t->index, READY_NOT);
    if (starting || run.alone)
        to_main();
    next = sim_choose(t);
    sim_becomes(next);
    fiber_switch(&dropped, &next->sp);
    __builtin_unreachable();
}

/* Before each step that could leave something behind a mortal task may end for good, with whatever
 * it holds: a choice like any other. A step that only reads leaves nothing. */
void sim_may_die(struct sim_task *t)
{
    if (!run.death_left || !schedule.strategy->decide(DECIDE_DIE))
        return;
    run.death_left--;
    take(t->index, t->accesses, DECIDE_DIE, 0);
    if (config.recording)
        trace_event(EVENT_DIE, 0, 0, t->next.pc);
    if (run.proxies)
        remote_kill(t->index);
    leave(t, TASK_KILLED);
}

bool sim_died(u32 task)
{
    return task < run.nr_tasks && run.task[task].state == TASK_KILLED;
}

bool sim_decide(u32 what, u64 pc)
{
    struct sim_task *t = run.running;

    if (run.alone || !run.fault_left[what] || !schedule.strategy->decide(what))
        return false;
    ASSERT(what < NR_FAULTS && run.running->state == TASK_WAITING);
    run.fault_left[what]--;
    take(t->index, t->accesses, (u8)(DECIDE_FAULT + what), 0);
    if (config.recording)
        trace_event(EVENT_FAIL, what, 0, pc);
    return true;
}

/* --- tasks --- */

static void task_main(void)
{
    struct sim_task *t = run.running;

    run.host.body(t->index);
    t->accesses++;                      /* its end is no point of its last operation */
    if (unlikely(t->special & SPECIAL_MORTAL))
        sim_may_die(t);
    leave(t, TASK_FINISHED);
}

static void task_reset(u32 i)
{
    struct sim_task *t = &run.task[i];

    t->sp = fiber_new(i, task_main);
    t->state = TASK_WAITING;
    t->next = (struct access){ .kind = POINT_NONE };
    sim_set_ready(i, READY);
    t->has_run = 1;
    t->woken = 0;
    t->payload = 0;
    t->special = t->mortal && run.death_left && !run.alone ? SPECIAL_MORTAL : 0;
    t->held = held_locks[i];
    t->nr_held = t->held_before = 0;
    t->accesses = 0;
    t->program_at = t->furthest = t->turns = 0;
}

static void run_from_main(struct sim_task *t)
{
    sim_becomes(t);
    in_fiber = true;
    fiber_switch(&main_sp, &t->sp);
    in_fiber = false;
}

/* Whether there are observers that are not always asked (observe.h). */
static void sim_watch(void)
{
    run.watched = order_on || config.coverage_on || config.recording > 1
        || (schedule.strategy && schedule.strategy->executed);
}

/* Set-up and finish: one task by itself. run.ending is END_NONE, or why it was left. */
void sim_run_alone(u32 task)
{
    run.alone = true;
    sim_set_unusual(true);
    sim_watch();
    task_reset(task);
    run.steps = run.progress_step = 0;
    run_from_main(&run.task[task]);
    run.alone = false;
}

static void first_choice(void)
{
    struct sim_task *first = sim_choose(NULL);
    void *dropped;

    sim_becomes(first);
    fiber_switch(&dropped, &first->sp);
}

void sim_execute(void)
{
    run.ending = END_NONE;
    if (unlikely(verdict.kind))
        memset(&verdict, 0, sizeof(verdict));
    run.steps = run.choices = run.switches = run.given_way = run.progress_step = 0;
    schedule.nr_taken = 0;
    schedule.list_good = false;
    schedule.doing = NULL;
    run.death_left = config.death_budget;
    for (u32 i = 0; i < NR_FAULTS; i++)
        run.fault_left[i] = config.fault_budget[i];
    for (u32 i = 0; i < run.nr_tasks; i++)
        task_reset(i);
    if (schedule.strategy == &strategy_replay) {
        memset(start_clock, 0, sizeof(start_clock[0]) * run.nr_tasks);
        for (u32 i = 0; i < schedule.nr_script; i++) {
            const struct sim_choice *c = &schedule.script[i];

            if (c->decision == DECIDE_START && c->task < run.nr_tasks)
                start_clock[c->task] = c->at;
        }
    }
    starting = true;
    sim_set_unusual(true);
    sim_watch();
    for (u32 i = 0; i < run.nr_tasks && run.ending == END_NONE; i++)
        run_from_main(&run.task[i]);
    starting = false;
    sim_set_unusual(config.recording || schedule.strategy->executed);
    if (schedule.strategy == &strategy_replay)
        memset(start_clock, 0, sizeof(start_clock[0]) * run.nr_tasks);
    if (run.ending != END_NONE)
        return;
    /* The first choice may end the execution: it is made on a stack that can be left. */
    in_fiber = true;
    run.running = NULL;
    first_sp = fiber_new(run.nr_tasks, first_choice);
    fiber_switch(&main_sp, &first_sp);
    in_fiber = false;
}

bool sim_in_fiber(void)
{
    return in_fiber || run.remote == REMOTE_GATED;
}

/* --- the world's beginning and end --- */

/* Bytes from the arena's base that tasks share. */
u64 sim_shared(void)
{
    return full_window;
}

int sim_start(void *arena, u64 arena_size, u64 window)
{
    memory.base = arena;
    memory.size = arena_size;
    full_window = window;
    if (fiber_stacks(run.nr_tasks + 2))
        return -1;
    profile_forget();
    races_start(arena_size);
    regions_start();
    undo_mark();
    return 0;
}

void sim_stop(void)
{
    memory.window = 0;
    races_stop();
    regions_stop();
    trace_free();
    lock_order_reset();
    promote_reset();
    free(schedule.taken);
    schedule.taken = NULL;
    schedule.nr_taken = schedule.max_taken = 0;
}

int sim_enter(void)
{
    memory.window = full_window;
    return signals_catch();
}

void sim_leave(void)
{
    memory.window = 0;
    signals_leave();
}
