/* Nobody can go on: who waits for whom, told as the cycle where there is one, or as the task that
 * waits for what nobody left can do. An owner that was killed makes it an orphaned lock. */
#include "sim.h"

#include <stdio.h>

static u32 word_at(u64 object)
{
    return *(u32 *)(memory.base + object);
}

/* The task that t waits for, or -1. */
static int waits_for(const struct sim_task *t)
{
    u32 owner;

    if (t->next.kind < POINT_LOCK || t->next.kind > POINT_FREE)
        return -1;
    owner = word_at(t->next.offset) & OWNER_MASK;
    if (owner)
        return owner <= run.nr_tasks + 2 ? (int)owner - 1 : -1;
    for (u32 i = 0; i < run.nr_tasks; i++)      /* a writer behind readers */
        for (u32 k = 0; k < run.task[i].nr_held; k++)
            if (run.task[i].held[k].offset == t->next.offset)
                return (int)i;
    return -1;
}

void sim_nobody_can_go_on(void)
{
    char text[184];
    u32 first = SIM_TASKS, at;
    int next, n = 0, steps;
    bool orphaned = false;

    if (config.deadlock_ok && !run.alone)
        sim_end(END_DONE);
    if (run.alone) {
        snprintf(text, sizeof(text), "it waits at 0x%llx, and nobody else runs",
                 (unsigned long long)run.running->next.offset);
        sim_fail(V_DEADLOCK, "deadlock", 0, 0, run.running->next.offset, run.running->next.pc,
                 text);
    }
    for (u32 i = 0; i < run.nr_tasks; i++) {
        struct sim_task *t = &run.task[i];

        if (t->state != TASK_WAITING || (t->daemon && t->next.kind == POINT_WORK))
            continue;
        if (first == SIM_TASKS)
            first = i;
        /* Prefer one that is on the cycle to one that waits for the cycle. */
        for (next = (int)i, steps = 0; next >= 0 && steps < 64; steps++) {
            if (run.task[next].state != TASK_WAITING)
                break;
            next = waits_for(&run.task[next]);
            if (next == (int)i) {
                first = i;
                i = run.nr_tasks;
                break;
            }
        }
    }
    at = first;
    for (steps = 0; steps < 6 && n < (int)sizeof(text); steps++) {
        next = waits_for(&run.task[at]);
        if (next < 0) {
            n += snprintf(text + n, sizeof(text) - n,
                          "%stask %u waits at 0x%llx for what no task left can do",
                          steps ? "; " : "", at + 1,
                          (unsigned long long)run.task[at].next.offset);
            break;
        }
        n += snprintf(text + n, sizeof(text) - n, "%stask %u waits for 0x%llx of task %d",
                      steps ? "; " : "", at + 1, (unsigned long long)run.task[at].next.offset,
                      next + 1);
        if (run.task[next].state == TASK_KILLED) {
            orphaned = true;
            n += snprintf(text + n, sizeof(text) - n > 0 ? sizeof(text) - n : 0, ", which is dead");
            break;
        }
        if (run.task[next].state == TASK_FINISHED) {
            n += snprintf(text + n, sizeof(text) - n > 0 ? sizeof(text) - n : 0,
                          ", which has finished");
            break;
        }
        at = (u32)next;
        if (at == first)
            break;
    }
    run.running = &run.task[first];
    sim_fail(orphaned ? V_ORPHANED_LOCK : V_DEADLOCK, orphaned ? "wait" : "deadlock", 0, 0,
             run.task[first].next.offset, run.task[first].next.pc, text);
}
