/* FastTrack (Flanagan and Freund, PLDI 2009): happens-before races with epochs.
 *
 * A shadow cell for each aligned 8 bytes; four cells of two bytes where accesses of several
 * shapes were seen. Clocks only grow, from execution to execution: at the beginning of one all
 * that came before is known to everybody, so the shadow need not be cleared.
 *
 * Departures: atomic and plain accesses are told apart, a race needs a plain one; a conflict of
 * any kind makes both accesses schedule points from then on (promote.c); after a write the
 * reads before it are forgotten, since each was ordered before it or was reported. */
#include "sim.h"
static void race_acquire(u64); static void race_release(u64); static void race_atomic(u64,u32,bool,bool,bool,u64);

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLOCK_BITS = 25, MAX_SYNC = 16384, MAX_SHARED = 4096 };
#define CLOCK_MASK ((1u << CLOCK_BITS) - 1)
#define SHARED 0xffffffffu
#define ATOMIC 0x80000000u              /* in a pc */

struct cell { u32 w, w_pc, r, r_pc; };

bool conflict_seen;

static u32 nr, stride;                  /* tasks, and words of a clock */
static u32 *vc;                         /* of each task */
static u32 highest;                     /* clock used so far */
static struct cell *cells;
static u8 *shape;                       /* of a granule: 0 untouched, else offset << 5 | size; 0xff split */
static u32 *split_of;                   /* a granule's first sub-cell */
static struct cell *sub;
static u32 nr_sub, max_sub;
static u32 *sync_of;                    /* of each 4 bytes: a clock of sync_vc, if sync_at agrees */
static u32 *sync_vc, *sync_at, nr_sync;
static u32 *shared_vc, *shared_pc, *shared_at, nr_shared;
static u64 granules;

static inline u32 *clock_of(u32 task) { return vc + task * stride; }
static inline u32 epoch(u32 task) { return task << CLOCK_BITS | clock_of(task)[task]; }
static inline u32 task_of(u32 e) { return e >> CLOCK_BITS; }
static inline bool ordered(u32 e, const u32 *c) { return (e & CLOCK_MASK) <= c[task_of(e)]; }

void races_start(u64 arena_size)
{
    nr = sim.nr_tasks + 2;
    stride = (nr + 7) & ~7u;
    granules = arena_size / 8 + 2;
    races_stop();
    vc = calloc((u64)SIM_TASKS * stride, sizeof(u32));
    cells = calloc(granules, sizeof(struct cell));
    shape = calloc(granules, 1);
    split_of = calloc(granules, sizeof(u32));
    sync_of = calloc(2 * granules, sizeof(u32));
    sync_vc = calloc((u64)MAX_SYNC * stride, sizeof(u32));
    sync_at = calloc(MAX_SYNC, sizeof(u32));
    shared_vc = calloc((u64)MAX_SHARED * stride, sizeof(u32));
    shared_pc = calloc((u64)MAX_SHARED * stride, sizeof(u32));
    shared_at = calloc(MAX_SHARED, sizeof(u32));
    nr_sub = max_sub = 0;
    highest = 1;
    if (!vc || !cells || !shape || !split_of || !sync_of || !sync_vc || !sync_at || !shared_vc
            || !shared_pc || !shared_at)
        abort();
}

void races_stop(void)
{
    free(vc); free(cells); free(shape); free(split_of); free(sub); free(sync_of);
    free(sync_vc); free(sync_at); free(shared_vc); free(shared_pc); free(shared_at);
    vc = split_of = sync_of = sync_vc = sync_at = shared_vc = shared_pc = shared_at = NULL;
    cells = sub = NULL;
    shape = NULL;
}

void races_begin(void)
{
    nr_sync = nr_shared = 0;
    conflict_seen = false;
    for (u32 i = 0; i < nr; i++)
        if (clock_of(i)[i] > highest)
            highest = clock_of(i)[i];
    if (highest > CLOCK_MASK - (1u << 21)) {
        memset(cells, 0, granules * sizeof(struct cell));
        if (sub)
            memset(sub, 0, nr_sub * sizeof(struct cell));
        highest = 1;
    }
    for (u32 i = 0; i < nr; i++) {
        u32 *c = clock_of(i);

        for (u32 k = 0; k < nr; k++)
            c[k] = highest;
        c[i] = highest + 1;
    }
}

