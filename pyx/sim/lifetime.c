/* Which frames and slots objects are alive, and where the payload that a task works on ends:
 * an access to what was freed, or outside the object it belongs to, is a verdict at its line. */
#include "sim.h"
#include "remote.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HERE ((u64)__builtin_return_address(0) - sim.module)

u8 *life;
static u8 *slots_dead;
static struct { u8 *what; u8 old; } *changes;
static u32 nr_changes, max_changes;

void lifetime_start(void)
{
    lifetime_stop();
    life = calloc(sim.arena_size / PAGE_SIZE + 2, 1);
    slots_dead = calloc((sim.slots_end - sim.slots) / SLOTS_SIZE + 1, 1);
    if (!life || !slots_dead)
        abort();
    for (u64 p = sim.frames; p < sim.frames_end; p += PAGE_SIZE)
        life[p >> PAGE_SHIFT] = LIFE_FREED_FRAME;
    for (u64 p = sim.slots & ~(u64)PAGE_MASK_BITS; p < sim.slots_end; p += PAGE_SIZE)
        life[p >> PAGE_SHIFT] = LIFE_SLOTS;
    memset(slots_dead, 1, (sim.slots_end - sim.slots) / SLOTS_SIZE);
    nr_changes = 0;
}

void lifetime_stop(void)
{
    free(life);
    free(slots_dead);
    free(changes);
    life = slots_dead = NULL;
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

void lifetime_frame(u64 offset, bool live)
{
    if (!sim.window)
        return;
    if (unlikely(sim.remote)) {
        remote_ask(&(struct remote_call){ .what = CALL_LIFE_FRAME, .object = offset,
                                          .write = live });
        return;
    }
    change(&life[offset >> PAGE_SHIFT], live ? LIFE_FRAME : LIFE_FREED_FRAME);
    if (unlikely(sim.recording > 1))
        trace_event(live ? EVENT_LIVES : EVENT_FREED, offset, 0, HERE);
}

void lifetime_slots(u64 offset, bool live)
{
    if (!sim.window) {
        watch_slots(offset, live);
        return;
    }
    if (unlikely(sim.remote)) {
        remote_ask(&(struct remote_call){ .what = CALL_LIFE_SLOTS, .object = offset,
                                          .write = live });
        return;
    }
    change(&slots_dead[(offset - sim.slots) / SLOTS_SIZE], !live);
    if (unlikely(sim.recording > 1))
        trace_event(live ? EVENT_LIVES : EVENT_FREED, offset, 0, HERE);
}

void lifetime_sync(void)
{
    nr_changes = 0;
}

void lifetime_reset(void)
{
    while (nr_changes) {
        nr_changes--;
        *changes[nr_changes].what = changes[nr_changes].old;
    }
}

void lifetime_check(u64 offset, u32 size, bool write, u64 pc)
{
    struct sim_task *t = sim.running;
    u8 kind = life[offset >> PAGE_SHIFT];
    char text[160];

    if (!sim.lifetimes)
        return;
    if (kind == LIFE_FREED_FRAME) {
        snprintf(text, sizeof(text), "a %s of %u bytes at byte %llu of a page that was freed",
                 write ? "store" : "load", size, (unsigned long long)(offset & PAGE_MASK_BITS));
        sim_fail(V_USE_AFTER_FREE, "access", offset & ~(u64)PAGE_MASK_BITS, 0, 0, pc, text);
    }
    if (kind == LIFE_SLOTS && offset >= sim.slots && offset < sim.slots_end
            && (offset - sim.slots) % SLOTS_SIZE < SLOTS_GUARDED
            && slots_dead[(offset - sim.slots) / SLOTS_SIZE]) {
        snprintf(text, sizeof(text), "a %s of %u bytes in a slots object that was freed",
                 write ? "store" : "load", size);
        sim_fail(V_USE_AFTER_FREE, "access", 0, offset & ~(u64)(SLOTS_SIZE - 1), 0, pc, text);
    }
    if (t->payload && kind == LIFE_FRAME && (offset < t->low || offset + size > t->high)) {
        snprintf(text, sizeof(text), "a %s of %u bytes at byte %llu of the page: outside the "
                 "object, which is at bytes %llu to %llu", write ? "store" : "load", size,
                 (unsigned long long)(offset & PAGE_MASK_BITS), (unsigned long long)(t->low & PAGE_MASK_BITS),
                 (unsigned long long)(t->high - (t->low & ~(u64)PAGE_MASK_BITS)));
        sim_fail(V_CORRUPTION, "access", offset & ~(u64)PAGE_MASK_BITS, 0, 0, pc, text);
    }
}
