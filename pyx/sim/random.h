/* Chance: what is drawn follows from the seed and the number of the execution. */
#ifndef Z3F_RANDOM_H
#define Z3F_RANDOM_H

#include "run.h"

#pragma GCC visibility push(hidden)

/* xorshift64* (Vigna 2016). The next number is drawn beforehand: who wants it does not wait for it. */
static inline u64 sim_random_next(u64 x)
{
    x ^= x >> 12;
    x ^= x << 25;
    return x ^ x >> 27;
}

static inline u64 sim_random(void)
{
    u64 drawn = run.drawn;

    run.drawn = run.rng * 2685821657736338717ull;
    run.rng = sim_random_next(run.rng);
    return drawn;
}

static inline void sim_random_start(u64 seed)
{
    run.rng = sim_random_next(seed | 1);
    sim_random();
}

static inline u32 sim_random_below(u32 n)
{
    return (u32)(((sim_random() >> 32) * n) >> 32);
}

static inline u64 sim_mix(u64 x)
{
    x += 0x9E3779B97F4A7C15ull;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
    return x ^ (x >> 31);
}

#pragma GCC visibility pop

#endif
