/* Linearizability of what handles hold: each object is a register (Wing and Gong's search).
 *
 * Histories of one execution are short; the search is over sets of operations, remembered, one
 * object at a time (the property is compositional, Herlihy and Wing 1990). */
#include "sim.h"
#include "remote.h"

#include <stdio.h>
#include <string.h>

enum { MOST = 256, MOST_OF_ONE = 64, REMEMBERED = 512 };

static struct operation {
    u64 began, ended;                   /* 0: not ended */
    u64 value;
    u32 object;
    u32 task;
    bool write;
} history[MOST];
static u32 nr, clock_;
static bool too_long;
static u64 initial_of[64];              /* an object's value before the first write, + 1 */

void linear_begin(void)
{
    nr = clock_ = 0;
    too_long = false;
}

void linear_initial(u32 object, u64 value)
{
    if (object < 64)
        initial_of[object] = value;
}

u32 linear_invoke(u32 task, u32 object, bool write, u64 value)
{
    if (nr == MOST) {
        too_long = true;
        return MOST;
    }
    history[nr] = (struct operation){ ++clock_, 0, value, object, task, write };
    return nr++;
}

void linear_respond(u32 operation, u64 value)
{
    if (operation >= MOST)
        return;
    if (unlikely(sim.remote)) {
        remote_ask(&(struct remote_call){ .what = CALL_RESPOND, .number = operation,
                                          .value = value });
        return;
    }
    history[operation].ended = ++clock_;
    if (!history[operation].write)
        history[operation].value = value;
}

/* What was tried in vain: these operations done, the register holding this. Forgets. */
static struct tried { u64 done, value; } tried[REMEMBERED];

static inline struct tried *tried_at(u64 done, u64 value)
{
    return &tried[sim_mix(done ^ value * 0x9E3779B97F4A7C15ull) % REMEMBERED];
}

/* Whether what is not in `done` yet can be put in order, with the register holding `value`. */
static bool can_order(const u32 *which, u32 n, u64 done, u64 value)
{
    u64 first_end = ~0ull;
    bool all = true;
    struct tried *vain;

    for (u32 i = 0; i < n; i++) {
        const struct operation *o = &history[which[i]];

        if (done >> i & 1)
            continue;
        if (o->ended)
            all = false;
        if (o->ended && o->ended < first_end)
            first_end = o->ended;
    }
    if (all)
        return true;                    /* what never ended need not have happened */
    vain = tried_at(done, value);
    if (done && vain->done == done && vain->value == value)
        return false;
    for (u32 i = 0; i < n; i++) {
        const struct operation *o = &history[which[i]];

        if (done >> i & 1 || o->began > first_end)
            continue;
        if (o->write ? can_order(which, n, done | 1ull << i, o->value)
                     : (!o->ended || o->value == value)
                       && can_order(which, n, done | 1ull << i, value))
            return true;
    }
    *vain = (struct tried){ done, value };
    return false;
}

enum linear linear_check(char *text, u32 size)
{
    u32 which[MOST_OF_ONE], n;

    if (too_long)
        return LINEAR_UNKNOWN;
    for (u32 i = 0; i < nr; i++) {
        bool met = false;

        for (u32 k = 0; k < i; k++)
            met |= history[k].object == history[i].object;
        if (met)
            continue;
        n = 0;
        for (u32 k = i; k < nr; k++) {
            if (history[k].object != history[i].object)
                continue;
            if (n == MOST_OF_ONE)
                return LINEAR_UNKNOWN;
            which[n++] = k;
        }
        memset(tried, 0, sizeof(tried));
        if (!can_order(which, n, 0,
                       history[i].object < 64 ? initial_of[history[i].object] : 0)) {
            snprintf(text, size, "the reads of object %u fit no order of its writes",
                     history[i].object);
            return LINEAR_NOT;
        }
    }
    return LINEAR;
}
