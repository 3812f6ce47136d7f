/* FastTrack (Flanagan and Freund, PLDI 2009): happens-before races with epochs. The verdict is
 * exactly that of full vector clocks for each byte, and so is what becomes a schedule point.
 *
 * A shadow cell for each segment of a granule: the last write, and the last read since. Clocks only
 * grow, from execution to execution, so the shadow need not be cleared.
 *
 * Departures. An access that is atomic races only with one that is not, so a later access stands
 * for an earlier one only if it is ordered after it and races with as much; where it does not, or
 * where accesses that may be unordered are, the cell has a history: of each task, its last access of
 * each kind. An atomic access is judged after what it acquires. Memory that is born or dies is
 * written to as a whole, at no more cost than what was touched of it since.
 *
 * Accesses that conflict, and that nothing orders before the later one acquires anything, become
 * schedule points (promote.c), whatever the verdict. The last of a task's accesses between two
 * points stands for all of them there, so an exhaustive search that begins anew whenever there are
 * more ends with enough: let x be an access that is no point, y another task's that conflicts and
 * could come directly before x, the first such pair of an execution. Then y can come directly after
 * the stretch without points that x lies in. What of that stretch y conflicts with last is, as its
 * last access, in the cell, and is made a point; and the stretch is shorter.
 *
 * Memory that only operations touch which are points anyway has no cell. The first time that others
 * touch it too, what is known of this execution is not enough: it is run again. */
#include "races.h"
#include "granule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where, and what: three bits above the program counter. */
enum site {
    SITE_PLAIN,
    SITE_ATOMIC,
    SITE_POINT,                         /* atomic, and a schedule point whatever happens */
    SITE_HINT,                          /* the same, and races with nothing */
    SITE_BIRTH,
    SITE_DEATH,
    SITE_BITS = 29,
};

struct cell { u32 w, w_site, r, r_site; };
#define HISTORY 0xffffffffu             /* in r: r_site is the number of a history */

/* What an access is to its cells. */
struct doing {
    u32 task, e, site, size;
    u64 offset;
    const u32 *now;                     /* its clock, when it has acquired */
    const u32 *before;                  /* when it had not */
    bool writes, told;
};

/* A page that was written to as a whole: what touched a granule since is in its cells. */
struct whole { u32 w, site; u64 touched[8]; bool used; };

u16 *granule;
u8 *use;
static u64 granules;
static struct cell *low, *high;         /* of segments that begin at byte 0, and at byte 4 */
static u32 *inner_of;                   /* the others: eight cells of `inner`, by their first byte */
static struct cell *inner;
static u32 nr_inner, max_inner;
static struct whole *wholes;

/* Histories, of this execution: first_history is the number of the first. Of each kind the clock
 * of each task's last access, and where. */
enum { WRITE_PLAIN, WRITE_ATOMIC, READ_PLAIN, READ_ATOMIC, READ_HINT, HISTORY_KINDS };
static u32 *histories, first_history, nr_histories, max_histories;

static void *need(void *p)
{
    if (!p)
        abort();
    return p;
}

static void cells_start(void)
{
    low = need(calloc(granules, sizeof(struct cell)));
    high = need(calloc(granules, sizeof(struct cell)));
    wholes = need(calloc(granules / 512 + 1, sizeof(struct whole)));
    first_history = 1;
    nr_histories = 0;
}

static void cells_stop(void)
{
    free(low);
    free(high);
    free(wholes);
    low = high = NULL;
    wholes = NULL;
}

void races_start(u64 arena_size)
{
    races_stop();
    granules = arena_size / 8 + 2;
    granule = need(calloc(granules, sizeof(u16)));
    use = need(calloc(2 * granules, 1));
    inner_of = need(calloc(granules, sizeof(u32)));
    cells_start();
    clocks_start(arena_size);
}

void races_stop(void)
{
    clocks_stop();
    cells_stop();
    free(granule);
    free(use);
    free(inner_of);
    free(inner);
    free(histories);
    granule = NULL;
    use = NULL;
    inner_of = histories = NULL;
    inner = NULL;
    nr_inner = max_inner = max_histories = 0;
}

