/* Many executions, one after the other, from the image that set-up left: until something is
 * found, or the strategy has seen all, or the budget is used up. */
#include "sim.h"
#include "distinct.h"
#include "lock_order.h"
#include "races.h"
#include "remote.h"
#include "signals.h"

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
        print = sim_mix(print ^ *(const u64 *)(memory.base + at));
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
    for (u32 i = 0; i < run.nr_tasks + 2; i++)
        memcpy(run.task[i].saved, run.task[i].context, bytes);
    undo_mark();
    regions_sync();
}

/* A few words: not worth a call of memcpy each time. */
static inline void copy_context(void *to, const void *from)
{
    for (u32 at = 0; at < context_bytes; at += 64) {
        memcpy((char *)to + at, (const char *)from + at, 64);
        __asm__("" ::: "memory");
    }
}

static void reset(void)
{
    undo_reset();
    regions_reset();
    for (u32 i = 0; i < run.nr_tasks + 2; i++) {
        if (!run.task[i].has_run)
            continue;
        copy_context(run.task[i].context, run.task[i].saved);
        run.task[i].has_run = 0;
    }
}

u64 sim_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (u64)t.tv_sec * 1000000000ull + (u64)t.tv_nsec;
}

static u32 word_at(u64 offset)
{
    return *(const u32 *)(memory.base + offset);
}

/* Whether a lock that the dead task had taken is taken still, as its word says: a reader is not
 * named there, but all the others are done. */
static bool still_held(const struct sim_task *t, u32 k)
{
    u32 word = word_at(t->held[k].offset);

    return t->held[k].kind == POINT_READ_LOCK ? word >= READER
                                              : (word & OWNER_MASK) == t->index + 1;
}

/* What a task left locked: it ended, or it died. */
static bool locks_are_left(void)
{
    char text[160];

    for (u32 i = 0; i < run.nr_tasks; i++) {
        struct sim_task *t = &run.task[i];
        bool died = t->state == TASK_KILLED;

        for (u32 k = 0; k < t->nr_held; k++) {
            if (t->state != TASK_FINISHED && !(died && still_held(t, k)))
                continue;
            run.running = t;
            snprintf(text, sizeof(text), died ? "task %u died with the lock 0x%x held, and nobody "
                     "has set it free" : "task %u ends with the lock 0x%x held", i + 1,
                     t->held[k].offset);
            sim_report(died ? V_ORPHANED_LOCK : V_LOCK_MISUSE, "end", 0, 0, t->held[k].offset,
                       text);
            verdict.pc = t->held[k].pc;
            run.ending = END_VERDICT;
            return true;
        }
    }
    return false;
}

/* Everybody is done, or dead: what must hold now? */
static void judge(void)
{
    char text[160];

    for (u32 i = 0; i < run.nr_tasks; i++)
        if (config.deadlock_ok && run.task[i].state == TASK_WAITING && !run.task[i].daemon)
            return;                     /* it waits for ever in the middle of something */
    if (locks_are_left())
        return;
    switch (linear_check(text, sizeof(text))) {
    case LINEAR:
        break;
    case LINEAR_NOT:
        sim_report(V_CORRUPTION, "linearizability", 0, 0, 0, text);
        run.ending = END_VERDICT;
        return;
    case LINEAR_UNKNOWN:
        run.ending = END_STEPS;         /* a limit, and no pass */
        return;
    }
    if (config.finish_is_audit && !undo_touches(memory.audited_from)) {
        run.ending = END_DONE;          /* only scratch words were written to */
        return;
    }
    run.ending = END_NONE;
    sim_run_alone(run.nr_tasks + 1);
    if (run.ending == END_NONE && !undo_touches(memory.audited_from)) {
        run.ending = END_DONE;          /* only scratch words were written to */
    } else if (run.ending == END_NONE) {
        sim_look_away();
        run.running = NULL;
        run.ending = run.host.audit() ? END_VERDICT : END_DONE;
        sim_look_again();
    }
}

static void one_execution(void)
{
    u32 steps;

    run.death_rarity = 2;               /* deaths early and late, in short programs and long ones */
    if (unlikely(config.death_budget) && schedule.strategy != &strategy_replay)
        run.death_rarity = (u8)(2 + sim_random_below(9));
    sim_execute();
    steps = run.steps;
    if (run.ending == END_DONE)
        judge();
    run.steps = steps;
    if (unlikely(run.ending == END_AGAIN))
        return;
    sim_totals.executions++;
    sim_totals.steps += steps;
    sim_totals.choices += run.choices;
    sim_totals.switches += run.switches;
    for (u32 i = 0; i < run.nr_tasks; i++)
        sim_totals.deaths += run.task[i].state == TASK_KILLED;
    sim_totals.limited += run.ending == END_STEPS;
    sim_totals.pruned += run.ending == END_PRUNED;
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
    run.deadline = left ? sim_now() + left : 0;
    run.ran_long = false;
    for (u64 n = 0; n < executions; n++) {
        if (unlikely(sim_stop_asked())
                || (((n & 63) == 63 || run.ran_long) && sim_now() > deadline)) {
            why = STOP_TIME;
            break;
        }
        reset();
        ASSERT(image_is_back(n));
        if (unlikely(run.proxies) && !remote_complete()) {
            why = STOP_PROCESS;
            break;
        }
        sim_random_start(sim_mix(config.seed ^ sim_mix(run.execution + 1)));
        run.unnumbered = run.ran_long = false;
        run.hash = 0;
        trace_reset();
        races_begin();
        coverage_begin();
        lock_order_begin();
        linear_begin();
        if (!schedule.strategy->begin()) {
            why = STOP_EXHAUSTED;
            break;
        }
        one_execution();
        livelock_over();
        if (schedule.strategy->end)
            schedule.strategy->end();
        if (unlikely(run.ending == END_AGAIN)) {
            n--;
            continue;
        }
        run.execution += !run.unnumbered;
        if (run.ending == END_VERDICT || order_cycles) {
            why = STOP_FOUND;
            break;
        }
        if (run.ending == END_REPLAY_LOST) {
            why = STOP_LOST;
            break;
        }
        if (run.ending == END_PROCESS) {
            why = STOP_PROCESS;
            break;
        }
    }
    run.deadline = 0;
    sim_leave();
    return why;
}
