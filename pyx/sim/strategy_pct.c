/* Priorities with change points (PCT): Burckhardt, Kothari, Musuvathi and Nagarakatte, "A
 * Randomized Scheduler with Probabilistic Guarantees of Finding Bugs", ASPLOS 2010.
 *
 * The n tasks get random distinct priorities d..d+n-1, and d-1 steps are drawn from 1..k. The
 * best task that can go on runs; whoever is about to make the i-th drawn step gets priority i
 * instead. A bug that d ordered events make is met with a probability of at least
 * 1/(n k^(d-1)).
 *
 * Departs from the paper: a step is a choice between two tasks or more, nothing else counts; k
 * is the longest execution so far, so that the first has no change points; a task that yields
 * or spins goes below all others, for they would starve; an execution far longer than k goes
 * on at random. */
#include "sim.h"

enum {
    MOST_POINTS = 64,
    FAR = 16,                           /* times k, */
    AT_LEAST = 2000,                    /* and no less: from here on at random */
};

static int64_t priority[SIM_TASKS];
static int64_t lowest;
static u64 point[MOST_POINTS];          /* of point[i] the priority is i + 1 */
static u32 nr_points;
static u64 far;

static void prepare(void) { }

static bool begin(void)
{
    u32 d = sim.depth < 1 ? 1 : sim.depth > MOST_POINTS ? MOST_POINTS : (u32)sim.depth;
    u64 k = sim.longest;

    lowest = 0;
    for (u32 i = 0; i < sim.nr_tasks; i++) {        /* a shuffle of d..d+n-1 */
        u32 other = sim_random_below(i + 1);

        priority[i] = priority[other];
        priority[other] = (int64_t)(d + i);
    }
    nr_points = k ? d - 1 : 0;
    for (u32 i = 0; i < nr_points; i++)
        point[i] = 1 + sim_random_below((u32)k);
    far = FAR * k > AT_LEAST ? FAR * k : AT_LEAST;
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
    const struct sim_task *t = sim.running;
    u32 chosen;

    (void)running;
    if (unlikely(sim.choices > far))
        return sim_random_below(n);
    if (t && (t->kind == POINT_YIELD || t->kind == POINT_CHANGE || t->kind == POINT_FREE))
        priority[t->index] = --lowest;
    chosen = best(enabled, n);
    for (u32 i = 0; i < nr_points; i++)
        if (unlikely(point[i] == sim.choices)) {
            priority[enabled[chosen]] = (int64_t)i + 1;
            chosen = best(enabled, n);
        }
    return chosen;
}

const struct strategy strategy_pct = {
    "pct", prepare, begin, choose, sim_decide_at_random, NULL, NULL, NULL,
};
