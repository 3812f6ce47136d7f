/* Profiling executions: what a strategy has to know of a program before it can draw, measured in
 * executions that have no number of their own.
 *
 * Owns which executions those are. They follow from the seed and from the accesses that are
 * points, so that execution N is the same whichever execution was done before it: how many there
 * are follows from N alone, and when more accesses become points all of them are done again. They
 * are judged and counted as any execution is. Never knows what is measured. */
#include "sim.h"

static u32 worlds;

void profile_forget(void)
{
    worlds++;
}

/* One more each time that the number doubles: what is rare comes to be known in a long search. */
static u32 enough(u32 least)
{
    return least + 63 - (u32)__builtin_clzll(run.execution + 1);
}

/* Whether the execution that begins is a profiling one; `fresh`: what was measured is void. */
bool profile_begin(struct profile *p, u32 least, bool *fresh)
{
    *fresh = p->world != worlds || p->seed != config.seed || p->learnt != learnt
          || (p->last && run.ending == END_AGAIN);
    if (*fresh)
        *p = (struct profile){ .world = worlds, .seed = config.seed, .learnt = learnt };
    p->last = p->done < enough(least);
    if (!p->last)
        return false;
    run.unnumbered = true;
    sim_random_start(sim_mix(config.seed ^ sim_mix(~(u64)p->done)));
    p->done++;
    return true;
}