void races_join_all(u32 task)
{
    u32 *c = clock_of(task);

    for (u32 i = 0; i < nr; i++)
        if (clock_of(i)[i] > c[i])
            c[i] = clock_of(i)[i];
    c[task]++;
}

/* --- conflicts --- */

static const char *access_name(bool write, u32 pc)
{
    return pc & ATOMIC ? write ? "atomic store" : "atomic load" : write ? "store" : "load";
}

static void conflict(u32 before, u32 before_pc, bool before_writes, u64 offset, u32 size,
                     bool write, u32 pc)
{
    struct sim_task *t = sim.running;
    char text[160];

    if (promote(before_pc & ~ATOMIC) | promote(pc & ~ATOMIC))
        conflict_seen = true;
    if ((before_pc & pc & ATOMIC) || benign(before_pc & ~ATOMIC, pc & ~ATOMIC) || !sim.races)
        return;
    sim.verdict.other_pc = before_pc & ~ATOMIC;
    sim.verdict.other_task = task_of(before);
    sim.verdict.object = offset;
    sim.verdict.size = size;
    sim.verdict.writes = write;
    sim.verdict.other_writes = before_writes;
    snprintf(text, sizeof(text), "a %s of %u bytes at 0x%llx by task %u; nothing orders it "
             "after the %s by task %u", access_name(write, pc), size,
             (unsigned long long)offset, t->index + 1, access_name(before_writes, before_pc),
             task_of(before) + 1);
    sim_fail(V_DATA_RACE, "race", 0, 0, 0, pc & ~ATOMIC, text);
}

/* Of several accesses of one epoch only the first is kept: where it is a schedule point, so are
 * the others, for they conflict with the same. */
static inline void as_the_first(u32 first_pc, u32 pc)
{
    if (unlikely(first_pc != pc) && unlikely(promoted(first_pc & ~ATOMIC))
            && promote(pc & ~ATOMIC))
        conflict_seen = true;
}

static inline u32 *shared_clock(struct cell *c, u64 id)
{
    u32 i = c->r_pc;

    return i < nr_shared && shared_at[i] == (u32)id ? shared_vc + i * stride : NULL;
}

static void share_reads(struct cell *c, u64 id, u32 e, u32 pc)
{
    u32 i = nr_shared;

    if (unlikely(i == MAX_SHARED)) {
        c->r = e;                       /* out of room: remember the last reader only */
        c->r_pc = pc;
        return;
    }
    nr_shared++;
    shared_at[i] = (u32)id;
    memset(shared_vc + i * stride, 0, stride * sizeof(u32));
    shared_vc[i * stride + task_of(c->r)] = c->r & CLOCK_MASK;
    shared_pc[i * stride + task_of(c->r)] = c->r_pc;
    shared_vc[i * stride + task_of(e)] = e & CLOCK_MASK;
    shared_pc[i * stride + task_of(e)] = pc;
    c->r = SHARED;
    c->r_pc = i;
}

static inline void read_cell(struct cell *c, u64 id, u32 task, u64 offset, u32 size, u32 pc)
{
    u32 *now = clock_of(task);
    u32 e = task << CLOCK_BITS | now[task];
    u32 *reads;

    if (c->r == e) {
        as_the_first(c->r_pc, pc);
        if (!(pc & ATOMIC))
            c->r_pc = pc;               /* a plain access is not hidden behind an atomic one */
        return;
    }
    if (unlikely(sim.coverage_on) && c->w && task_of(c->w) != task)
        coverage_pair(c->w_pc & ~ATOMIC, pc & ~ATOMIC);
    if (unlikely(c->w && !ordered(c->w, now)))
        conflict(c->w, c->w_pc, true, offset, size, false, pc);
    if (unlikely(c->r == SHARED)) {
        reads = shared_clock(c, id);
        if (reads) {
            if (reads[task] == now[task] && !(shared_pc[c->r_pc * stride + task] & ATOMIC)) {
                as_the_first(shared_pc[c->r_pc * stride + task], pc);
                return;
            }
            reads[task] = now[task];
            shared_pc[c->r_pc * stride + task] = pc;
            return;
        }
        c->r = 0;
    }
    if (c->r == 0 || ordered(c->r, now)) {
        c->r = e;
        c->r_pc = pc;
    } else {
        share_reads(c, id, e, pc);
    }
}

