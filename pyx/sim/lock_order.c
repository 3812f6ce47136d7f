/* Deadlocks that did not strike: Goodlock, with gate locks and segments (Bensalem and Havelund,
 * "Dynamic Deadlock Analysis of Multi-Threaded Programs", HVC 2005), and with readers as lockdep
 * treats recursive ones.
 *
 * A request is a lock that a task waits for with others held. Requests of different tasks make a
 * cycle when each waits for a lock that the next holds, and the last for one of the first; when
 * each such wait can block (a reader does not block a reader); when no two of them hold a lock in
 * common that keeps them apart (a gate); and when none is ordered before another (order_clock.c).
 * All of a cycle come from one execution. A try is no request: it never waits.
 *
 * A lock is itself, in one life of its memory; and locks of a class are alike where the two locks
 * of each step are of different classes.
 *
 * Clocks cost time: they are kept only once the requests of all executions, orders left aside,
 * have shown a cycle, and in replays. That first cycle is told as one that is not sure. Each of
 * the others is told once; a replay tells all of its own. Owns the requests; what a search gave up
 * is counted, never forgotten in silence. */
#include "lock_order.h"

#include <stdlib.h>
#include <string.h>

enum {
    LOOKED_AT = 200000,                 /* requests in one search, before it is given up */
};

struct request {
    u64 key;                            /* who wants what with what held */
    u32 task, version;
    u32 nr_held, first;                 /* of its locks: the wanted one, then those held */
    u32 clock;                          /* where its clock is kept */
};

/* Those of all executions (without clocks), or of one. */
struct requests {
    struct request *all;
    u32 nr, max;
    struct order_lock *locks;
    u32 nr_locks, max_locks;
    u32 *clocks;
    u64 nr_clocks, max_clocks;
    bool clocked;
};

struct order_step *order_steps;
u32 nr_order_steps;
u32 order_cycles;
bool order_sure, order_on;
u64 order_given_up;

static struct requests ever, now = { .clocked = true };
static u64 *known;                      /* keys of `ever`: open addressing, 0 is none */
static u32 nr_known, max_known;
static u64 *told;                       /* cycles that were told, and are sure */
static u32 nr_told, max_told, max_steps;
static u32 told_at_begin;
static u32 told_before;                 /* a replay tells all of its own anew */
static bool suspected;                  /* `ever` has a cycle */
static u64 *names;                      /* words by offset, classes by number */
static u8 *leads;                       /* of each name: whether a search can end there */
static u32 nr_names, max_names, max_leads;
static u32 looked_at;
static u32 path[SIM_TASKS];             /* of a search: requests, and the lock that each holds */
static u32 through[SIM_TASKS];

#define ROOM(array, nr, max)                                                            \
    do {                                                                                \
        if ((nr) >= (max)) {                                                            \
            (max) = (max) ? 2 * (max) : 64;                                             \
            (array) = realloc((array), (max) * sizeof(*(array)));                       \
            if (!(array))                                                               \
                abort();                                                                \
        }                                                                               \
    } while (0)

/* --- keys that were seen --- */

static bool is_known(u64 key)
{
    for (u32 i = (u32)key & (max_known - 1); max_known && known[i]; i = (i + 1) & (max_known - 1))
        if (known[i] == key)
            return true;
    return false;
}

static void put(u64 key)
{
    u32 i = (u32)key & (max_known - 1);

    while (known[i])
        i = (i + 1) & (max_known - 1);
    known[i] = key;
}

static void add_known(u64 key)
{
    if (2 * ++nr_known > max_known) {
        u64 *before = known;
        u32 old = max_known;

        max_known = old ? 2 * old : 256;
        known = calloc(max_known, sizeof(*known));
        if (!known)
            abort();
        for (u32 i = 0; i < old; i++)
            if (before[i])
                put(before[i]);
        free(before);
    }
    put(key);
}

static inline u64 key_of(const struct sim_task *t, int kind, u64 offset)
{
    u64 key = offset << 16 | (u64)kind << 8 | t->index;

    for (u32 i = 0; i < t->nr_held; i++)        /* one multiplication each: this is often done */
        key = key * 0x9E3779B97F4A7C15ull ^ ((u64)t->held[i].offset << 8 | t->held[i].kind);
    return sim_mix(key) | 1;
}

/* --- requests --- */

static u32 name_of(u64 offset, int lock_class)
{
    u64 name = lock_class < LC_WORDS ? (u64)lock_class : offset << 8;

    for (u32 i = 0; i < nr_names; i++)
        if (names[i] == name)
            return i;
    ROOM(names, nr_names, max_names);
    if (max_leads < max_names) {
        max_leads = max_names;
        leads = realloc(leads, max_leads);
        if (!leads)
            abort();
    }
    names[nr_names] = name;
    return nr_names++;
}

