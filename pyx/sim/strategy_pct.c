/* Priorities with change points (PCT): Burckhardt, Kothari, Musuvathi and Nagarakatte, "A
 * Randomized Scheduler with Probabilistic Guarantees of Finding Bugs", ASPLOS 2010.
 *
 * The n tasks get random distinct priorities d..d+n-1, and d-1 distinct steps are drawn from
 * 1..k. The best task that can go on runs; whoever is about to make the i-th drawn step gets
 * priority i instead. A bug that d ordered events make is met with a probability of at least
 * 1/(n k^(d-1)).
 *
 * Departs from the paper: a step is a choice between two tasks or more, nothing else counts; k
 * is the longest of the profiling executions (profile.c), which run the tasks one after the
 * other, in several orders, or walk at random; in one execution of sixteen it is doubled, for a
 * preemption may make a program longer than any profile; a task that yields or spins goes below
 * all others, for they would starve; an execution far longer than k goes on at random. */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

enum {
    LEAST_PROFILE = 4,
    FAR = 16,                           /* times k, */
    AT_LEAST = 2000,                    /* and no less: from here on at random */
};

static int64_t priority[SIM_TASKS];
static int64_t lowest;
static u32 *point;                      /* the drawn steps: of point[i] the priority is i + 1, */
static u32 *drawn;                      /* which is drawn[] of the step; else 0 */
static u32 nr_points, room;
static u32 k;                           /* of this execution; 0: it has no change points */
static u64 far;
static struct profile profile;
static bool profiling, walking;

static void prepare(void) { }

static void make_room(void)
{
    room = 2 * k + 1024;
    point = realloc(point, room * sizeof(*point));
    drawn = realloc(drawn, room * sizeof(*drawn));
    if (!point || !drawn)
        abort();
    memset(drawn, 0, room * sizeof(*drawn));
}

/* So many distinct steps of 1..k: any set of them alike (Floyd), then in any order. */
static void draw_points(u32 wanted)
{
    for (u32 i = 0; i < nr_points; i++)
        drawn[point[i]] = 0;
    nr_points = 0;
    if (k >= room)
        make_room();
    for (u32 last = k - wanted + 1; nr_points < wanted; last++) {
        u32 step = 1 + sim_random_below(last);

        if (drawn[step])
            step = last;
        drawn[step] = 1;
        point[nr_points++] = step;
    }
    for (u32 i = nr_points; i > 1; i--) {
        u32 other = sim_random_below(i), step = point[i - 1];

        point[i - 1] = point[other];
        point[other] = step;
    }
    for (u32 i = 0; i < nr_points; i++)
        drawn[point[i]] = i + 1;
}

static bool begin(void)
{
    u32 d = config.depth < 1 ? 1 : (u32)config.depth, n = run.nr_tasks;
    u32 least = n < LEAST_PROFILE ? n : LEAST_PROFILE;
    bool fresh;

    profiling = profile_begin(&profile, least, &fresh);
    if (fresh)
        schedule.longest = 0;
    lowest = 0;
    k = profiling ? 0 : (u32)schedule.longest;
    if ((run.execution & 15) == 15)
        k *= 2;
    far = FAR * (u64)k > AT_LEAST ? FAR * (u64)k : AT_LEAST;
    draw_points(d - 1 < k ? d - 1 : k);
    walking = profiling && profile.done > least && (profile.done - least) & 1;
    for (u32 i = 0; i < n; i++) {                   /* a shuffle of d..d+n-1 */
        u32 other = sim_random_below(i + 1);

        priority[i] = priority[other];
        priority[other] = (int64_t)d + i;
    }
    for (u32 i = 0; profiling && i < n; i++)        /* or one order after the other */
        priority[i] = (int64_t)d + (i + profile.done) % n;
    return true;
}

static u32 best(const u8 *enabled, u32 n)
{
    u32 found = 0;

    for (u32 i = 1; i < n; i++)
        if (priority[enabled[i]] > priority[enabled[found]])
            found = i;
    return found;
}

static u32 choose(const u8 *enabled, u32 n, int running)
{
    const struct sim_task *t = run.running;
    u32 chosen;

    (void)running;
    if (unlikely(walking || run.choices > far))
        return sim_random_below(n);
    if (t && t->next.kind == POINT_YIELD)
        priority[t->index] = --lowest;
    chosen = best(enabled, n);
    if (run.choices <= k && unlikely(drawn[run.choices])) {
        priority[enabled[chosen]] = drawn[run.choices];
        chosen = best(enabled, n);
    }
    return chosen;
}

static void end(void)
{
    if (profiling && run.choices > schedule.longest && run.ending != END_STEPS)
        schedule.longest = run.choices;
}

const struct strategy strategy_pct = {
    "pct", prepare, begin, choose, sim_decide_at_random, NULL, end, NULL,
};
