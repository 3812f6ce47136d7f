/* The shadow of memory: of each segment of a granule the last accesses of this execution, as
 * epochs. What of it every access needs, for the inliner; the rest is in shadow.c.
 *
 * A segment has two cells, one for plain accesses (births and deaths among them) and one for atomic
 * ones: in each the last write, and the last read since. That is enough as long as the accesses of
 * each are ordered one after the other; from then on the segment has a history (history.c). A
 * plain write that is ordered after all of them stands for all.
 *
 * A page as a whole has a cell too, which stands for those of its granules that no access touched
 * by itself in this execution: so that neither a copy of a page, nor the begin of an execution,
 * costs anything for each granule.
 *
 * Invariants: a granule's cells are this execution's if its stamp is, and it is then marked in its
 * page, which is this execution's too; an epoch is 0 or one that its task has come to; the cell of
 * atomic accesses is empty where the granule is not marked WITH_ATOMICS, or the segment has a
 * history. */
#ifndef Z3F_SHADOW_H
#define Z3F_SHADOW_H

#include "clocks.h"
#include "granule.h"
#include "site.h"

#pragma GCC visibility push(hidden)

struct cell { u32 w, w_site, r, r_site; };
#define HISTORY 0xffffffffu             /* in r of a plain cell: r_site is the number of a history */

struct cells { struct cell *low, *high, *inner; };      /* of segments that begin at byte 0, at
                                                           byte 4, and elsewhere (inner_of) */
struct page {
    u64 stamp;
    struct cell whole;
    u64 touched[8];
    bool others;                        /* all of it is USE_OTHERS */
};

extern struct cells plain, atomics;
extern u32 *inner_of;
extern struct page *pages;
extern u64 shadow_stamp;                /* of this execution, as in a granule's word */

/* What an access is to its cells. */
struct doing {
    u32 task, e, site, size;
    u64 offset;
    const u32 *now;                     /* its clock, when it has acquired */
    const u32 *before;                  /* when it had not */
    bool writes, told;
};

void shadow_start(u64 granules);
void shadow_stop(void);
void shadow_begin(void);                        /* an execution */
u64 shadow_touch(u64 g);
void shadow_granule(u64 g, u32 from, u32 to, struct doing *d);
void shadow_range(struct doing *d);

/* history.c */
void histories_begin(void);
void histories_stop(void);
void history_begin(struct cell *p, struct cell *c);
u32 history_copy(u32 history);
void history_remember(u32 history, u32 e, u32 site, bool writes);
void history_access(struct cell *p, struct doing *d);
bool history_read(u32 history, u32 task, u32 e, u32 site);

/* races.c: two accesses that nothing orders, of which one writes; several accesses of one epoch,
 * of which one is kept. */
void races_conflict(struct doing *d, u32 other, u32 other_site, bool other_writes);
void races_keep_one(u32 *kept, u32 site);

ALWAYS_INLINE struct cell *cell_in(const struct cells *cells, u64 g, u32 from)
{
    return from == 0 ? &cells->low[g]
        : from == 4 ? &cells->high[g] : &cells->inner[inner_of[g] + from];
}

/* Before anybody looks at a granule's cells: its word. */
ALWAYS_INLINE u64 shadow_now(u64 g)
{
    u64 word = granule[g];

    return likely((word ^ shadow_stamp) >> STAMP_SHIFT == 0) ? word : shadow_touch(g);
}

/* What a granule's word has to say for the quick ways: by size and first byte. */
struct shape { u64 mask, wanted; };
extern struct shape shape_of_others[9][8];      /* one segment, that nobody waits for */
extern struct shape shape_of_atomics[9][8];     /* and that atomic accesses touch */
extern struct shape shape_of_points[9][8];      /* one segment, of points as well as of others */
extern struct shape shape_of_only_points[9][8]; /* aligned; divided in whatever way */

ALWAYS_INLINE bool has_shape(u64 word, const struct shape shapes[9][8], u32 from, u32 size)
{
    const struct shape *s = &shapes[size][from];

    return (word & s->mask) == s->wanted;
}

/* Whether the kept access of the same epoch was made a point, so that this one may have to be. */
ALWAYS_INLINE bool is_news(u32 kept_e, u32 kept, u32 e, u32 site)
{
    return kept_e == e && kept != site && may_be_promoted(site_pc(kept));
}

/* The rule: a plain access of one segment, ordered after all that was before. True if it was that,
 * and is noted. */