static inline void write_cell(struct cell *c, u64 id, u32 task, u64 offset, u32 size, u32 pc)
{
    u32 *now = clock_of(task);
    u32 e = task << CLOCK_BITS | now[task];
    u32 *reads;

    if (c->w == e && c->r == 0) {
        as_the_first(c->w_pc, pc);
        return;
    }
    if (unlikely(sim.coverage_on)) {
        if (c->w && task_of(c->w) != task)
            coverage_pair(c->w_pc & ~ATOMIC, pc & ~ATOMIC);
        if (c->r && c->r != SHARED && task_of(c->r) != task)
            coverage_pair(c->r_pc & ~ATOMIC, pc & ~ATOMIC);
    }
    if (unlikely(c->w && !ordered(c->w, now)))
        conflict(c->w, c->w_pc, true, offset, size, true, pc);
    if (unlikely(c->r == SHARED)) {
        reads = shared_clock(c, id);
        for (u32 i = 0; reads && i < nr; i++)
            if (reads[i] > now[i])
                conflict(i << CLOCK_BITS | reads[i], shared_pc[c->r_pc * stride + i], false,
                         offset, size, true, pc);
    } else if (unlikely(c->r && !ordered(c->r, now))) {
        conflict(c->r, c->r_pc, false, offset, size, true, pc);
    }
    c->w = e;
    c->w_pc = pc;
    c->r = 0;
}

/* --- cells --- */

static void split(u64 g)
{
    u32 first = nr_sub;
    u32 from = shape[g] >> 5, size = shape[g] & 31;

    if (nr_sub + 4 > max_sub) {
        max_sub = max_sub ? 2 * max_sub : 4096;
        sub = realloc(sub, max_sub * sizeof(struct cell));
        if (!sub)
            abort();
    }
    nr_sub += 4;
    for (u32 i = 0; i < 4; i++) {
        bool covered = 2 * i + 2 > from && 2 * i < from + size;

        sub[first + i] = covered ? cells[g] : (struct cell){ 0 };
        if (sub[first + i].r == SHARED)         /* its clock is found by the granule: one reader */
            sub[first + i].r = 0;
    }
    split_of[g] = first;
    shape[g] = 0xff;
}

static inline void access_granule(u64 g, u32 from, u32 size, bool write, u32 pc)
{
    u32 task = sim.running->index;
    u8 form = (u8)(from << 5 | size);
    u64 offset = g * 8 + from;

    if (unlikely(shape[g] != form)) {
        if (shape[g] == 0)
            shape[g] = form;
        else if (shape[g] != 0xff)
            split(g);
    }
    if (likely(shape[g] != 0xff)) {
        if (write)
            write_cell(&cells[g], g << 3, task, offset, size, pc);
        else
            read_cell(&cells[g], g << 3, task, offset, size, pc);
        return;
    }
    for (u32 i = from / 2; i < (from + size + 1) / 2; i++) {
        struct cell *c = &sub[split_of[g] + i];

        if (write)
            write_cell(c, g << 3 | (i + 1), task, offset, size, pc);
        else
            read_cell(c, g << 3 | (i + 1), task, offset, size, pc);
        c = &sub[split_of[g] + i];
    }
}

/* Whole granules that were only ever touched as a whole, and whose story is simple: what copies
 * of pages and payloads are made of. Returns where something else begins. */
