/* The shadow of memory, all but the rule: see shadow.h. */
#include "shadow.h"

#include <stdlib.h>
#include <string.h>

u64 *granule;
struct cells plain, atomics;
u32 *inner_of;                          /* of a granule its eight inner cells, by their first byte */
struct page *pages;
u64 shadow_stamp;
struct shape shape_of_others[9][8], shape_of_atomics[9][8], shape_of_points[9][8];
struct shape shape_of_only_points[9][8];

static u64 nr_granules;
static u32 nr_inner, max_inner;

static void *need(void *p)
{
    if (!p)
        abort();
    return p;
}

static void *zeroed(u64 n, u64 size)
{
    return need(calloc(n, size));
}

/* Sizes that do not fit in the granule have a mask that no word can have. */
static void make_shapes(struct shape shapes[9][8], u32 marks, u32 uses, u32 not_uses)
{
    for (u32 from = 0; from < 8; from++)
        for (u32 size = 0; size <= 8; size++)
            shapes[size][from] = size == 0 || from + size > 8 ? (struct shape){ 0, 1 }
                : (struct shape){
                    ((2ull << size) - 1) << from | marks | uses_within(from, size, uses | not_uses),
                    (1ull | 1ull << size) << from | marks | uses_within(from, size, uses) };
}

static void make_shapes_of_only_points(void)
{
    const u32 all = (1u << USE_BITS) - 1;

    for (u32 from = 0; from < 8; from++)
        for (u32 size = 0; size <= 8; size++)
            shape_of_only_points[size][from] = (size != 4 && size != 8) || from & (size - 1)
                ? (struct shape){ 0, 1 }
                : (struct shape){ uses_within(from, size, all), uses_within(from, size, USE_POINTS) };
}

void shadow_start(u64 granules)
{
    make_shapes_of_only_points();
    make_shapes(shape_of_others, 0, USE_OTHERS, USE_WAITED);
    make_shapes(shape_of_atomics, WITH_ATOMICS, USE_OTHERS, USE_WAITED);
    make_shapes(shape_of_points, WITH_ATOMICS, USE_POINTS | USE_OTHERS, 0);
    nr_granules = granules;
    granule = zeroed(granules, sizeof(*granule));
    inner_of = zeroed(granules, sizeof(*inner_of));
    pages = zeroed(granules / 512 + 1, sizeof(*pages));
    plain = (struct cells){ zeroed(granules, sizeof(struct cell)),
                            zeroed(granules, sizeof(struct cell)), NULL };
    atomics = (struct cells){ zeroed(granules, sizeof(struct cell)),
                              zeroed(granules, sizeof(struct cell)), NULL };
    shadow_stamp = 0;
}

static void cells_free(struct cells *c)
{
    free(c->low);
    free(c->high);
    free(c->inner);
    *c = (struct cells){ 0 };
}

void shadow_stop(void)
{
    histories_stop();
    cells_free(&plain);
    cells_free(&atomics);
    free(granule);
    free(inner_of);
    free(pages);
    granule = NULL;
    inner_of = NULL;
    pages = NULL;
    nr_inner = max_inner = 0;
}

/* --- stamps --- */

static inline void unstamp(u64 g)
{
    granule[g] = (u32)granule[g];
}

void shadow_begin(void)
{
    histories_begin();
    shadow_stamp += 1ull << STAMP_SHIFT;
    if (likely(shadow_stamp))
        return;
    for (u64 g = 0; g < nr_granules; g++)       /* four billion executions later */
        unstamp(g);
    for (u64 i = 0; i < nr_granules / 512 + 1; i++)
        pages[i].stamp = 0;
    shadow_stamp = 1ull << STAMP_SHIFT;
}

static inline struct page *page_of(u64 g)
{
    struct page *p = &pages[g >> 9];

    if (unlikely(p->stamp != shadow_stamp)) {
        p->stamp = shadow_stamp;
        p->whole = (struct cell){ 0 };
        memset(p->touched, 0, sizeof(p->touched));
    }
    return p;
}

/* From now on the granule's own cells tell, and no more the page's. Returns its word. */
__attribute__((noinline)) u64 shadow_touch(u64 g)
{
    struct page *p = page_of(g);
    u32 bounds = (u32)granule[g] | UNDIVIDED;

    p->touched[g >> 6 & 7] |= 1ull << (g & 63);
    for (u32 from = 0; from < 8; from = segment_end(bounds, from)) {
        *cell_in(&plain, g, from) = p->whole;
        if (bounds & WITH_ATOMICS)
            *cell_in(&atomics, g, from) = (struct cell){ 0 };
    }
    return granule[g] = bounds | shadow_stamp;
}

