/* Linearizability of what handles hold: each object is a register, and its operations must fit an
 * order in which each takes effect between its call and its return.
 *
 * Owns the history of one execution, as a log of calls and returns, and the search for an order:
 * Wing and Gong's, by Lowe's steps (a call may be next while no return comes before it), with the
 * sets of operations that were tried in vain remembered. One object at a time, which is enough
 * (Herlihy and Wing 1990, locality). As long as there is memory: a search that is given up says so,
 * and is no pass. Never decides what an execution that it could not judge counts as. */
#include "sim.h"
#include "remote.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NONE = ~0u };

static struct operation {
    u64 value;
    u32 object;
    u32 done;                           /* where in the log; NONE: it never returned */
    u32 step;                           /* of the search: its call */
    bool write;
} *operations;

static struct moment {                  /* a call or a return */
    u32 operation;
    u32 next;                           /* of the same object, in the log */
    bool returns;
} *moments;

static struct object {
    u64 initial;                        /* its value before the first write */
    u32 first, last;                    /* its moments, where it has any */
    u32 moments;
} *objects;

static u32 nr_operations, nr_moments, nr_objects;
static u32 *met, nr_met;                /* the objects of this execution */
static bool out_of_memory;

u64 linear_gave_up;                     /* executions that nobody could judge */

/* --- the history --- */

static bool grow(void **array, u32 *room, u32 wanted, u64 size)
{
    u32 more = *room ? *room : 64;
    void *grown;

    if (wanted <= *room)
        return true;
    while (more < wanted)
        more *= 2;
    grown = realloc(*array, more * size);
    if (!grown) {
        out_of_memory = true;
        return false;
    }
    memset((char *)grown + *room * size, 0, (more - *room) * size);
    *array = grown;
    *room = more;
    return true;
}

static struct object *object_of(u32 number)
{
    static u32 room_met;

    if (!grow((void **)&objects, &nr_objects, number + 1, sizeof(*objects))
            || !grow((void **)&met, &room_met, nr_objects, sizeof(*met)))
        return NULL;
    return &objects[number];
}

void linear_begin(void)
{
    for (u32 i = 0; i < nr_met; i++)
        objects[met[i]].moments = 0;
    nr_met = nr_operations = nr_moments = 0;
    out_of_memory = false;
}

void linear_forget(void)
{
    linear_gave_up = 0;
}

void linear_initial(u32 object, u64 value)
{
    struct object *o = object_of(object);

    if (o)
        o->initial = value;
}

static u32 note(u32 operation, bool returns)
{
    static u32 room;
    struct object *o = &objects[operations[operation].object];

    if (!grow((void **)&moments, &room, nr_moments + 1, sizeof(*moments)))
        return NONE;
    moments[nr_moments] = (struct moment){ operation, NONE, returns };
    if (o->moments++ == 0)
        o->first = nr_moments;
    else
        moments[o->last].next = nr_moments;
    o->last = nr_moments;
    return nr_moments++;
}

u32 linear_invoke(u32 task, u32 object, bool write, u64 value)
{
    static u32 room;
    struct object *o = object_of(object);

    (void)task;
    if (!o || !grow((void **)&operations, &room, nr_operations + 1, sizeof(*operations)))
        return NONE;
    if (o->moments == 0)
        met[nr_met++] = object;
    operations[nr_operations] = (struct operation){ value, object, NONE, NONE, write };
    note(nr_operations, false);
    return nr_operations++;
}

void linear_respond(u32 operation, u64 value)
{
    if (operation == NONE)
        return;
    if (unlikely(run.remote)) {
        remote_ask(&(struct remote_call){ .what = ASK_RESPOND, .number = operation,
                                          .value = value });
        return;
    }
    operations[operation].done = note(operation, true);
    if (!operations[operation].write)
        operations[operation].value = value;
}

/* --- the search --- */

enum { MOST_WORDS = 1 << 22 };          /* of sets that are remembered: 32 MB */

static struct step {                    /* a moment of the object that is looked at, in a list */
    u32 operation;
    u32 before, after;
    u32 returns;                        /* of a call: its return, or NONE */
    bool is_return;
} *steps;                               /* [0] is the head */

static u64 *done;                       /* the operations that are in order so far, a bit each */
static struct taken { u32 step; u64 value; } *taken;        /* in this order; values before */

/* Sets that were reached, with the value that the register held: tables of indices into words. */
static u64 *known;
static u32 *table, table_size, nr_known, words;

static u64 hash_of(const u64 *set, u64 value)
{
    u64 h = value * 0x9E3779B97F4A7C15ull;

    for (u32 i = 0; i < words; i++)
        h = sim_mix(h ^ set[i]);
    return h;
}

static inline u64 *known_at(u32 i)
{
    return &known[(u64)i * (words + 1)];
}

