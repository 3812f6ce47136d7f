/* What the gate of the sim world calls besides locks and waits (locks.c) and accesses (hooks.c): a
 * checker that looks away, payloads, races that are meant, histories, and what a task may do with
 * the locks that it holds. Outside an execution nothing happens. */
#include "sim.h"
#include "remote.h"
#include "watch.h"

#include <stdio.h>
#include <string.h>

#define HERE ((u64)__builtin_return_address(0) - memory.module)

/* A checker looks at the arena: its accesses are nobody's. */
static u64 window_kept, checked_kept;

void sim_look_away(void)
{
    window_kept = memory.window;
    checked_kept = memory.checked;
    memory.window = 0;
    memory.checked = 0;
}

void sim_look_again(void)
{
    memory.window = window_kept;
    memory.checked = checked_kept;
}

/* It is about to be written to while nobody looks: the next execution needs it as it was. */
void sim_remember(u64 *word)
{
    if (!memory.window && !window_kept)
        return;
    if (unlikely(run.remote))
        remote_ask(&(struct remote_call){ .what = ASK_REMEMBER, .object = offset_of(word) });
    else
        undo_word(offset_of(word), 8);
}

void sim_payload_begin(u64 low, u64 high)
{
    if (!memory.window) {
        watch_payload(low, high);
        return;
    }
    run.running->payload = 1;
    run.running->low = low;
    run.running->high = high;
}

enum { TURNS_BETWEEN = 1 << 18 };

/* The interpreter jumps back in a program, and may go on for ever. */
void sim_turn(void)
{
    static u32 turns;                   /* of a process */

    if (!memory.window)
        return;
    if (unlikely(run.remote)) {
        if ((++turns & (TURNS_BETWEEN - 1)) == 0)
            remote_ask(&(struct remote_call){ .what = ASK_TURNS });
    } else if ((++run.running->turns & (TURNS_BETWEEN - 1)) == 0) {
        sim_ran_long();
    }
}

/* A process of that task has done so many of them. */
void sim_turns(void)
{
    run.running->turns += TURNS_BETWEEN;
    sim_ran_long();
}

/* As the kernel's data_race(): the next access is meant to race, for a reason that is listed. */
void sim_data_race(int reason)
{
    if (memory.window) {
        run.running->known_race = (u8)reason;
        run.running->special |= SPECIAL_RACE;
    } else {
        watch_known_race(reason);
    }
}

void sim_payload_end(void)
{
    if (memory.window)
        run.running->payload = 0;
    else
        watch_payload(0, 0);
}

u32 sim_history_invoke(u32 object, bool write, u64 value)
{
    if (unlikely(run.remote) && memory.window)
        return (u32)remote_ask(&(struct remote_call){ .what = ASK_INVOKE, .number = object,
                                                      .write = write, .value = value });
    return memory.window ? linear_invoke(run.running->index, object, write, value) : ~0u;
}

void sim_leave_operation(void)
{
    if (run.remote == REMOTE_GATED)
        remote_ask(&(struct remote_call){ .what = ASK_LEAVES });
    if (run.running && sim_in_fiber())
        sim_end(END_VERDICT);
}

/* --- what a task holds --- */

bool sim_holds(u32 *lock)
{
    u32 offset = (u32)offset_of(lock);

    if (unlikely(run.remote))
        return remote_ask(&(struct remote_call){ .what = ASK_HOLDS, .object = offset });
    for (u32 i = 0; i < run.running->nr_held; i++)
        if (run.running->held[i].offset == offset)
            return true;
    return false;
}

void sim_might_sleep(const char *where, u32 preempt_count)
{
    if (unlikely(run.remote))
        remote_sleeps(where, preempt_count, HERE);
    else
        sim_might_sleep_at(where, preempt_count, HERE);
}

void sim_might_sleep_at(const char *where, u32 preempt_count, u64 pc)
{
    const struct sim_task *t = run.running;
    char text[160];

    if (preempt_count)
        sim_fail(V_SLEEP_IN_ATOMIC, where, 0, 0, 0, pc,
                 "may sleep, but the caller declared that it must not");
    for (u32 i = 0; i < t->nr_held; i++) {
        if (t->held[i].lock_class == LC_PG)
            continue;                   /* PG_locked sleeps itself */
        snprintf(text, sizeof(text), "may sleep with the spinlock 0x%x held", t->held[i].offset);
        sim_fail(V_SLEEP_IN_ATOMIC, where, 0, 0, t->held[i].offset, pc, text);
    }
}

void sim_no_locks_in(u64 start, u64 size)
{
    if (unlikely(run.remote))
        remote_ask(&(struct remote_call){ .what = ASK_NO_LOCKS_IN, .object = start,
                                          .size = size, .pc = HERE });
    else
        sim_no_locks_in_at(start, size, HERE);
}

void sim_no_locks_in_at(u64 start, u64 size, u64 pc)
{
    const struct sim_task *t = run.running;

    for (u32 i = 0; i < t->nr_held; i++)
        if (t->held[i].offset >= start && t->held[i].offset < start + size)
            sim_fail(V_LOCK_MISUSE, "check_no_locks_in", 0, 0, t->held[i].offset, pc,
                     "memory is freed with a lock held in it");
}

void sim_op_enter(void)
{
    if (unlikely(run.remote) && memory.window)
        remote_ask(&(struct remote_call){ .what = ASK_ENTERS });
    else if (memory.window)
        run.running->held_before = run.running->nr_held;
}

/* Locks that the program itself took before stay held; those of the operation must be gone. */
void sim_op_left(void)
{
    if (unlikely(run.remote))
        remote_ask(&(struct remote_call){ .what = ASK_LEFT, .pc = HERE });
    else
        sim_op_left_at(HERE);
}

void sim_op_left_at(u64 pc)
{
    const struct sim_task *t = run.running;
    char text[120];

    if (likely(t->nr_held <= t->held_before))
        return;
    snprintf(text, sizeof(text), "an operation returned with %u locks held, the last is 0x%x",
             t->nr_held - t->held_before, t->held[t->nr_held - 1].offset);
    sim_fail(V_LOCK_MISUSE, "op_leave", 0, 0, t->held[t->nr_held - 1].offset, pc, text);
}