/* --- segments --- */

static void make_inner(u64 g)
{
    if (nr_inner + 8 > max_inner) {
        max_inner = max_inner ? 2 * max_inner : 1024;
        plain.inner = need(realloc(plain.inner, max_inner * sizeof(struct cell)));
        atomics.inner = need(realloc(atomics.inner, max_inner * sizeof(struct cell)));
    }
    if (nr_inner == 0)
        nr_inner = 8;                   /* the first eight are nobody's */
    inner_of[g] = nr_inner;
    memset(plain.inner + nr_inner, 0, 8 * sizeof(struct cell));
    memset(atomics.inner + nr_inner, 0, 8 * sizeof(struct cell));
    nr_inner += 8;
}

void granule_divide(u64 g, u32 wanted)
{
    granule[g] |= UNDIVIDED;
    for (u32 at = 1; at < 8; at++) {
        u32 start = 31 - (u32)__builtin_clz((u32)granule[g] & ((1u << at) - 1));
        struct cell *part;

        if (!(wanted >> at & 1) || granule[g] >> at & 1)
            continue;
        if (at != 4 && !inner_of[g])
            make_inner(g);
        part = cell_in(&plain, g, at);
        *part = *cell_in(&plain, g, start);
        *cell_in(&atomics, g, at) = *cell_in(&atomics, g, start);
        if (part->r == HISTORY)        /* shared by none */
            part->r_site = history_copy(part->r_site);
        clocks_divide(g * 8 + start, g * 8 + at);
        granule[g] |= 1u << at;
    }
}

static bool stands_for(const struct doing *d, u32 e, u32 site)
{
    return e == 0 || (ordered(e, d->now) && strength(d->site) >= strength(site));
}

/* Whether this access can take the place of those of the cell that it conflicts with. */
static bool stands_for_cell(const struct doing *d, const struct cell *c)
{
    return stands_for(d, c->r, c->r_site) && (!d->writes || stands_for(d, c->w, c->w_site));
}

static void put(struct cell *c, const struct doing *d)
{
    if (d->writes) {
        *c = (struct cell){ .w = d->e, .w_site = d->site };
    } else {
        c->r = d->e;
        c->r_site = d->site;
    }
}

static void conflicts_with(struct doing *d, const struct cell *c)
{
    if (!ordered(c->w, d->before))
        races_conflict(d, c->w, c->w_site, true);
    if (d->writes && !ordered(c->r, d->before))
        races_conflict(d, c->r, c->r_site, false);
}

/* Nothing came since an access of the same epoch that does the same. */
static bool comes_again(const struct cell *mine, const struct cell *others, const struct doing *d)
{
    return ordered(others->w, d->before)
        && (d->writes ? mine->w == d->e && mine->r == 0 && ordered(others->r, d->before)
                            && strength(d->site) <= strength(mine->w_site)
                      : mine->r == d->e && strength(d->site) <= strength(mine->r_site));
}

static void access_segment(struct cell *p, struct cell *c, struct doing *d)
{
    bool atomic = site_is_atomic(d->site);
    struct cell *mine = atomic ? c : p, *others = atomic ? p : c;

    if (p->r == HISTORY) {
        history_access(p, d);
    } else if (comes_again(mine, others, d)) {
        races_keep_one(d->writes ? &mine->w_site : &mine->r_site, d->site);
    } else {
        conflicts_with(d, p);
        conflicts_with(d, c);
        if (!stands_for_cell(d, mine) || (d->writes && !atomic && !stands_for_cell(d, c))) {
            history_begin(p, c);
            history_remember(p->r_site, d->e, d->site, d->writes);
            return;
        }
        put(mine, d);
        if (d->writes && !atomic)
            *c = (struct cell){ 0 };
    }
}

/* Bytes of one granule. */
__attribute__((noinline)) void shadow_granule(u64 g, u32 from, u32 to, struct doing *d)
{
    u32 bounds;

    shadow_now(g);
    bounds = granule_with(g, from, to);
    if (site_is_atomic(d->site))
        granule[g] |= WITH_ATOMICS;
    do {
        access_segment(cell_in(&plain, g, from), cell_in(&atomics, g, from), d);
        from = segment_end(bounds, from);
    } while (unlikely(from < to));
}

/* --- ranges --- */

/* What the word of a granule says which this execution touched, and which was only ever touched as
 * a whole, and by plain accesses. */
static inline u64 whole_granule(void)
{
    return shadow_stamp | uses_within(0, 8, USE_OTHERS) | UNDIVIDED;
}

/* Memory that is born, or dies, hands nothing on. */
static void drop_clocks(u64 g, u32 from, u32 to)
{
    if (granule[g] & WITH_ATOMICS)
        for (; from < to; from = segment_end((u32)granule[g], from))
            clocks_drop(g * 8 + from);
}

