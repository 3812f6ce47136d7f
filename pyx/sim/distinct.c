/* How many executions of an exploration are distinct: strategies repeat each other, and those that
 * draw repeat themselves. Two are the same where they have the same schedule.
 *
 * Owns the count, which is exact up to 32,768. Beyond that it is an estimate, by adaptive sampling
 * (Wegman; Flajolet, Computing 43, 1990): each time that the table is full, only those whose print
 * ends in one more zero are kept. Its standard error is below 1 %. A larger table would be more
 * exact, and slow: it would not stay in the cache. */
#include "distinct.h"
#include "sim.h"

#include <stdlib.h>

enum { FIRST_BITS = 8, MOST_BITS = 16 };

struct distinct {
    u64 *prints;                        /* 0: nobody */
    u32 bits;                           /* of the size of the table */
    u32 kept;
    u32 zeros;                          /* that the print of one ends in that is kept */
};

static struct distinct *counted;        /* null: nobody counts */

struct distinct *distinct_new(void)
{
    struct distinct *d = calloc(1, sizeof(*d));

    if (d && !(d->prints = calloc(1 << FIRST_BITS, sizeof(u64)))) {
        free(d);
        return NULL;
    }
    if (d)
        d->bits = FIRST_BITS;
    return d;
}

void distinct_free(struct distinct *d)
{
    if (counted == d)
        counted = NULL;
    free(d->prints);
    free(d);
}

void distinct_use(struct distinct *d)
{
    counted = d;
}

u64 distinct_count(const struct distinct *d)
{
    return (u64)d->kept << d->zeros;
}

bool distinct_is_exact(const struct distinct *d)
{
    return d->zeros == 0;
}

static void keep(struct distinct *d, u64 print)
{
    u64 mask = (1ull << d->bits) - 1, at = print >> (64 - d->bits);

    if (print & ((1ull << d->zeros) - 1))
        return;
    while (d->prints[at] && d->prints[at] != print)
        at = (at + 1) & mask;
    d->kept += !d->prints[at];
    d->prints[at] = print;
}

/* A larger table; or, where it is as large as any, about every second is kept. */
static void make_room(struct distinct *d)
{
    u64 *old = d->prints, size = 1ull << d->bits;

    if (d->bits < MOST_BITS)
        d->bits++;
    else
        d->zeros++;
    d->prints = calloc(1ull << d->bits, sizeof(u64));
    if (!d->prints)
        abort();
    d->kept = 0;
    for (u64 i = 0; i < size; i++)
        if (old[i])
            keep(d, old[i]);
    free(old);
}

/* Of the execution that is over: what it did otherwise than by default, in any order, for each has
 * a time of its own. One that was cut short because others cover the rest of it is none. */
void distinct_add(void)
{
    u64 print = 0;

    if (!counted || run.ending == END_PRUNED)
        return;
    for (u32 i = 0; i < schedule.nr_taken; i++) {
        const struct sim_choice *c = &schedule.taken[i];

        print += sim_mix(c->at << 32 | (u64)c->task << 16 | (u64)c->decision << 8 | c->to);
    }
    print = sim_mix(print);
    keep(counted, print ? print : 1ull << 63);
    if (unlikely(counted->kept > 1ull << (counted->bits - 1)))
        make_room(counted);
}