static struct order_lock *locks_of(const struct requests *r, u32 request)
{
    return r->locks + r->all[request].first;
}

static struct order_lock lock_held(const struct requests *r, const struct held_lock *l)
{
    return (struct order_lock){ l->offset, r->clocked ? order_life(l->offset) : 0, l->lock_class,
                                l->kind, name_of(l->offset, l->lock_class), l->pc };
}

static u32 add(struct requests *r, const struct sim_task *t, u64 key, struct order_lock wanted)
{
    struct request *made;

    ROOM(r->all, r->nr, r->max);
    made = &r->all[r->nr];
    *made = (struct request){ .key = key, .task = t->index, .nr_held = t->nr_held,
                              .first = r->nr_locks };
    for (u32 i = 0; i <= t->nr_held; i++) {
        ROOM(r->locks, r->nr_locks, r->max_locks);
        r->locks[r->nr_locks++] = i == 0 ? wanted : lock_held(r, &t->held[i - 1]);
    }
    if (r->clocked) {
        made->version = order_version(t->index);
        made->clock = (u32)r->nr_clocks;
        for (u32 i = 0; i < order_stride; i++) {
            ROOM(r->clocks, r->nr_clocks, r->max_clocks);
            r->clocks[r->nr_clocks++] = order_clock(t->index)[i];
        }
    }
    return r->nr++;
}

static bool was_added(const struct requests *r, u64 key, u32 task)
{
    for (u32 i = r->nr; i--;)
        if (r->all[i].key == key && r->all[i].version == order_version(task))
            return true;
    return false;
}

/* --- cycles --- */

static bool reads(const struct order_lock *lock) { return lock->kind == POINT_READ_LOCK; }

static bool same(const struct order_lock *a, const struct order_lock *b)
{
    return a->offset == b->offset && a->life == b->life;
}

static bool alike(const struct order_lock *a, const struct order_lock *b)
{
    return same(a, b) || (a->lock_class == b->lock_class && a->lock_class < LC_WORDS);
}

/* Whether two tasks can be at these requests at the same time. */
static bool together(const struct requests *r, u32 a, u32 b)
{
    const struct request *one = &r->all[a], *two = &r->all[b];
    const struct order_lock *of_one = locks_of(r, a) + 1, *of_two = locks_of(r, b) + 1;

    if (one->task == two->task)
        return false;
    for (u32 i = 0; i < one->nr_held; i++)
        for (u32 k = 0; k < two->nr_held; k++)
            if (same(&of_one[i], &of_two[k]) && !(reads(&of_one[i]) && reads(&of_two[k])))
                return false;
    if (!r->clocked)
        return true;
    /* A moment of the one is before the other's when that knows a release that came after it. */
    return r->clocks[two->clock + one->task] < r->clocks[one->clock + one->task]
        && r->clocks[one->clock + two->task] < r->clocks[two->clock + two->task];
}

/* Whether a cycle of so many requests could be one of locks, not only of their classes. */
static bool true_cycle(const struct requests *r, u32 n)
{
    bool exact = true;

    for (u32 i = 0; i < n; i++)
        exact &= same(locks_of(r, path[i]), &locks_of(r, path[(i + 1) % n])[through[(i + 1) % n]]);
    for (u32 i = 0; !exact && i < n; i++)
        if (locks_of(r, path[i])->lock_class == locks_of(r, path[i])[through[i]].lock_class)
            return false;
    return true;
}

/* The lock by which a request with `held` goes on from one that wants `wanted`; from `after` on.
 * 0: none. */
static u32 held_by(const struct requests *r, u32 request, const struct order_lock *wanted,
                   u32 after)
{
    const struct order_lock *locks = locks_of(r, request);

    for (u32 i = after + 1; i <= r->all[request].nr_held; i++)
        if (alike(&locks[i], wanted) && !(reads(&locks[i]) && reads(wanted)))
            return i;
    return 0;
}

/* The same whichever step comes first, and whoever takes it. */
static u64 hash_of_cycle(const struct requests *r, u32 n)
{
    u64 hash = 0;

    for (u32 i = 0; i < n; i++) {
        const struct order_lock *locks = locks_of(r, path[i]);

        hash += sim_mix(sim_mix(names[locks[through[i]].name]) ^ names[locks[0].name]);
    }
    return hash;
}

static bool was_told(u64 hash)
{
    for (u32 i = told_before; i < nr_told; i++)
        if (told[i] == hash)
            return true;
    return false;
}