void races_begin(void)
{
    clocks_begin();
}

/* The clocks begin anew: no epoch means anything any more. */
void races_forget(void)
{
    cells_stop();
    cells_start();
    if (nr_inner)
        memset(inner, 0, nr_inner * sizeof(struct cell));
}

/* An execution computes its first clock. */
void races_begun(void)
{
    first_history += nr_histories;
    nr_histories = 0;
    if (first_history > 1u << 30)
        races_forget();
}

/* --- sites --- */

static inline u32 site_kind(u32 site) { return site >> SITE_BITS; }
static inline u64 site_pc(u32 site) { return site & ((1u << SITE_BITS) - 1); }

static inline bool site_is_atomic(u32 site)
{
    return site_kind(site) >= SITE_ATOMIC && site_kind(site) <= SITE_HINT;
}

/* With how much it races: an access of more strength may stand for one of less. */
static inline u32 strength(u32 site)
{
    return 0x220112u >> 4 * site_kind(site) & 3;
}

static inline bool site_is_point(u32 site)
{
    return site_kind(site) == SITE_POINT || site_kind(site) == SITE_HINT;
}

static bool make_point(u32 site)
{
    return !site_is_point(site) && promote(site_pc(site));
}

static u32 site_of(const struct access *a)
{
    u32 kind = a->kind == POINT_BIRTH ? SITE_BIRTH
        : a->kind == POINT_DEATH ? SITE_DEATH
        : access_is_hint(a) ? SITE_HINT
        : a->kind >= POINT_RMW ? SITE_POINT
        : a->atomic ? SITE_ATOMIC : SITE_PLAIN;

    return kind << SITE_BITS | (u32)site_pc((u32)a->pc);
}

/* --- conflicts --- */

static const char *site_name(u32 site, bool writes)
{
    switch (site_kind(site)) {
    case SITE_BIRTH:
        return "birth";
    case SITE_DEATH:
        return "death";
    case SITE_PLAIN:
        return writes ? "store" : "load";
    default:
        return writes ? "atomic store" : "atomic load";
    }
}

static __attribute__((noinline, cold)) void judge(struct doing *d, u32 other, u32 other_site,
                                                  bool other_writes)
{
    bool dead = site_kind(d->site) == SITE_DEATH || site_kind(other_site) == SITE_DEATH;
    struct benign *known;
    char text[184];

    if (site_is_atomic(d->site) && site_is_atomic(other_site))
        return;
    if (strength(d->site) == 0 || strength(other_site) == 0 || ordered(other, d->now))
        return;
    known = benign(site_pc(other_site), site_pc(d->site));
    if (known) {
        known->seen += !d->told;
        d->told = true;
        return;
    }
    if (!config.races)
        return;
    verdict.other_pc = site_pc(other_site);
    verdict.other_task = task_of(other);
    verdict.object = d->offset;
    verdict.size = d->size;
    verdict.writes = d->writes;
    verdict.other_writes = other_writes;
    if (site_kind(d->site) == SITE_DEATH)
        snprintf(text, sizeof(text), "the memory at 0x%llx is freed by task %u; nothing orders "
                 "that after the %s by task %u", (unsigned long long)d->offset, d->task + 1,
                 site_name(other_site, other_writes), task_of(other) + 1);
    else
        snprintf(text, sizeof(text), "a %s of %u bytes at 0x%llx by task %u; nothing orders it "
                 "after the %s by task %u", site_name(d->site, d->writes), d->size,
                 (unsigned long long)d->offset, d->task + 1, site_name(other_site, other_writes),
                 task_of(other) + 1);
    sim_fail(dead ? V_USE_AFTER_FREE : V_DATA_RACE, "race", 0, 0, 0, site_pc(d->site), text);
}

static __attribute__((noinline)) void conflict(struct doing *d, u32 other, u32 other_site,
                                               bool other_writes)
{
    make_point(other_site);
    make_point(d->site);
    judge(d, other, other_site, other_writes);
}

/* --- histories --- */