/* A granule of a page that is accessed as a whole. Returns whether the page's cell tells the same. */
static inline bool access_of_page(u64 g, const struct cell *whole, struct doing *d)
{
    struct cell *c = &plain.low[g];

    if (likely(granule[g] == whole_granule()) && likely(c->r != HISTORY)
            && likely(ordered(c->w, d->now)) && likely(ordered(c->r, d->now))
            && likely(!(d->writes ? is_news(c->w, c->w_site, d->e, d->site)
                                  : is_news(c->r, c->r_site, d->e, d->site)))) {
        if (d->writes) {
            *c = (struct cell){ .w = d->e, .w_site = d->site };
        } else {
            c->r = d->e;
            c->r_site = d->site;
        }
    } else {
        shadow_granule(g, 0, 8, d);
        if (site_kind(d->site) >= SITE_BIRTH)
            drop_clocks(g, 0, 8);
        if (granule[g] != whole_granule())
            return false;
    }
    return c->w == whole->w && c->w_site == whole->w_site && c->r == whole->r
        && c->r_site == whole->r_site;
}

/* A page as a whole, by a plain access, a birth or a death. */
static void access_page(u64 offset, struct doing *d)
{
    struct page *p = page_of(offset >> 3);
    struct cell *c = &p->whole;

    if (!ordered(c->r, d->now) || (d->writes && !ordered(c->w, d->now))) {
        for (u64 g = offset >> 3; g < (offset + PAGE_SIZE) >> 3; g++)
            shadow_now(g);              /* what the page's cell cannot hold, theirs must */
    } else {
        conflicts_with(d, c);
        if (unlikely(d->writes ? is_news(c->w, c->w_site, d->e, d->site)
                               : is_news(c->r, c->r_site, d->e, d->site)))
            races_keep_one(d->writes ? &c->w_site : &c->r_site, d->site);
        put(c, d);
    }
    for (u32 i = 0; i < 8; i++)
        for (u64 left = p->touched[i]; left; left &= left - 1) {
            u64 g = (offset >> 3) + 64 * i + (u32)__builtin_ctzll(left);

            if (access_of_page(g, c, d)) {
                p->touched[i] &= ~(left & -left);
                unstamp(g);
            }
        }
}

/* Whole granules that were only ever touched as a whole, by plain accesses that all are ordered:
 * what copies of objects are made of. Returns where something else begins. */
static u64 plain_granules(u64 offset, u64 end, const struct doing *d)
{
    const u32 *now = d->now;
    const u64 touched = whole_granule(), untouched = (u32)touched;
    u32 e = d->e, site = d->site;
    struct page *p = page_of(offset >> 3);
    bool first_ordered = ordered(p->whole.w, now) && ordered(p->whole.r, now);

    for (; offset + 8 <= end; offset += 8) {
        u64 g = offset >> 3;
        struct cell *c = &plain.low[g];

        if (granule[g] == touched) {
            if (unlikely(c->r == HISTORY) || unlikely(!ordered(c->w, now))
                    || unlikely(!ordered(c->r, now))
                    || unlikely(d->writes ? is_news(c->w, c->w_site, e, site)
                                          : is_news(c->r, c->r_site, e, site)))
                return offset;
        } else if (first_ordered && (u32)granule[g] == untouched) {
            granule[g] = touched;
            p->touched[g >> 6 & 7] |= 1ull << (g & 63);
            c->w = p->whole.w;
            c->w_site = p->whole.w_site;
        } else {
            return offset;
        }
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

/* Bytes of any number of granules. */
void shadow_range(struct doing *d)
{
    u64 offset = d->offset, end = offset + d->size, next;

    while (offset < end) {
        u64 g = offset >> 3;
        u32 from = offset & 7;
        u32 to = end - g * 8 < 8 ? (u32)(end - g * 8) : 8;

        if (strength(d->site) == 2 && (offset & PAGE_MASK_BITS) == 0 && end - offset >= PAGE_SIZE) {
            access_page(offset, d);
            offset += PAGE_SIZE;
            continue;
        }
        if (from == 0 && site_kind(d->site) == SITE_PLAIN) {
            next = (offset | PAGE_MASK_BITS) + 1;       /* what follows may be a page */
            next = plain_granules(offset, next < end ? next : end, d);
            if (next != offset) {
                offset = next;
                continue;
            }
        }
        shadow_granule(g, from, to, d);
        if (unlikely(site_kind(d->site) >= SITE_BIRTH))
            drop_clocks(g, from, to);
        offset = g * 8 + to;
    }
}
