/* FastTrack (Flanagan and Freund, PLDI 2009): happens-before races with epochs. The verdict is
 * exactly that of full vector clocks for each byte, and so is what becomes a schedule point.
 *
 * Departures. An access that is atomic races only with one that is not, so that accesses of both
 * kinds are kept apart (shadow.h), and a later access stands for an earlier one only if it is
 * ordered after it and races with as much. An atomic access is judged after what it acquires.
 * Memory that is born or dies is written to as a whole.
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
#include "shadow.h"

#include <stdio.h>
#include <string.h>

bool races_possible;
static bool somebody_waits;             /* for memory that others than points touch */

void races_start(u64 arena_size)
{
    u64 granules = arena_size / 8 + 2;

    races_stop();
    somebody_waits = races_possible = false;
    shadow_start(granules);
    clocks_start(arena_size);
}

void races_stop(void)
{
    clocks_stop();
    shadow_stop();
}

void races_begin(void)
{
    shadow_begin();
    clocks_begin();
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

static bool make_point(u32 site)
{
    return !site_is_point(site) && promote(site_pc(site));
}

/* Two accesses that conflict, and that nothing orders before the later one acquires anything. */
__attribute__((noinline)) void races_conflict(struct doing *d, u32 other, u32 other_site,
                                              bool other_writes)
{
    make_point(other_site);
    make_point(d->site);
    judge(d, other, other_site, other_writes);
}

/* Of several accesses of one epoch one is kept: where it is a schedule point that it had to be
 * made, so are the others, for they conflict with the same. */
void races_keep_one(u32 *kept, u32 site)
{
    if (likely(*kept == site))
        return;
    if (site_is_point(*kept))
        *kept = strength(site) < strength(*kept) ? *kept : site;
    else if (promoted(site_pc(*kept)))
        make_point(site);
}

/* --- uses --- */

/* Each page of the range is known to be touched by others as a whole: copies, births. */
static bool pages_of_others(const struct access *a)
{
    for (u64 i = a->offset >> PAGE_SHIFT; i <= (a->offset + a->size - 1) >> PAGE_SHIFT; i++)
        if (!pages[i].others)
            return false;
    return true;
}

static void learn_pages(const struct access *a)
{
    for (u64 i = (a->offset + PAGE_MASK_BITS) >> PAGE_SHIFT;
            i < (a->offset + a->size) >> PAGE_SHIFT; i++)
        pages[i].others = true;
}

/* True where others than points touch it. Where that is news to the points, or they are to the
 * others, the execution is one of another kind than it was taken for. */
static __attribute__((noinline)) bool touched_by(const struct access *a, u32 by)
{
    u64 first = a->offset >> 2, last = (a->offset + a->size - 1) >> 2;
    bool others = false, mixed = false;

    if (by == USE_OTHERS && a->size > 8 && pages_of_others(a))
        return true;
    for (u64 i = first; i <= last; i++) {
        u32 use = use_of(i);

        if ((use & by) != by) {
            mixed |= use != 0;
            use_add(i, by);
        }
        others |= (use | by) & USE_OTHERS;
    }
    if (by == USE_OTHERS)
        learn_pages(a);
    if (unlikely(others && !races_possible)) {
        races_possible = true;
        mixed = true;
    }
    if (unlikely(mixed)) {
        learnt++;
        sim_end(END_AGAIN);
    }
    return others;
}

void races_waits(const struct access *a)
{
    if (!run.alone && a->size && touched_by(a, USE_POINTS)) {
        somebody_waits = true;
        touched_by(a, USE_POINTS | USE_WAITED);
    }
}

/* Whoever waits for something about this memory might see it at any moment, and if it never comes
 * does no access that would show it: each write of it is a schedule point. */
static __attribute__((noinline)) void may_be_waited_for(const struct access *a)
{
    u64 first = a->offset >> 2, last = (a->offset + a->size - 1) >> 2;

    for (u64 i = first; i <= last; i++)
        if (use_of(i) & USE_WAITED) {
            promote(a->pc);
            return;
        }
}

/* --- accesses --- */

void races_atomic(struct sim_task *t, const struct access *a)
{
    clocks_now();
    if (unlikely(!shadow_atomic(t->index, a)))
        races_access(t, a);
}

void races_access(struct sim_task *t, const struct access *a)
{
    bool point = a->kind >= POINT_RMW, hint = access_is_hint(a);
    struct doing d = { .task = t->index, .offset = a->offset, .size = a->size,
                       .writes = a->writes, .site = site_of(a) };
    u32 before[SIM_TASKS + 2];

    if (a->kind == POINT_POISON)
        return;                         /* its death has written to it already */
    if (unlikely(a->size == 0)) {
        if (a->kind == POINT_FENCE && races_possible)
            clocks_log(t->index, a);
        return;
    }
    if (!touched_by(a, point ? USE_POINTS : USE_OTHERS)) {
        if (!hint)
            clocks_log(t->index, a);
        return;
    }
    if (somebody_waits && !point && a->writes)
        may_be_waited_for(a);
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
    if (a->size <= 8 - (a->offset & 7) && site_kind(d.site) < SITE_BIRTH)
        shadow_granule(a->offset >> 3, a->offset & 7, (a->offset & 7) + a->size, &d);
    else
        shadow_range(&d);
    if (a->atomic && a->writes)
        clocks_release(d.task, a);
}