static inline u32 *clocks_in(u32 history, u32 kind)
{
    return histories + ((u64)(history - first_history) * 2 * HISTORY_KINDS + kind) * clock_stride;
}

static inline u32 *sites_in(u32 history, u32 kind)
{
    return clocks_in(history, kind + HISTORY_KINDS);
}

static inline u32 history_kind(u32 site, bool writes)
{
    return writes ? WRITE_ATOMIC - (strength(site) == 2) : READ_HINT - strength(site);
}

static u32 new_history(void)
{
    if (nr_histories == max_histories) {
        max_histories = max_histories ? 2 * max_histories : 64;
        histories = need(realloc(histories, (u64)max_histories * 2 * HISTORY_KINDS * clock_stride
                                                * sizeof(u32)));
    }
    memset(clocks_in(first_history + nr_histories, 0), 0,
           (u64)HISTORY_KINDS * clock_stride * sizeof(u32));
    return first_history + nr_histories++;
}

static inline void remember(u32 history, u32 e, u32 site, bool writes)
{
    u32 kind = history_kind(site, writes);

    clocks_in(history, kind)[task_of(e)] = e & CLOCK_MASK;
    sites_in(history, kind)[task_of(e)] = site;
}

/* The thin form is not enough any more. */
static __attribute__((noinline)) void begin_history(struct cell *c)
{
    u32 history = new_history();

    if (c->w)
        remember(history, c->w, c->w_site, true);
    if (c->r)
        remember(history, c->r, c->r_site, false);
    c->w = 0;
    c->r = HISTORY;
    c->r_site = history;
}

/* Of several accesses of one epoch one is kept: where it is a schedule point that it had to be
 * made, so are the others, for they conflict with the same. */
static inline void keep_one(u32 *kept, u32 site)
{
    if (likely(*kept == site))
        return;
    if (site_is_point(*kept))
        *kept = strength(site) < strength(*kept) ? *kept : site;
    else if (promoted(site_pc(*kept)))
        make_point(site);
}

static __attribute__((noinline)) void access_history(struct cell *c, struct doing *d)
{
    u32 history = c->r_site, kind = history_kind(d->site, d->writes);
    u32 kinds = d->writes ? HISTORY_KINDS : READ_PLAIN;
    bool any = false;

    for (u32 k = 0; k < kinds; k++) {
        const u32 *at = clocks_in(history, k);
        u32 later = 0;

        for (u32 i = 0; i < clock_stride; i++)
            later |= (u32)((int)at[i] > (int)d->before[i]);
        for (u32 i = 0; later && i < clock_tasks; i++)
            if (at[i] > d->before[i])
                conflict(d, i << CLOCK_BITS | at[i], sites_in(history, k)[i], k <= WRITE_ATOMIC);
        any |= later;
    }
    if (clocks_in(history, kind)[d->task] == (d->e & CLOCK_MASK)) {
        keep_one(&sites_in(history, kind)[d->task], d->site);
    } else if (kind == WRITE_PLAIN && !any) {   /* all is ordered before it */
        *c = (struct cell){ .w = d->e, .w_site = d->site };
    } else {
        remember(history, d->e, d->site, d->writes);
    }
}

/* --- cells --- */

static inline bool stands_for(const struct doing *d, u32 e, u32 site)
{
    return (e & CLOCK_MASK) <= clock_base
        || (ordered(e, d->now) && strength(d->site) >= strength(site));
}

static inline bool has_history(struct cell *c)
{
    if (likely(c->r != HISTORY))
        return false;
    if (c->r_site >= first_history)
        return true;
    *c = (struct cell){ 0 };            /* an earlier execution's */
    return false;
}