ALWAYS_INLINE bool shadow_plain(u32 task, u64 offset, u32 size, bool writes, u32 site)
{
    u64 g = offset >> 3, word = shadow_now(g);
    u32 from = offset & 7, e = epoch_of(task);
    const u32 *now = clock_of(task);
    struct cell *p, *c;

    if (unlikely(!has_shape(word, shape_of_others, from, size)))
        return false;
    p = cell_in(&plain, g, from);
    if (unlikely(p->r == HISTORY))
        return !writes && history_read(p->r_site, task, e, site);
    if (unlikely(!ordered(p->w, now)) || unlikely(!ordered(p->r, now))
            || unlikely(writes ? is_news(p->w, p->w_site, e, site)
                               : is_news(p->r, p->r_site, e, site)))
        return false;
    if (word & WITH_ATOMICS) {
        c = cell_in(&atomics, g, from);
        if (unlikely(!ordered(c->w, now)) || (writes && unlikely(!ordered(c->r, now))))
            return false;
        if (writes)
            c->w = c->r = 0;
    }
    if (writes) {
        p->w = e;
        p->w_site = site;
        p->r = 0;
    } else {
        p->r = e;
        p->r_site = site;
    }
    return true;
}

/* The same of an atomic load that learns nothing. */
ALWAYS_INLINE bool shadow_load(u32 task, u64 offset, u32 size, u32 site)
{
    u64 g = offset >> 3, word = shadow_now(g);
    u32 from = offset & 7, e = epoch_of(task);
    const u32 *now = clock_of(task);
    struct cell *p, *c;

    if (unlikely(!has_shape(word, shape_of_atomics, from, size)) || clocks_located(offset))
        return false;
    p = cell_in(&plain, g, from);
    c = cell_in(&atomics, g, from);
    if (unlikely(p->r == HISTORY) || unlikely(!ordered(p->w, now)) || unlikely(!ordered(c->w, now))
            || unlikely(!ordered(c->r, now)) || unlikely(is_news(c->r, c->r_site, e, site)))
        return false;
    c->r = e;
    c->r_site = site;
    return true;
}

/* The same of an atomic store that hands nothing on. */
ALWAYS_INLINE bool shadow_store(u32 task, u64 offset, u32 size, u32 site)
{
    u64 g = offset >> 3, word = shadow_now(g);
    u32 from = offset & 7, e = epoch_of(task);
    const u32 *now = clock_of(task);
    struct cell *p, *c;

    if (unlikely(!has_shape(word, shape_of_atomics, from, size)) || clocks_located(offset)
            || unlikely(clock_fence[task]))
        return false;
    p = cell_in(&plain, g, from);
    c = cell_in(&atomics, g, from);
    if (unlikely(p->r == HISTORY) || unlikely(!ordered(p->w, now)) || unlikely(!ordered(p->r, now))
            || unlikely(!ordered(c->w, now)) || unlikely(!ordered(c->r, now))
            || unlikely(is_news(c->w, c->w_site, e, site)))
        return false;
    *c = (struct cell){ .w = e, .w_site = site };
    return true;
}

/* The same of an atomic access of any kind, and with what it learns and hands on. */
ALWAYS_INLINE bool shadow_atomic(u32 task, const struct access *a)
{
    u64 g = a->offset >> 3, word = shadow_now(g);
    u32 from = a->offset & 7, e = epoch_of(task), site = site_of(a);
    bool point = a->kind >= POINT_RMW;
    const u32 *now = clock_of(task);
    struct cell *p, *c;

    if (unlikely(!has_shape(word, point ? shape_of_points : shape_of_atomics, from, a->size)))
        return false;
    p = cell_in(&plain, g, from);
    c = cell_in(&atomics, g, from);
    if (unlikely(p->r == HISTORY) || unlikely(!ordered(p->w, now))
            || (a->writes && unlikely(!ordered(p->r, now))))
        return false;
    if (point) {                        /* two of that kind are nothing to each other */
        if (unlikely(!site_is_point(c->w_site) && !ordered(c->w, now))
                || unlikely(a->writes && !site_is_point(c->r_site) && !ordered(c->r, now)))
            return false;
    } else if (unlikely(!ordered(c->w, now)) || unlikely(a->writes && !ordered(c->r, now))
               || unlikely(a->writes ? is_news(c->w, c->w_site, e, site)
                                     : is_news(c->r, c->r_site, e, site))) {
        return false;
    }
    if (a->reads && clocks_located(a->offset))
        clocks_acquire(task, a);
    if (unlikely(!ordered(c->r, now)) || (a->writes && unlikely(!ordered(c->w, now)))) {
        history_begin(p, c);
        history_remember(p->r_site, e, site, a->writes);
    } else if (a->writes) {
        *c = (struct cell){ .w = e, .w_site = site };
    } else {
        c->r = e;
        c->r_site = site;
    }
    if (a->writes)
        clocks_store(task, a);
    return true;
}

#pragma GCC visibility pop

#endif
