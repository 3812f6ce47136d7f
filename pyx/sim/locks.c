/* Locks and waits of the sim world: the words are the live world's, the waiting is the
 * scheduler's. A task that waits is not enabled until it can go on; a try never waits. */
#include "sim.h"
#include "remote.h"

#include <stdio.h>
#include <string.h>


#define HERE ((u64)__builtin_return_address(0) - sim.module)

static inline struct sim_task *step(void)
{
    sim.running->accesses++;
    return sim.running;
}

static inline u32 word_at(u64 offset)
{
    return *(u32 *)(sim.base + offset);
}

/* An actor that is a process does it itself, when its proxy lets it go on. */
static inline void set_word(u64 offset, u32 value)
{
    undo_word(offset, 4);
    if (likely(!sim.proxies) || sim.alone)
        *(u32 *)(sim.base + offset) = value;
}

/* An owner that no task can be: the word is not a lock's any more. Let whoever wants it go on,
 * and say so. */
static inline bool no_lock(u32 word)
{
    return (word & OWNER_MASK) > sim.nr_tasks + 2;
}

/* A scratch word's lock is a class of its own. */
static inline int class_of(u64 offset, int lock_class)
{
    return lock_class == LC_RAW ? LC_WORDS + (int)((offset - sim.scratch) / SCRATCH_STRIDE) : lock_class;
}

/* A list head that was never made is all zero. */
static inline bool has_item(u64 list_head)
{
    u64 first = *(u64 *)(sim.base + list_head);

    return first && first != list_head;
}

bool sim_can_go(const struct sim_task *t)
{
    u32 word;

    switch (t->kind) {
    case POINT_LOCK:
    case POINT_FREE:
        word = word_at(t->object);
        return (word & OWNER_MASK) == 0 || unlikely(no_lock(word));
    case POINT_READ_LOCK:
        return (word_at(t->object) & OWNER_MASK) == 0;
    case POINT_WRITE_LOCK:
        return word_at(t->object) == 0;
    case POINT_CHANGE:
        return t->size == 4 ? word_at(t->object) != (u32)t->seen
                            : *(u64 *)(sim.base + t->object) != t->seen;
    case POINT_EQUAL:
        return t->size == 4 ? word_at(t->object) == (u32)t->seen
                            : *(u64 *)(sim.base + t->object) == t->seen;
    case POINT_WORK:
        return t->woken || has_item(t->object);
    default:
        return true;
    }
}

void sim_note_held(u64 offset, int lock_class, u64 pc)
{
    struct sim_task *t = sim.running;

    if (t->nr_held < 16) {
        t->held[t->nr_held] = (u32)offset;
        t->held_class[t->nr_held] = (u8)lock_class;
        t->held_pc[t->nr_held] = pc;
        t->nr_held++;
    }
}

void sim_note_let_go(u64 offset)
{
    struct sim_task *t = sim.running;
    u32 i = t->nr_held;

    while (i--) {
        if (t->held[i] != (u32)offset)
            continue;
        t->nr_held--;
        for (; i < t->nr_held; i++) {
            t->held[i] = t->held[i + 1];
            t->held_class[i] = t->held_class[i + 1];
            t->held_pc[i] = t->held_pc[i + 1];
        }
        return;
    }
}

static inline void check_life(u64 offset, u64 pc)
{
    if (unlikely(life[offset >> PAGE_SHIFT] >= LIFE_SLOTS))
        lifetime_check(offset, 4, true, pc);
}

_Noreturn static void bad_word(u64 offset, u64 pc, const char *where)
{
    u32 word = word_at(offset);
    char text[120];

    if (word == POISON32)
        sim_fail(V_USE_AFTER_FREE, where, 0, 0, offset, pc, "the lock lies in freed memory");
    snprintf(text, sizeof(text), "the lock word is 0x%x: no task has that number", word);
    sim_fail(V_CORRUPTION, where, 0, 0, offset, pc, text);
}

/* It was waited for: the lock is free, or the word is none. */
static inline void check_word(u64 offset, u64 pc, const char *where)
{
    check_life(offset, pc);
    if (unlikely(no_lock(word_at(offset))))
        bad_word(offset, pc, where);
}