ALWAYS_INLINE void access_cell(struct cell *c, struct doing *d, bool writes)
{
    if (!writes && c->r == d->e && strength(d->site) <= strength(c->r_site)) {
        keep_one(&c->r_site, d->site);
        return;
    }
    if (writes && c->w == d->e && c->r == 0 && strength(d->site) <= strength(c->w_site)) {
        keep_one(&c->w_site, d->site);
        return;
    }
    if (unlikely(has_history(c))) {
        access_history(c, d);
        return;
    }
    if (unlikely(!ordered(c->w, d->before)))
        conflict(d, c->w, c->w_site, true);
    if (writes && unlikely(!ordered(c->r, d->before)))
        conflict(d, c->r, c->r_site, false);
    if (writes ? unlikely(!stands_for(d, c->w, c->w_site) || !stands_for(d, c->r, c->r_site))
                  : unlikely(!stands_for(d, c->r, c->r_site))) {
        begin_history(c);
        remember(c->r_site, d->e, d->site, writes);
    } else if (writes) {
        c->w = d->e;
        c->w_site = d->site;
        c->r = 0;
    } else {
        c->r = d->e;
        c->r_site = d->site;
    }
}

static inline struct cell *cell_at(u64 g, u32 from)
{
    return from == 0 ? &low[g] : from == 4 ? &high[g] : &inner[inner_of[g] + from];
}

static void make_inner(u64 g)
{
    if (nr_inner + 8 > max_inner) {
        max_inner = max_inner ? 2 * max_inner : 1024;
        inner = need(realloc(inner, max_inner * sizeof(struct cell)));
    }
    if (nr_inner == 0)
        nr_inner = 8;                   /* the first eight are nobody's */
    inner_of[g] = nr_inner;
    memset(inner + nr_inner, 0, 8 * sizeof(struct cell));
    nr_inner += 8;
}

void granule_divide(u64 g, u32 wanted)
{
    if (!granule[g])
        granule[g] = UNDIVIDED;
    for (u32 at = 1; at < 8; at++) {
        u32 start = 31 - (u32)__builtin_clz(granule[g] & ((1u << at) - 1));
        struct cell *part;

        if (!(wanted >> at & 1) || granule[g] >> at & 1)
            continue;
        if (at != 4 && !inner_of[g])
            make_inner(g);
        part = cell_at(g, at);
        *part = *cell_at(g, start);
        if (has_history(part)) {        /* shared by none */
            u32 old = part->r_site;

            part->r_site = new_history();
            memcpy(clocks_in(part->r_site, 0), clocks_in(old, 0),
                   2ull * HISTORY_KINDS * clock_stride * sizeof(u32));
        }
        clocks_divide(g * 8 + start, g * 8 + at);
        granule[g] |= (u16)(1u << at);
    }
}

ALWAYS_INLINE void access_granule(u64 g, u32 from, u32 to, struct doing *d, bool writes)
{
    u32 bounds = granule_with(g, from, to);

    do {
        access_cell(cell_at(g, from), d, writes);
        from = segment_end(bounds, from);
    } while (unlikely(from < to));
}

static __attribute__((noinline)) void access_any(u64 g, u32 from, u32 to, struct doing *d)
{
    access_granule(g, from, to, d, d->writes);
}

/* --- pages that were written to as a whole --- */

static __attribute__((noinline)) void touch(struct whole *p, u64 g)
{
    p->touched[g >> 6 & 7] |= 1ull << (g & 63);
    if (!granule[g])
        granule[g] = UNDIVIDED;
    for (u32 from = 0; from < 8; from = segment_end(granule[g], from))
        *cell_at(g, from) = (struct cell){ .w = p->w, .w_site = p->site };
}

static inline void touch_page(u64 g)
{
    struct whole *p = &wholes[g >> 9];

    if (unlikely(p->used) && !(p->touched[g >> 6 & 7] >> (g & 63) & 1))
        touch(p, g);
}

static void write_page(u64 offset, struct doing *d)
{
    struct whole *p = &wholes[offset >> 12];

    if (!p->used)
        memset(p->touched, 0xff, sizeof(p->touched));
    p->used = true;
    if (!ordered(p->w, d->before))
        conflict(d, p->w, p->site, true);
    for (u32 i = 0; i < 8; i++)
        while (p->touched[i]) {
            u64 g = (offset >> 3) + 64 * i + (u32)__builtin_ctzll(p->touched[i]);

            p->touched[i] &= p->touched[i] - 1;
            if (!granule[g])
                continue;
            access_any(g, 0, 8, d);
            if (site_kind(d->site) != SITE_PLAIN)
                for (u32 from = 0; from < 8; from = segment_end(granule[g], from))
                    clocks_drop(g * 8 + from);
        }
    p->w = d->e;
    p->site = d->site;
}

