/* Replay: what a schedule says, at the clocks that it names; elsewhere the default.
 *
 * Interventions are looked up by task and clock, so a schedule from which some were taken out
 * still means something: shrinking is done with this. */
#include "sim.h"

#include <string.h>

static u32 cursor[SIM_TASKS + 1];       /* of each task, and of the first choice of all */
static u32 used;

static void prepare(void) { }

static bool begin(void)
{
    memset(cursor, 0, sizeof(cursor));
    used = 0;
    return true;
}

static const struct sim_choice *find(u32 task, u64 at, bool (*wanted)(u8, u32), u32 what)
{
    u32 slot = task == NO_TASK ? SIM_TASKS : task;
    u32 i = cursor[slot];

    for (; i < schedule.nr_script; i++) {
        const struct sim_choice *c = &schedule.script[i];

        if (c->task != task || c->decision == DECIDE_START || c->at < at)
            continue;
        if (c->at > at)
            break;
        if (wanted(c->decision, what)) {
            cursor[slot] = i + 1;
            used++;
            return c;
        }
    }
    return NULL;
}

static bool is_switch(u8 decision, u32 what) { (void)what; return decision == DECIDE_SWITCH; }
static bool is_death(u8 decision, u32 what) { (void)what; return decision == DECIDE_DIE; }
static bool is_failure(u8 decision, u32 what) { return decision == DECIDE_FAULT + what; }

static u32 choose(const u8 *enabled, u32 n, int running)
{
    const struct sim_task *t = running >= 0 ? &run.task[enabled[running]] : run.running;
    const struct sim_choice *c = find(t ? t->index : NO_TASK, t ? t->accesses : 0, is_switch, 0);

    for (u32 i = 0; c && i < n; i++)
        if (enabled[i] == c->to)
            return i;
    if (c && config.strict)
        sim_end(END_REPLAY_LOST);
    if (running >= 0 && t->next.kind != POINT_YIELD)
        return (u32)running;
    for (u32 i = 0; t && i < n; i++)
        if (enabled[i] > t->index)
            return i;
    return 0;
}

static bool decide(u32 what)
{
    struct sim_task *t = run.running;

    return find(t->index, t->accesses, what == DECIDE_DIE ? is_death : is_failure, what) != NULL;
}

static void end(void)
{
    u32 asked = 0;

    for (u32 i = 0; i < schedule.nr_script; i++)
        asked += schedule.script[i].decision != DECIDE_START;
    schedule.unused = asked - used;
}

const struct strategy strategy_replay = {
    "replay", prepare, begin, choose, decide, NULL, end, NULL,
};