static inline __attribute__((always_inline)) void lock_at(u64 offset, int lock_class, u64 pc)
{
    struct sim_task *t = step();

    if (unlikely((word_at(offset) & OWNER_MASK) == t->index + 1))
        sim_fail(V_DEADLOCK, "spin_lock", 0, 0, offset, pc,
                 "it waits for a lock that it holds itself");
    if (t->nr_held)
        lock_order_acquired(t, class_of(offset, lock_class), pc);
    sim_point(POINT_LOCK, offset, 4, true, 0, pc);
    check_word(offset, pc, "spin_lock");
    set_word(offset, word_at(offset) + LOCK_GENERATION + t->index + 1);
    if (sim.races)
        race_acquire(offset);
    sim_note_held(offset, class_of(offset, lock_class), pc);
}

void sim_gate_lock(u32 *lock, int lock_class)
{
    if (unlikely(sim.remote))
        remote_lock(CALL_LOCK, lock, lock_class, HERE);
    else
        lock_at(offset_of(lock), lock_class, HERE);
}

void sim_lock_at(u64 offset, int lock_class, u64 pc)
{
    lock_at(offset, lock_class, pc);
}

static inline bool trylock_at(u64 offset, int lock_class, bool may_fail, u64 pc)
{
    struct sim_task *t = step();

    sim_point(POINT_TRYLOCK, offset, 4, true, 0, pc);
    check_life(offset, pc);
    if (unlikely(word_at(offset) == POISON32))
        bad_word(offset, pc, "spin_trylock");
    if (word_at(offset) & OWNER_MASK)
        return false;
    if (may_fail && sim.fault_left[FAIL_TRYLOCK] && sim_decide(FAIL_TRYLOCK, pc))
        return false;
    set_word(offset, word_at(offset) + LOCK_GENERATION + t->index + 1);
    if (sim.races)
        race_acquire(offset);
    sim_note_held(offset, class_of(offset, lock_class), pc);
    return true;
}

/* As the live world's: it may fail for no reason, if failures are injected. */
bool sim_gate_trylock(u32 *lock, int lock_class)
{
    if (unlikely(sim.remote))
        return remote_trylock(lock, lock_class, true, HERE);
    return trylock_at(offset_of(lock), lock_class, true, HERE);
}

bool sim_gate_trylock_bare(u32 *lock, int lock_class)
{
    if (unlikely(sim.remote))
        return remote_trylock(lock, lock_class, false, HERE);
    return trylock_at(offset_of(lock), lock_class, false, HERE);
}

bool sim_trylock_at(u64 offset, int lock_class, bool may_fail, u64 pc)
{
    return trylock_at(offset, lock_class, may_fail, pc);
}

static inline __attribute__((always_inline)) void unlock_at(u64 offset, u64 pc)
{
    struct sim_task *t = step();
    char text[120];

    sim_point(POINT_UNLOCK, offset, 4, true, 0, pc);
    check_life(offset, pc);
    if (unlikely((word_at(offset) & OWNER_MASK) != t->index + 1)) {
        snprintf(text, sizeof(text), "unlock of a lock that it does not hold (owner: task %u)",
                 word_at(offset) & OWNER_MASK);
        sim_fail(V_LOCK_MISUSE, "spin_unlock", 0, 0, offset, pc, text);
    }
    if (sim.races)
        race_release(offset);
    set_word(offset, word_at(offset) & ~(u32)OWNER_MASK);
    sim_note_let_go(offset);
}

void sim_gate_unlock(u32 *lock)
{
    if (unlikely(sim.remote))
        remote_lock(CALL_UNLOCK, lock, 0, HERE);
    else
        unlock_at(offset_of(lock), HERE);
}

void sim_unlock_at(u64 offset, u64 pc)
{
    unlock_at(offset, pc);
}

void sim_read_lock(u32 *lock, int lock_class, u64 pc)
{
    u64 offset = offset_of(lock);

    if (unlikely(sim.remote)) {
        remote_lock(CALL_READ_LOCK, lock, lock_class, pc);
        return;
    }
    step();
    if (sim.running->nr_held)
        lock_order_acquired(sim.running, class_of(offset, lock_class), pc);
    sim_point(POINT_READ_LOCK, offset, 4, true, 0, pc);
    check_word(offset, pc, "read_lock");
    set_word(offset, word_at(offset) + READER);
    if (sim.races)
        race_acquire(offset);
    sim_note_held(offset, class_of(offset, lock_class), pc);
}

void sim_read_unlock(u32 *lock, u64 pc)
{
    u64 offset = offset_of(lock);

    if (unlikely(sim.remote)) {
        remote_lock(CALL_READ_UNLOCK, lock, 0, pc);
        return;
    }
    step();
    sim_point(POINT_READ_UNLOCK, offset, 4, true, 0, pc);
    check_life(offset, pc);
    if (!sim_holds(lock) || word_at(offset) < READER)
        sim_fail(V_LOCK_MISUSE, "read_unlock", 0, 0, offset, pc,
                 "read_unlock of a lock that it does not read");
    if (sim.races)
        race_release(offset);
    set_word(offset, word_at(offset) - READER);
    sim_note_let_go(offset);
}