/* --- accesses --- */

/* Whole granules that were only ever touched as a whole, by accesses that all are ordered: what
 * copies of pages and objects are made of. Returns where something else begins. */
static u64 plain_granules(u64 offset, u64 end, struct doing *d)
{
    const u32 *now = d->now;
    u32 e = d->e, site = d->site;

    for (; offset + 8 <= end; offset += 8) {
        u64 g = offset >> 3;
        struct cell *c = &low[g];

        touch_page(g);
        if (unlikely(granule[g] != UNDIVIDED) || unlikely(c->r == HISTORY)
                || unlikely(!ordered(c->w, now)) || unlikely(c->r && !ordered(c->r, now))
                || unlikely((d->writes ? c->w : c->r) == e))
            return offset;
        if (d->writes) {
            c->w = e;
            c->w_site = site;
            c->r = 0;
        } else {
            c->r = e;
            c->r_site = site;
        }
    }
    return offset;
}

static void access_range(u64 offset, u64 size, struct doing *d)
{
    u64 end = offset + size, next;
    bool lives = site_kind(d->site) >= SITE_BIRTH;

    while (offset < end) {
        u64 g = offset >> 3;
        u32 from = offset & 7;
        u32 to = end - g * 8 < 8 ? (u32)(end - g * 8) : 8;

        if (d->writes && (offset & 4095) == 0 && end - offset >= 4096) {
            write_page(offset, d);
            offset += 4096;
            continue;
        }
        if (from == 0 && site_kind(d->site) == SITE_PLAIN) {
            next = (offset | 4095) + 1;     /* what follows may be a page */
            next = plain_granules(offset, next < end ? next : end, d);
            if (next != offset) {
                offset = next;
                continue;
            }
        }
        touch_page(g);
        access_any(g, from, to, d);
        if (unlikely(lives))
            for (; from < to; from = segment_end(granule[g], from))
                clocks_drop(g * 8 + from);
        offset = g * 8 + to;
    }
}

static __attribute__((noinline)) bool range_used_by_others_only(const struct access *a)
{
    const u8 *u = use + (a->offset >> 2), *end = use + ((a->offset + a->size + 3) >> 2);
    u8 differs = 0;

    for (; u < end; u++)
        differs |= *u ^ USE_OTHERS;
    return !differs;
}

static __attribute__((noinline)) bool range_has(const struct access *a, u8 by)
{
    const u8 *u = use + (a->offset >> 2), *end = use + ((a->offset + a->size + 3) >> 2);
    u8 all = by;

    for (; u < end; u++)
        all &= *u;
    return all;
}

/* True where others than points touch it. Where that is news to the points, or they are to the
 * others, the execution is one of another kind than it was taken for. */
static __attribute__((noinline)) bool touched_by(const struct access *a, u8 by)
{
    u64 first = a->offset >> 2, last = (a->offset + a->size - 1) >> 2;
    bool others = false, mixed = false;

    if (by == USE_OTHERS && a->size > 8 && range_has(a, USE_OTHERS))
        return true;
    for (u64 i = first; i <= last; i++) {
        if ((use[i] & by) != by) {
            mixed |= use[i] != 0;
            use[i] |= by;
        }
        others |= use[i] & USE_OTHERS;
    }
    if (unlikely(mixed)) {
        nr_promoted++;
        sim_end(END_AGAIN);
    }
    return others;
}

void races_waits(const struct access *a)
{
    if (!run.alone && a->size && touched_by(a, USE_POINTS))
        touched_by(a, USE_POINTS | USE_WAITED);
}

/* Whoever waits for something about this memory might see it at any moment, and if it never comes
 * does no access that would show it: each write of it is a schedule point. */
