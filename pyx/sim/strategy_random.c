/* Random walk: any enabled task, each alike. Not uniform over interleavings; the baseline. */
#include "sim.h"

enum { RARELY = 16 };                   /* one in so many chances to fail or to die is taken */

static void prepare(void) { }

static bool begin(void)
{
    return true;
}

bool sim_decide_at_random(u32 what)
{
    if (what == DECIDE_DIE)             /* there are many chances, and one death */
        return sim_random_below(1u << run.death_rarity) == 0;
    return sim_random_below(RARELY) == 0;
}

const struct strategy strategy_random = {
    "random", prepare, begin, NULL, sim_decide_at_random, NULL, NULL, NULL,
};