void sim_write_lock(u32 *lock, int lock_class, u64 pc)
{
    struct sim_task *t;
    u64 offset = offset_of(lock);

    if (unlikely(sim.remote)) {
        remote_lock(CALL_WRITE_LOCK, lock, lock_class, pc);
        return;
    }
    t = step();
    for (u32 i = 0; i < t->nr_held; i++)
        if (t->held[i] == offset)
            sim_fail(V_DEADLOCK, "write_lock", 0, 0, offset, pc,
                     "it takes for writing a lock that it holds already");
    if (t->nr_held)
        lock_order_acquired(t, class_of(offset, lock_class), pc);
    sim_point(POINT_WRITE_LOCK, offset, 4, true, 0, pc);
    check_word(offset, pc, "write_lock");
    set_word(offset, t->index + 1);
    if (sim.races)
        race_acquire(offset);
    sim_note_held(offset, class_of(offset, lock_class), pc);
}

void sim_write_unlock(u32 *lock, u64 pc)
{
    struct sim_task *t;
    u64 offset = offset_of(lock);

    if (unlikely(sim.remote)) {
        remote_lock(CALL_WRITE_UNLOCK, lock, 0, pc);
        return;
    }
    t = step();
    sim_point(POINT_UNLOCK, offset, 4, true, 0, pc);
    if (word_at(offset) != t->index + 1)
        sim_fail(V_LOCK_MISUSE, "write_unlock", 0, 0, offset, pc,
                 "write_unlock of a lock that it does not hold");
    if (sim.races)
        race_release(offset);
    set_word(offset, 0);
    sim_note_let_go(offset);
}

/* A failed try is made again: nothing changes before the lock is free. */
void sim_wait_free(u32 *lock, u64 pc)
{
    if (unlikely(sim.remote)) {
        remote_wait(CALL_WAIT_FREE, lock, 4, 0, pc);
        return;
    }
    step();
    sim_point(POINT_FREE, offset_of(lock), 4, false, 0, pc);
}

void sim_wait_change(void *word, u32 size, u64 seen, u64 pc)
{
    if (unlikely(sim.remote)) {
        remote_wait(CALL_WAIT_CHANGE, word, size, seen, pc);
        return;
    }
    step();
    sim_point(POINT_CHANGE, offset_of(word), size, false, seen, pc);
}

void sim_wait_equal(void *word, u32 size, u64 value, u64 pc)
{
    if (unlikely(sim.remote)) {
        remote_wait(CALL_WAIT_EQUAL, word, size, value, pc);
        return;
    }
    step();
    sim_point(POINT_EQUAL, offset_of(word), size, false, value, pc);
    if (sim.races)
        race_acquire(offset_of(word));
}

/* Until an item is queued; false: none can come any more. */
bool sim_wait_work(void *list_head, u64 pc)
{
    struct sim_task *t;

    if (unlikely(sim.remote))
        return remote_wait(CALL_WAIT_WORK, list_head, 8, 0, pc);
    t = step();
    t->woken = 0;
    sim_point(POINT_WORK, offset_of(list_head), 8, false, 0, pc);
    return has_item(offset_of(list_head));
}

void sim_yield(u64 pc)
{
    if (unlikely(sim.remote)) {
        remote_ask(&(struct remote_call){ .what = CALL_YIELD, .pc = pc });
        return;
    }
    step();
    sim_point(POINT_YIELD, 0, 0, false, 0, pc);
}

/* --- what the gate calls without a program counter of its own --- */

void sim_gate_wait_free(u32 *lock) { sim_wait_free(lock, HERE); }
void sim_gate_wait_change(u64 *word, u64 seen) { sim_wait_change(word, 8, seen, HERE); }
void sim_gate_wait_equal(u64 *word, u64 value) { sim_wait_equal(word, 8, value, HERE); }
bool sim_gate_wait_work(void *items) { return sim_wait_work(items, HERE); }
void sim_gate_yield(void) { sim_yield(HERE); }

bool sim_gate_should_fail(int fault)
{
    if (unlikely(sim.remote))
        return sim.window && remote_ask(&(struct remote_call){ .what = CALL_FAULT,
                                                               .number = (u32)fault, .pc = HERE });
    return sim.window && sim_decide((u32)fault, HERE);
}