/* A cycle of `length` requests, of which `n` are chosen: into path and through. */
static bool extend(const struct requests *r, u32 n, u32 length)
{
    const struct order_lock *wanted = locks_of(r, path[n - 1]);

    if (n == length) {
        for (u32 h = 0; (h = held_by(r, path[0], wanted, h));) {
            through[0] = h;
            if (true_cycle(r, n) && !was_told(hash_of_cycle(r, n)))
                return true;
        }
        return false;
    }
    for (u32 i = 0; i < r->nr; i++) {
        u32 k = 0;

        if (++looked_at > LOOKED_AT)
            return false;
        if (!leads[locks_of(r, i)->name] || !held_by(r, i, wanted, 0))
            continue;
        while (k < n && together(r, path[k], i))
            k++;
        if (k < n)
            continue;
        path[n] = i;
        for (u32 h = 0; (h = held_by(r, i, wanted, h));) {
            through[n] = h;
            if (extend(r, n + 1, length))
                return true;
        }
    }
    return false;
}

/* Whether any way leads from what this request wants to what it holds, whoever goes it: marks the
 * names from which there is one. */
static bool leads_back(const struct requests *r, u32 request)
{
    bool more = true;

    memset(leads, 0, nr_names);
    for (u32 i = 1; i <= r->all[request].nr_held; i++)
        leads[locks_of(r, request)[i].name] = true;
    while (more) {
        more = false;
        for (u32 i = 0; i < r->nr; i++) {
            const struct order_lock *locks = locks_of(r, i);

            for (u32 k = 1; leads[locks[0].name] && k <= r->all[i].nr_held; k++) {
                more |= !leads[locks[k].name];
                leads[locks[k].name] = true;
            }
        }
    }
    return leads[locks_of(r, request)->name];
}

/* Of the shortest cycle through this request that was not told, how long it is; 0: there is none. */
static u32 find_cycle(const struct requests *r, u32 request)
{
    if (!leads_back(r, request))
        return 0;
    path[0] = request;
    looked_at = 0;
    for (u32 length = 2; length <= run.nr_tasks && looked_at <= LOOKED_AT; length++)
        if (extend(r, 1, length))
            return length;
    order_given_up += looked_at > LOOKED_AT;
    return 0;
}

static void tell(const struct requests *r, u32 n)
{
    for (u32 i = 0; i < n; i++) {
        ROOM(order_steps, nr_order_steps, max_steps);
        order_steps[nr_order_steps++] = (struct order_step){
            order_cycles, r->all[path[i]].task, locks_of(r, path[i])[through[i]],
            locks_of(r, path[i])[0] };
    }
    order_cycles++;
    order_sure = r->clocked;
    if (!r->clocked)
        return;
    ROOM(told, nr_told, max_told);
    told[nr_told++] = hash_of_cycle(r, n);
}

/* --- an execution --- */

void lock_order_begin(void)
{
    if (run.ending == END_AGAIN)
        nr_told = told_at_begin;        /* nobody heard of them: that execution is done again */
    told_at_begin = nr_told;
    order_cycles = nr_order_steps = 0;
    order_on = suspected || schedule.strategy == &strategy_replay;
    told_before = schedule.strategy == &strategy_replay ? nr_told : 0;
    now.nr = now.nr_locks = 0;
    now.nr_clocks = 0;
    if (order_on)
        order_clocks_begin();
}

static __attribute__((noinline, cold)) void first_seen(struct sim_task *t, u64 key,
                                                       struct order_lock wanted)
{
    u32 n;

    wanted.name = name_of(wanted.offset, wanted.lock_class);
    add_known(key);
    if (suspected)
        return;
    n = find_cycle(&ever, add(&ever, t, key, wanted));
    if (!n)
        return;
    suspected = true;
    if (!order_on)
        tell(&ever, n);
}

static __attribute__((noinline)) void in_this_execution(struct sim_task *t, u64 key,
                                                        struct order_lock wanted)
{
    u32 made, n;

    if (was_added(&now, key, t->index))
        return;
    wanted.life = order_life(wanted.offset);
    wanted.name = name_of(wanted.offset, wanted.lock_class);
    made = add(&now, t, key, wanted);
    while ((n = find_cycle(&now, made)))
        tell(&now, n);
}

/* A task is about to wait for a lock, with others held. */
void lock_order_wanted(struct sim_task *t, const struct access *a, int lock_class)
{
    struct order_lock wanted = { (u32)a->offset, 0, lock_class, a->kind, 0, a->pc };
    u64 key;

    if (run.alone)
        return;                         /* set-up or finish: nobody else is there */
    key = key_of(t, a->kind, a->offset);
    if (unlikely(!is_known(key)))
        first_seen(t, key, wanted);
    if (unlikely(order_on))
        in_this_execution(t, key, wanted);
}

void lock_order_reset(void)
{
    ever.nr = ever.nr_locks = now.nr = now.nr_locks = 0;
    now.nr_clocks = 0;
    free(known);
    known = NULL;
    nr_known = max_known = nr_told = nr_names = 0;
    suspected = order_on = false;
    order_cycles = nr_order_steps = told_before = told_at_begin = 0;
    order_given_up = 0;
    order_clocks_free();
}