static u64 plain_granules(u64 offset, u64 end, bool write, u32 pc)
{
    u32 task = sim.running->index;
    const u32 *now = clock_of(task);
    u32 e = task << CLOCK_BITS | now[task];

    for (; offset + 8 <= end; offset += 8) {
        struct cell *c = &cells[offset >> 3];

        if (unlikely(shape[offset >> 3] != 8 && shape[offset >> 3] != 0)
                || unlikely(c->w && !ordered(c->w, now)))
            return offset;
        if (unlikely(c->r && (c->r == SHARED || !ordered(c->r, now)))
                || unlikely((write ? c->w : c->r) == e))
            return offset;
        shape[offset >> 3] = 8;
        if (write) {
            c->w = e;
            c->w_pc = pc;
            c->r = 0;
        } else {
            c->r = e;
            c->r_pc = pc;
        }
    }
    return offset;
}

void race_range(u64 offset, u64 size, bool write, u64 pc)
{
    u64 end = offset + size;

    while (offset < end) {
        if ((offset & 7) == 0 && end - offset >= 8 && !sim.coverage_on) {
            u64 next = plain_granules(offset, end, write, (u32)pc);

            if (next != offset) {
                offset = next;
                continue;
            }
        }
        u32 from = offset & 7;
        u32 n = end - offset < 8 - from ? (u32)(end - offset) : 8 - from;

        access_granule(offset >> 3, from, n, write, (u32)pc);
        offset += n;
    }
}

void race_plain(u64 offset, u32 size, bool write, u64 pc)
{
    if (unlikely((offset & 7) + size > 8))
        race_range(offset, size, write, pc);
    else
        access_granule(offset >> 3, offset & 7, size, write, (u32)pc);
}

/* --- synchronisation --- */

void races_observe(struct sim_task *t, const struct access *a)
{
    (void)t;
    if (a->size == 0)
        return;
    if (a->kind == POINT_POISON)
        return;
    if (a->kind >= POINT_RMW && !promoted(a->pc) && promote(a->pc))
        sim.nr_promoted--;              /* it is a schedule point in any case */
    if (a->kind >= POINT_LOCK && !a->writes) {
        if (a->order & ORDER_ACQUIRE)
            race_acquire(a->offset);
        return;
    }
    if (a->atomic) {
        race_atomic(a->offset, a->size, a->writes, a->order & ORDER_ACQUIRE, a->order & ORDER_RELEASE, a->pc);
    } else
        race_range(a->offset, a->size, a->writes, a->pc);
}

static u32 *sync_clock(u64 offset, bool make)
{
    u32 i = sync_of[offset >> 2];

    if (i < nr_sync && sync_at[i] == (u32)offset)
        return sync_vc + i * stride;
    if (!make || nr_sync == MAX_SYNC)
        return NULL;
    i = nr_sync++;
    sync_of[offset >> 2] = i;
    sync_at[i] = (u32)offset;
    memset(sync_vc + i * stride, 0, stride * sizeof(u32));
    return sync_vc + i * stride;
}

/* Clocks are below 2^25 and lie in eights: signed, eight at a time, is what SSE2 can do. */
static inline void join(u32 *to, const u32 *from)
{
    for (u32 k = 0; k < stride; k += 8)
        for (u32 i = 0; i < 8; i++)
            to[k + i] = (int)from[k + i] > (int)to[k + i] ? from[k + i] : to[k + i];
}

static void race_acquire(u64 offset)
{
    u32 *s = sync_clock(offset & ~3ull, false);

    if (s)
        join(clock_of(sim.running->index), s);
}

static void race_release(u64 offset)
{
    u32 task = sim.running->index;
    u32 *c = clock_of(task);
    u32 *s = sync_clock(offset & ~3ull, true);

    if (s)
        join(s, c);                     /* joined: readers release one after the other */
    c[task]++;
}

static void race_atomic(u64 offset, u32 size, bool write, bool acquire, bool release, u64 pc)
{
    race_plain(offset, size, write, pc | ATOMIC);
    if (acquire && release) {
        u32 task = sim.running->index;
        u32 *c = clock_of(task);
        u32 *s = sync_clock(offset & ~3ull, true);

        if (s) {
            join(c, s);                 /* and what it releases is then its own clock */
            memcpy(s, c, stride * sizeof(u32));
        }
        c[task]++;
    } else if (acquire) {
        race_acquire(offset);
    } else if (release) {
        race_release(offset);
    }
}
