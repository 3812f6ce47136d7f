/* Which allocations live: the arena's regions are made of units that are born and die, and an
 * access to a dead one is a verdict at its line; so is one that leaves the object it belongs to.
 *
 * An observer (observe.h). What regions there are the host says; nothing here knows what a unit is
 * used for. A unit's life is put back with the execution. */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>

u8 *life;                               /* enum life; of a unit of pages or more its own */
static u8 *dead[SIM_REGIONS];           /* of each unit */
static struct { u8 *what; u8 old; } *changes;
static u32 nr_changes, max_changes;

void regions_start(void)
{
    regions_stop();
    life = calloc(memory.size / PAGE_SIZE + 2, 1);
    if (!life)
        abort();
    for (u32 i = 0; i < memory.nr_regions; i++) {
        const struct region *r = &memory.region[i];
        u64 units = (r->end - r->start) / r->unit;

        dead[i] = malloc(units + 1);
        if (!dead[i])
            abort();
        for (u64 unit = 0; unit < units; unit++)
            dead[i][unit] = 1;
        for (u64 p = r->start & ~(u64)PAGE_MASK_BITS; p < r->end; p += PAGE_SIZE)
            life[p >> PAGE_SHIFT] = r->unit < PAGE_SIZE ? LIFE_PARTS : LIFE_DEAD;
    }
}

void regions_stop(void)
{
    for (u32 i = 0; i < SIM_REGIONS; i++) {
        free(dead[i]);
        dead[i] = NULL;
    }
    free(life);
    free(changes);
    life = NULL;
    changes = NULL;
    nr_changes = max_changes = 0;
}

static void change(u8 *what, u8 to)
{
    if (nr_changes == max_changes) {
        max_changes = max_changes ? 2 * max_changes : 256;
        changes = realloc(changes, max_changes * sizeof(*changes));
        if (!changes)
            abort();
    }
    changes[nr_changes].what = what;
    changes[nr_changes++].old = *what;
    *what = to;
}

static const struct region *region_of(u64 offset, u32 *number)
{
    for (u32 i = 0; i < memory.nr_regions; i++)
        if (offset >= memory.region[i].start && offset < memory.region[i].end) {
            *number = i;
            return &memory.region[i];
        }
    return NULL;
}

/* A birth or a death. */
void regions_change(const struct access *a)
{
    bool dies = a->kind == POINT_DEATH;
    u32 number;
    const struct region *r = region_of(a->offset, &number);

    if (!r)
        return;
    ASSERT((a->offset - r->start) % r->unit == 0);
    change(&dead[number][(a->offset - r->start) / r->unit], dies);
    if (r->unit >= PAGE_SIZE)
        for (u64 p = a->offset; p < a->offset + r->unit; p += PAGE_SIZE)
            change(&life[p >> PAGE_SHIFT], dies ? LIFE_DEAD : LIFE_ALIVE);
}

/* What was changed so far stays. */
void regions_sync(void)
{
    nr_changes = 0;
}

void regions_reset(void)
{
    while (nr_changes) {
        nr_changes--;
        *changes[nr_changes].what = changes[nr_changes].old;
    }
}

static void freed(const struct region *r, u64 unit, const struct access *a)
{
    char text[160];

    snprintf(text, sizeof(text), "a %s of %u bytes at byte %llu of a %s that was freed",
             a->writes ? "store" : "load", a->size, (unsigned long long)(a->offset - unit),
             r->name);
    sim_fail(V_USE_AFTER_FREE, "access", r->pages ? unit : 0, r->pages ? 0 : unit, 0, a->pc, text);
}

static void outside(const struct sim_task *t, const struct region *r, u64 unit,
                    const struct access *a)
{
    char text[160];

    snprintf(text, sizeof(text), "a %s of %u bytes at byte %llu of the %s: outside the "
             "object, which is at bytes %llu to %llu", a->writes ? "store" : "load", a->size,
             (unsigned long long)(a->offset - unit), r->name,
             (unsigned long long)(t->low % r->unit),
             (unsigned long long)(t->high - (t->low - t->low % r->unit)));
    sim_fail(V_CORRUPTION, "access", unit, 0, 0, a->pc, text);
}

/* Of an access that may touch a region: each unit that it touches must live. */
void regions_check(struct sim_task *t, const struct access *a)
{
    u64 at = a->offset, end = a->offset + a->size;
    const struct region *r;
    u32 number;

    if (!config.lifetimes)
        return;
    while (at < end) {
        r = region_of(at, &number);
        if (!r) {
            if (end - at <= 8)
                return;
            at = (at | 7) + 1;
            if (life[at >> PAGE_SHIFT] == LIFE_NO_REGION)
                at = (at | PAGE_MASK_BITS) + 1;
            continue;
        }
        u32 nr = (u32)(at - r->start) / r->unit;        /* half the width divides in half the time */
        u64 unit = r->start + (u64)nr * r->unit;

        if (dead[number][nr] && at - unit < r->guarded)
            freed(r, unit, a);
        if (t->payload && r->payloads && (a->offset < t->low || end > t->high))
            outside(t, r, unit, a);
        at = unit + r->unit;
    }
}
