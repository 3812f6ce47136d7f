/* Whether an execution that met the step limit goes on for ever.
 *
 * A schedule that starves somebody proves nothing: from the limit on all tasks that can go on take
 * turns, the fairest of schedules, whatever the strategy. Where somebody then gets further there is
 * a way out, and the execution was cut, no more. Where nobody does it is a livelock; whether by a
 * state that comes again, which proves it for this schedule, or by the budget alone, is said. */
#include "sim.h"

#include <stdio.h>
#include <string.h>

enum {
    LIVELOCK_STEPS = 200,               /* no operation of the subject is so long */
    FAIR_STEPS = 4096,
    LEARNED = 512,                      /* steps after which all locks of a cycle are known */
    COMPARED = 256,                     /* states with the first one, of the task that began */
    MOST_LOCKS = 64,
};

static const struct strategy *put_off;  /* the strategy, while tasks take turns */
static u32 fair_from, taken_before;
static u32 first_task, first_step, compared, period;
static u64 first_state[2];
static u64 lock_at[MOST_LOCKS];
static u32 nr_locks;

static void prepare(void) { }
static bool begin(void) { return true; }

/* The next after the one that runs. */
static u32 choose(const u8 *enabled, u32 n, int running)
{
    (void)running;
    for (u32 i = 0; i < n; i++)
        if (enabled[i] > run.running->index)
            return i;
    return 0;
}

static bool decide(u32 what)
{
    (void)what;
    return false;
}

static const struct strategy taking_turns = {
    .name = "turns", .prepare = prepare, .begin = begin, .choose = choose, .decide = decide,
};

/* --- states --- */

static void fold(u64 *state, const void *memory, u64 bytes)
{
    const char *p = memory;
    u64 word;

    for (; bytes >= 8; p += 8, bytes -= 8) {
        memcpy(&word, p, 8);
        state[0] = sim_mix(state[0] ^ word);
        state[1] = (state[1] ^ word) * 0x9E3779B97F4A7C15ull + (state[1] >> 29);
    }
}

/* A spinlock's word counts how often it was taken: that decides nothing. */
static void learn_lock(const struct access *a)
{
    u32 i = 0;

    if (a->kind != POINT_LOCK && a->kind != POINT_TRYLOCK)
        return;
    while (i < nr_locks && lock_at[i] != a->offset)
        i++;
    if (i == nr_locks && nr_locks < MOST_LOCKS)
        lock_at[nr_locks++] = a->offset;
}

/* All that decides what comes next: the arena, and each task's stack and pending access. */
static void state_now(u64 *state, const char *running_stack)
{
    u32 kept[MOST_LOCKS];

    state[0] = state[1] = 0;
    for (u32 i = 0; i < nr_locks; i++) {
        u32 *word = (u32 *)(memory.base + lock_at[i]);

        kept[i] = *word;
        *word &= OWNER_MASK;
    }
    fold(state, memory.base, memory.window);
    for (u32 i = 0; i < nr_locks; i++)
        *(u32 *)(memory.base + lock_at[i]) = kept[i];
    for (u32 i = 0; i < run.nr_tasks; i++) {
        const struct sim_task *t = &run.task[i];
        const char *from = t == run.running ? running_stack : t->sp;
        u64 short_of_it[3] = { t->state, t->program_at, schedule.ready[i] };

        fold(state, short_of_it, sizeof(short_of_it));
        if (t->state == TASK_WAITING) {
            fold(state, &t->next.offset, 8);
            fold(state, &t->next.pc, 8);
            fold(state, from, (u64)(fiber_top(i) - from));
        }
    }
}

static void look_at_state(const char *stack)
{
    u64 state[2];

    if (period || compared == COMPARED || run.running->index != first_task
            || run.steps < fair_from + LEARNED)
        return;
    state_now(state, stack);
    if (compared++ == 0) {
        memcpy(first_state, state, sizeof(state));
        first_step = run.steps;
    } else if (!memcmp(first_state, state, sizeof(state))) {
        period = run.steps - first_step;
    }
}

/* --- the limit --- */

static void take_turns(void)
{
    put_off = schedule.strategy;
    schedule.strategy = &taking_turns;
    sim_set_unusual(true);
    run.take_turns = true;
    fair_from = run.steps;
    taken_before = schedule.nr_taken;
    first_task = run.running->index;
    compared = period = nr_locks = 0;
}

/* An execution is over. */
void livelock_over(void)
{
    if (put_off)
        schedule.strategy = put_off;
    put_off = NULL;
    run.take_turns = false;
}

/* Tasks take turns, and this one is at a point. */
void livelock_step(void)
{
    if (run.progress_step > fair_from) {
        schedule.nr_taken = taken_before;
        sim_end(END_STEPS);
    }
    learn_lock(&run.running->next);
    look_at_state(__builtin_frame_address(0));
}

/* More steps than the limit: called at each from there on. */
void sim_too_many_steps(void)
{
    u32 long_enough = config.max_steps / 2 > LIVELOCK_STEPS ? config.max_steps / 2 : LIVELOCK_STEPS;
    char text[180];

    if (!put_off) {
        if (run.alone || run.steps - run.progress_step < long_enough)
            sim_end(END_STEPS);         /* an operation may be long: that is no verdict */
        take_turns();
        return;
    }
    if (run.steps < fair_from + FAIR_STEPS)
        return;
    schedule.nr_taken = taken_before;   /* the turns follow from the limit */
    snprintf(text, sizeof(text), period
             ? "no task got further in %u steps, nor in %u more in which all took turns; the same "
             "state comes again every %u steps"
             : "no task got further in %u steps, nor in %u more in which all took turns",
             fair_from - run.progress_step, FAIR_STEPS, period);
    sim_fail(V_LIVELOCK, "livelock", 0, 0, 0, run.running->next.pc, text);
}
