/* Many executions, one after the other, from the image that set-up left: until something is
 * found, or the strategy has seen all, or the budget is used up. */
#include "sim.h"
#include "distinct.h"
#include "lock_order.h"
#include "remote.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

struct sim_totals sim_totals;

static u32 context_bytes;

/* The arena as far as tasks share it. */
static u64 arena_print(void)
{
    u64 print = 0;

    for (u64 at = 0; at < sim_shared(); at += 8)
        print = sim_mix(print ^ *(const u64 *)(sim.base + at));
    return print;
}

/* Whether execution n of this exploration finds the arena as the first one did: looked at less and
 * less often. In between explorations others may have changed it. */
static bool image_is_back(u64 n)
{
    static u64 first;

    if (n == 0)
        first = arena_print();
    return (n & (n - 1)) != 0 || arena_print() == first;
}

/* The present state of the arena is what executions start from. */
void sim_image(u32 bytes)
{
    context_bytes = bytes;
    for (u32 i = 0; i < sim.nr_tasks + 2; i++)
        memcpy(sim.task[i].saved, sim.task[i].context, bytes);
    undo_mark();
    regions_sync();
}

static void reset(void)
{
    undo_reset();
    regions_reset();
    for (u32 i = 0; i < sim.nr_tasks + 2; i++)
        memcpy(sim.task[i].context, sim.task[i].saved, context_bytes);
}

u64 sim_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (u64)t.tv_sec * 1000000000ull + (u64)t.tv_nsec;
}

static u32 word_at(u64 offset)
{
    return *(const u32 *)(sim.base + offset);
}

/* Whether a lock that the dead task had taken is taken still, as its word says: a reader is not
 * named there, but all the others are done. */
static bool still_held(const struct sim_task *t, u32 k)
{
    u32 word = word_at(t->held[k]);

    return t->held_kind[k] == POINT_READ_LOCK ? word >= READER
                                              : (word & OWNER_MASK) == t->index + 1;
}

/* What a task left locked: it ended, or it died. */
static bool locks_are_left(void)
{
    char text[160];

    for (u32 i = 0; i < sim.nr_tasks; i++) {
        struct sim_task *t = &sim.task[i];
        bool died = t->state == TASK_KILLED;

        for (u32 k = 0; k < t->nr_held; k++) {
            if (t->state != TASK_FINISHED && !(died && still_held(t, k)))
                continue;
            sim.running = t;
            snprintf(text, sizeof(text), died ? "task %u died with the lock 0x%x held, and nobody "
                     "has set it free" : "task %u ends with the lock 0x%x held", i + 1,
                     t->held[k]);
            sim_report(died ? V_ORPHANED_LOCK : V_LOCK_MISUSE, "end", 0, 0, t->held[k], text);
            sim.verdict.pc = t->held_pc[k];
            sim.ending = END_VERDICT;
            return true;
        }
    }
    return false;
}

/* Everybody is done, or dead: what must hold now? */
static void judge(void)
{
    char text[160];

    for (u32 i = 0; i < sim.nr_tasks; i++)
        if (sim.deadlock_ok && sim.task[i].state == TASK_WAITING && !sim.task[i].daemon)
            return;                     /* it waits for ever in the middle of something */
    if (locks_are_left())
        return;
    switch (linear_check(text, sizeof(text))) {
    case LINEAR:
        break;
    case LINEAR_NOT:
        sim_report(V_CORRUPTION, "linearizability", 0, 0, 0, text);
        sim.ending = END_VERDICT;
        return;
    case LINEAR_UNKNOWN:
        sim.ending = END_STEPS;         /* a limit, and no pass */
        return;
    }
    if (sim.finish_is_audit && !undo_touches(sim.audited_from)) {
        sim.ending = END_DONE;          /* only scratch words were written to */
        return;
    }
    sim.ending = END_NONE;
    sim_run_alone(sim.nr_tasks + 1);
    if (sim.ending == END_NONE && !undo_touches(sim.audited_from)) {
        sim.ending = END_DONE;          /* only scratch words were written to */
    } else if (sim.ending == END_NONE) {
        sim_look_away();
        sim.running = NULL;
        sim.ending = sim.host.audit() ? END_VERDICT : END_DONE;
        sim_look_again();
    }
}

static void one_execution(void)
{
    u32 steps;

    sim.death_rarity = 2;               /* deaths early and late, in short programs and long ones */
    if (unlikely(sim.death_budget) && sim.strategy != &strategy_replay)
        sim.death_rarity = (u8)(2 + sim_random_below(9));
    sim_execute();
    steps = sim.steps;
    if (sim.ending == END_DONE)
        judge();
    sim.steps = steps;
    if (unlikely(sim.ending == END_AGAIN))
        return;
    sim_totals.executions++;
    sim_totals.steps += steps;
    sim_totals.choices += sim.choices;
    sim_totals.switches += sim.switches;
    for (u32 i = 0; i < sim.nr_tasks; i++)
        sim_totals.deaths += sim.task[i].state == TASK_KILLED;
    sim_totals.limited += sim.ending == END_STEPS;
    sim_totals.pruned += sim.ending == END_PRUNED;
    distinct_add();
}

/* Returns after about so many nanoseconds, between two executions; `left` (0: none) is when even
 * one that is under way is cut. */
int sim_explore(u64 executions, u64 nanoseconds, u64 left)
{
    u64 deadline = sim_now() + nanoseconds;
    int why = STOP_EXECUTIONS;

    if (sim_enter())
        return STOP_LOST;
    sim.deadline = left ? sim_now() + left : 0;
    sim.ran_long = false;
    for (u64 n = 0; n < executions; n++) {
        if (unlikely(sim_stop_asked())
                || (((n & 63) == 63 || sim.ran_long) && sim_now() > deadline)) {
            why = STOP_TIME;
            break;
        }
        reset();
        ASSERT(image_is_back(n));
        if (unlikely(sim.proxies) && !remote_complete()) {
            why = STOP_PROCESS;
            break;
        }
        sim.rng = sim_random_next(sim_mix(sim.seed ^ sim_mix(sim.execution + 1)) | 1);
        sim.unnumbered = sim.ran_long = false;
        sim.hash = 0;
        trace_reset();
        races_begin();
        coverage_begin();
        lock_order_begin();
        linear_begin();
        if (!sim.strategy->begin()) {
            why = STOP_EXHAUSTED;
            break;
        }
        one_execution();
        livelock_over();
        if (sim.strategy->end)
            sim.strategy->end();
        if (unlikely(sim.ending == END_AGAIN)) {
            n--;
            continue;
        }
        sim.execution += !sim.unnumbered;
        if (sim.ending == END_VERDICT || sim.order_cycles) {
            why = STOP_FOUND;
            break;
        }
        if (sim.ending == END_REPLAY_LOST) {
            why = STOP_LOST;
            break;
        }
        if (sim.ending == END_PROCESS) {
            why = STOP_PROCESS;
            break;
        }
    }
    sim.deadline = 0;
    sim_leave();
    return why;
}
