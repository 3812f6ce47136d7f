/* Partial order sampling (POS): Yuan, Yang and Gu, "Partial Order Aware Concurrency Sampling",
 * CAV 2018.
 *
 * Each pending operation has a uniform random priority, and the best that can be done is done.
 * Then the operations that conflict with it (the same memory, and one of the two writes) are
 * drawn anew, and the next of the task that ran is drawn. So every order of conflicting
 * operations is about as likely as in a sample of partial orders; the order of those that do
 * not conflict costs nothing.
 *
 * Departs from the paper: who yields or spins conflicts with all, or a task with a low draw
 * would wait for as long as others spin. */
#include "sim.h"

static u64 priority[SIM_TASKS];         /* of what each task is about to do */

static void prepare(void) { }

static bool begin(void)
{
    for (u32 i = 0; i < run.nr_tasks; i++)
        priority[i] = sim_random();
    return true;
}

static u32 choose(const u8 *enabled, u32 n, int running)
{
    u32 found = 0;

    (void)running;
    for (u32 i = 1; i < n; i++)
        if (priority[enabled[i]] > priority[enabled[found]])
            found = i;
    return found;
}

static void executed(u32 task)
{
    const struct sim_task *t = &run.task[task];
    bool spins = t->next.kind == POINT_YIELD;

    for (u32 i = 0; i < run.nr_tasks; i++)
        if (i == task || (run.task[i].state == TASK_WAITING
                          && (spins || accesses_conflict(&t->next, &run.task[i].next))))
            priority[i] = sim_random();
}

const struct strategy strategy_pos = {
    "pos", prepare, begin, choose, sim_decide_at_random, executed, NULL, NULL,
};