static bool enlarge_table(void)
{
    u32 size = table_size ? 2 * table_size : 256;
    u32 *larger = realloc(table, size * sizeof(*table));

    if (!larger)
        return false;
    table = larger;
    table_size = size;
    memset(table, 0, size * sizeof(*table));
    for (u32 i = 0; i < nr_known; i++) {
        u32 at = hash_of(known_at(i) + 1, *known_at(i)) & (size - 1);

        while (table[at])
            at = (at + 1) & (size - 1);
        table[at] = i + 1;
    }
    return true;
}

enum seen { NEW, SEEN, TOO_MANY };

static enum seen remember(u64 value)
{
    static u32 room;
    u32 at;

    if (2 * nr_known + 2 > table_size && !enlarge_table())
        return TOO_MANY;
    at = hash_of(done, value) & (table_size - 1);
    for (; table[at]; at = (at + 1) & (table_size - 1)) {
        u64 *other = known_at(table[at] - 1);

        if (*other == value && !memcmp(other + 1, done, words * sizeof(u64)))
            return SEEN;
    }
    if ((u64)(nr_known + 1) * (words + 1) > MOST_WORDS
            || !grow((void **)&known, &room, (nr_known + 1) * (words + 1), sizeof(u64)))
        return TOO_MANY;
    *known_at(nr_known) = value;
    memcpy(known_at(nr_known) + 1, done, words * sizeof(u64));
    table[at] = ++nr_known;
    return NEW;
}

static void unlink_step(u32 at)
{
    steps[steps[at].before].after = steps[at].after;
    if (steps[at].after != NONE)
        steps[steps[at].after].before = steps[at].before;
}

static void link_step(u32 at)
{
    steps[steps[at].before].after = at;
    if (steps[at].after != NONE)
        steps[steps[at].after].before = at;
}

/* The moments of an object as a list; a read that never returned is none. How many operations
 * returned, or NONE: out of memory. */
static u32 lay_out(const struct object *o)
{
    static u32 room_steps, room_done, room_taken;
    u32 n = 0, returned = 0, last = 0;

    if (!grow((void **)&steps, &room_steps, o->moments + 1, sizeof(*steps))
            || !grow((void **)&taken, &room_taken, o->moments, sizeof(*taken)))
        return NONE;
    steps[0] = (struct step){ NONE, NONE, NONE, NONE, false };
    for (u32 m = o->first; m != NONE; m = moments[m].next) {
        struct operation *op = &operations[moments[m].operation];

        if (op->done == NONE && !op->write)
            continue;
        n++;
        steps[n] = (struct step){ moments[m].operation, last, NONE, NONE, moments[m].returns };
        steps[last].after = n;
        last = n;
        if (moments[m].returns) {
            steps[op->step].returns = n;
            returned++;
        } else {
            op->step = n;
        }
    }
    words = (n + 64) / 64;
    if (!grow((void **)&done, &room_done, words, sizeof(u64)))
        return NONE;
    memset(done, 0, words * sizeof(u64));
    nr_known = table_size = 0;
    return returned;
}

/* Bits of `done` are numbers of steps: those of calls. */
static enum linear fits(const struct object *o)
{
    u32 n = 0, at, left = lay_out(o);
    u64 value = o->initial;

    if (left == NONE)
        return LINEAR_UNKNOWN;
    at = steps[0].after;
    while (left) {                      /* what never returned need not have happened */
        const struct operation *op;
        struct step *s;

        if (at == NONE || steps[at].is_return) {
            if (n == 0)
                return LINEAR_NOT;
            n--;                        /* nothing more may come before this return */
            at = taken[n].step;
            s = &steps[at];
            if (s->returns != NONE) {
                link_step(s->returns);
                left++;
            }
            link_step(at);
            done[at / 64] &= ~(1ull << at % 64);
            value = taken[n].value;
            at = s->after;
            continue;
        }
        s = &steps[at];
        op = &operations[s->operation];
        if (op->write || op->value == value) {
            u64 then = op->write ? op->value : value;

            done[at / 64] |= 1ull << at % 64;
            switch (remember(then)) {
            case TOO_MANY:
                return LINEAR_UNKNOWN;
            case NEW:
                taken[n++] = (struct taken){ at, value };
                value = then;
                unlink_step(at);
                if (s->returns != NONE) {
                    unlink_step(s->returns);
                    left--;
                }
                at = steps[0].after;
                continue;
            case SEEN:
                done[at / 64] &= ~(1ull << at % 64);
            }
        }
        at = s->after;
    }
    return LINEAR;
}

enum linear linear_check(char *text, u32 size)
{
    enum linear all = LINEAR;

    for (u32 i = 0; i < nr_met && !out_of_memory; i++) {
        enum linear one = fits(&objects[met[i]]);

        if (one == LINEAR_NOT) {
            snprintf(text, size, "the reads of object %u fit no order of its writes", met[i]);
            return one;
        }
        if (one == LINEAR_UNKNOWN)
            all = one;
    }
    if (out_of_memory)
        all = LINEAR_UNKNOWN;
    linear_gave_up += all == LINEAR_UNKNOWN;
    return all;
}
