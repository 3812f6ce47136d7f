/* Happens-before without locks: which task has to be past a point before another can come to its
 * own. For lock order: that one section of a lock came before another is chance, that a flag was
 * waited for, or a task joined, is not.
 *
 * Owns a vector clock for each task and each word that carries an order, and how often memory was
 * reborn. An atomic write releases and an atomic read or a wait acquires, whatever memory order
 * they ask for: executions are sequentially consistent, and what is ordered once too often costs
 * a warning in this execution, not a false one. Never judges, and looks at no lock word. */
#include "lock_order.h"

#include <stdlib.h>
#include <string.h>

enum { UNIT = 64 };

struct word {
    u64 key;                            /* of a word, or of a unit of memory */
    u32 era;                            /* of an execution before: empty */
    u32 clock;                          /* 1 + its number in `carried` */
    u32 life;
};

u32 order_stride;
static u32 *clocks;                     /* of each task */
static u32 version[SIM_TASKS];
static u32 *carried;                    /* of words: stride each */
static u32 nr_carried, max_carried;
static struct word *table;              /* open addressing */
static u32 nr_words, max_words, era;

static u32 *clock_at(u32 task) { return clocks + (u64)task * order_stride; }

const u32 *order_clock(u32 task) { return clock_at(task); }
u32 order_version(u32 task) { return version[task]; }

static struct word *find(u64 key)
{
    u32 i = (u32)(sim_mix(key) & (max_words - 1));

    while (table[i].era == era && table[i].key != key)
        i = (i + 1) & (max_words - 1);
    return &table[i];
}

static void grow(void)
{
    u32 old = max_words;
    struct word *before = table;

    max_words = old ? 2 * old : 1024;
    table = calloc(max_words, sizeof(*table));
    if (!table)
        abort();
    for (u32 i = 0; i < old; i++)
        if (before[i].era == era)
            *find(before[i].key) = before[i];
    free(before);
}

static struct word *word_of(u64 key)
{
    struct word *w;

    if (2 * nr_words >= max_words)
        grow();
    w = find(key);
    if (w->era != era) {
        *w = (struct word){ .key = key, .era = era };
        nr_words++;
    }
    return w;
}

/* Offsets and units do not meet: the keys of units are odd. */
static u64 key_of_word(u64 offset) { return (offset & ~3ull) << 1 | 2; }
static u64 key_of_unit(u64 offset) { return offset / UNIT << 1 | 1; }

void order_clocks_begin(void)
{
    u32 stride = run.nr_tasks;

    if (stride != order_stride || !clocks) {
        order_clocks_free();
        order_stride = stride;
        clocks = malloc((u64)SIM_TASKS * stride * sizeof(u32));
        if (!clocks)
            abort();
    }
    memset(clocks, 0, (u64)run.nr_tasks * stride * sizeof(u32));
    for (u32 i = 0; i < run.nr_tasks; i++) {
        clock_at(i)[i] = 1;
        version[i] = 0;
    }
    if (++era == 0) {                   /* so many executions: what is left could be mistaken */
        memset(table, 0, max_words * sizeof(*table));
        era = 1;
    }
    nr_words = nr_carried = 0;
}

void order_clocks_free(void)
{
    free(clocks); free(carried); free(table);
    clocks = carried = NULL;
    table = NULL;
    nr_words = max_words = nr_carried = max_carried = order_stride = 0;
}

static u32 *carried_by(struct word *w)
{
    if (!w->clock) {
        if (nr_carried == max_carried) {
            max_carried = max_carried ? 2 * max_carried : 64;
            carried = realloc(carried, (u64)max_carried * order_stride * sizeof(u32));
            if (!carried)
                abort();
        }
        memset(carried + (u64)nr_carried * order_stride, 0, order_stride * sizeof(u32));
        w->clock = ++nr_carried;
    }
    return carried + (u64)(w->clock - 1) * order_stride;
}

static bool join(u32 *to, const u32 *from)
{
    bool more = false;

    for (u32 i = 0; i < order_stride; i++)
        if (from[i] > to[i]) {
            to[i] = from[i];
            more = true;
        }
    return more;
}

static void sync(u32 task, u64 offset, bool acquire, bool release)
{
    struct word *w = word_of(key_of_word(offset));

    if (acquire && w->clock)
        version[task] += join(clock_at(task), carried_by(w));
    if (release) {
        join(carried_by(w), clock_at(task));
        clock_at(task)[task]++;
        version[task]++;
    }
}

/* What it waited for may be anybody's doing. */
static void join_all(u32 task)
{
    for (u32 i = 0; i < order_stride; i++)
        if (i != task) {
            version[task] += join(clock_at(task), clock_at(i));
            clock_at(i)[i]++;
            version[i]++;
        }
}

void order_access(struct sim_task *t, const struct access *a)
{
    if (t->index >= order_stride)
        return;                         /* set-up, or the finish: all is before, or after */
    switch (a->kind) {
    case POINT_BIRTH:
        for (u64 at = a->offset; at < a->offset + a->size; at += UNIT)
            word_of(key_of_unit(at))->life++;
        break;
    case POINT_WORK:
        join_all(t->index);
        break;
    case POINT_LOAD:
    case POINT_STORE:
    case POINT_RMW:
        if (a->atomic)
            sync(t->index, a->offset, a->reads, a->writes);
        break;
    case POINT_CHANGE:
    case POINT_EQUAL:
        sync(t->index, a->offset, true, false);
        break;
    default:
        break;                          /* which task came first to a lock is chance */
    }
}

u32 order_life(u64 offset)
{
    struct word *w = max_words ? find(key_of_unit(offset)) : NULL;

    return w && w->era == era ? w->life : 0;
}