static __attribute__((noinline)) void may_be_waited_for(const struct access *a)
{
    u64 first = a->offset >> 2, last = (a->offset + a->size - 1) >> 2;

    for (u64 i = first; i <= last; i++)
        if (use[i] & USE_WAITED) {
            promote(a->pc);
            return;
        }
}

static inline bool used_by_others_only(const struct access *a)
{
    const u8 *u = use + (a->offset >> 2);

    if (a->size > 8 || (a->offset | a->size) & (a->size - 1))
        return range_used_by_others_only(a);
    return a->size == 8 ? *(const u16 *)u == (USE_OTHERS | USE_OTHERS << 8) : *u == USE_OTHERS;
}

/* The rule: a plain access of what was only ever touched so, ordered after all that was before.
 * True if it was that. */
ALWAYS_INLINE bool plain_access_of_one(u32 task, const struct access *a)
{
    u64 g = a->offset >> 3;
    u32 from = a->offset & 7, e = epoch_of(task), site = (u32)site_pc((u32)a->pc);
    const u32 *now = clock_of(task);
    struct cell *c;

    touch_page(g);
    if (unlikely((granule[g] >> from & ((2u << a->size) - 1)) != (1u | 1u << a->size)))
        return false;
    c = cell_at(g, from);
    if (unlikely(c->r == HISTORY) || unlikely(!ordered(c->w, now)))
        return false;
    if (a->writes) {
        if (unlikely(!ordered(c->r, now)) || (c->w == e && c->w_site != site))
            return false;
        c->w = e;
        c->w_site = site;
        c->r = 0;
    } else {
        if (unlikely(!ordered(c->r, now)) || (c->r == e && c->r_site != site))
            return false;
        c->r = e;
        c->r_site = site;
    }
    return true;
}

static void any_access(struct sim_task *t, const struct access *a);

void races_access(struct sim_task *t, const struct access *a)
{
    if (likely(a->kind <= POINT_STORE) && !a->atomic && a->size <= 8 && used_by_others_only(a)
            && likely(!run.alone)) {
        clocks_now();
        if (likely(plain_access_of_one(t->index, a)))
            return;
    }
    any_access(t, a);
}

static __attribute__((noinline)) void any_access(struct sim_task *t, const struct access *a)
{
    bool point = a->kind >= POINT_RMW, hint = access_is_hint(a);
    struct doing d = { .task = t->index, .offset = a->offset, .size = a->size,
                       .writes = a->writes, .site = site_of(a) };
    u32 before[SIM_TASKS + 2];

    if (unlikely(run.alone) || a->kind == POINT_POISON)
        return;                         /* what is poisoned was written to by its death */
    if (unlikely(a->size == 0)) {
        if (a->kind == POINT_FENCE)
            clocks_log(t->index, a);
        return;
    }
    if (point || !used_by_others_only(a)) {
        if (!touched_by(a, point ? USE_POINTS : USE_OTHERS)) {
            if (!hint)
                clocks_log(t->index, a);
            return;
        }
        if (!point && a->writes)
            may_be_waited_for(a);
    }
    clocks_now();
    d.now = d.before = clock_of(d.task);
    d.e = epoch_of(d.task);
    if (a->atomic && a->reads && !hint && clocks_acquires(a)) {
        if (a->order & ORDER_ACQUIRE) {
            memcpy(before, d.now, clock_stride * sizeof(u32));
            d.before = before;
        }
        clocks_acquire(d.task, a);
    }
    if (likely(a->size <= 8 - (a->offset & 7))) {
        touch_page(a->offset >> 3);
        if (a->writes)
            access_granule(a->offset >> 3, a->offset & 7, (a->offset & 7) + a->size, &d, true);
        else
            access_granule(a->offset >> 3, a->offset & 7, (a->offset & 7) + a->size, &d, false);
        if (unlikely(site_kind(d.site) >= SITE_BIRTH))
            clocks_drop(a->offset);
    } else {
        access_range(a->offset, a->size, &d);
    }
    if (a->atomic && a->writes)
        clocks_release(d.task, a);
}
