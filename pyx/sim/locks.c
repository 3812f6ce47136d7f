/* Locks and waits of the sim world: the words are the live world's, the waiting is the
 * scheduler's. A task that waits is not enabled until it can go on; a try never waits. A lock
 * operation is an access that reads and writes its word, a wait one that reads it. */
#include "lock_order.h"
#include "observe.h"
#include "remote.h"

#include <stdio.h>
#include <string.h>

#define HERE ((u64)__builtin_return_address(0) - memory.module)

static inline u32 word_at(u64 offset)
{
    return *(u32 *)(memory.base + offset);
}

/* An actor that is a process does it itself, when its proxy lets it go on. */
static inline void set_word(u64 offset, u32 value)
{
    if (likely(!run.proxies) || run.alone)
        *(u32 *)(memory.base + offset) = value;
}

/* An owner that no task can be: the word is not a lock's any more. Let whoever wants it go on,
 * and say so. */
static inline bool no_lock(u32 word)
{
    return (word & OWNER_MASK) > run.nr_tasks + 2;
}

/* A scratch word's lock is a class of its own. */
static inline int class_of(u64 offset, int lock_class)
{
    return lock_class == LC_RAW ? LC_WORDS + (int)((offset - memory.scratch) / SCRATCH_STRIDE)
                                : lock_class;
}

/* A list head that was never made is all zero. */
static inline bool has_item(u64 list_head)
{
    u64 first = *(u64 *)(memory.base + list_head);

    return first && first != list_head;
}

static inline u64 value_at(const struct access *a)
{
    return a->size == 4 ? word_at(a->offset) : *(u64 *)(memory.base + a->offset);
}

bool sim_can_go(const struct sim_task *t)
{
    u32 word;

    switch (t->next.kind) {
    case POINT_LOCK:
    case POINT_FREE:
        word = word_at(t->next.offset);
        return (word & OWNER_MASK) == 0 || unlikely(no_lock(word));
    case POINT_READ_LOCK:
        return (word_at(t->next.offset) & OWNER_MASK) == 0;
    case POINT_WRITE_LOCK:
        return word_at(t->next.offset) == 0;
    case POINT_CHANGE:
        return value_at(&t->next) != t->next.seen;
    case POINT_EQUAL:
        return value_at(&t->next) == t->next.seen;
    case POINT_WORK:
        return t->woken || has_item(t->next.offset);
    default:
        return true;
    }
}

static inline bool holds(const struct sim_task *t, u64 offset)
{
    for (u32 i = 0; i < t->nr_held; i++)
        if (t->held[i].offset == offset)
            return true;
    return false;
}

ALWAYS_INLINE void note_held(struct sim_task *t, const struct access *a, int lock_class)
{
    if (unlikely(t->nr_held == MAX_HELD))
        sim_end(END_STEPS);             /* a limit of this tool, and no verdict */
    ASSERT(a->kind == POINT_READ_LOCK || !holds(t, a->offset));
    t->held[t->nr_held++] = (struct held_lock){ (u32)a->offset, (u8)lock_class, a->kind, a->pc };
}

static inline void note_let_go(struct sim_task *t, u64 offset)
{
    u32 i = t->nr_held;

    while (i--) {
        if (t->held[i].offset != (u32)offset)
            continue;
        t->nr_held--;
        for (; i < t->nr_held; i++)
            t->held[i] = t->held[i + 1];
        return;
    }
}

/* Of a lock that the task holds already no other lock can be the reason: it waits for itself. */
ALWAYS_INLINE void check_self(const struct sim_task *t, const struct access *a)
{
    if (a->kind == POINT_LOCK) {
        if (unlikely((word_at(a->offset) & OWNER_MASK) == t->index + 1))
            sim_fail(V_DEADLOCK, "spin_lock", 0, 0, a->offset, a->pc,
                     "it waits for a lock that it holds itself");
    } else if (unlikely(holds(t, a->offset))) {
        if (a->kind == POINT_WRITE_LOCK)
            sim_fail(V_DEADLOCK, "write_lock", 0, 0, a->offset, a->pc,
                     "it takes for writing a lock that it holds already");
        if ((word_at(a->offset) & OWNER_MASK) == t->index + 1)
            sim_fail(V_DEADLOCK, "read_lock", 0, 0, a->offset, a->pc,
                     "it takes for reading a lock that it holds for writing");
    }
}

static const char *const names[] = {
    [POINT_LOCK] = "spin_lock", [POINT_TRYLOCK] = "spin_trylock", [POINT_UNLOCK] = "spin_unlock",
    [POINT_READ_LOCK] = "read_lock", [POINT_READ_UNLOCK] = "read_unlock",
    [POINT_WRITE_LOCK] = "write_lock", [POINT_WRITE_UNLOCK] = "write_unlock",
};

/* It was waited for, and its word is none of a lock. */
_Noreturn static void bad_word(const struct access *a)
{
    u32 word = word_at(a->offset);
    char text[120];

    if (word == POISON32)
        sim_fail(V_USE_AFTER_FREE, names[a->kind], 0, 0, a->offset, a->pc,
                 "the lock lies in freed memory");
    snprintf(text, sizeof(text), "the lock word is 0x%x: no task has that number", word);
    sim_fail(V_CORRUPTION, names[a->kind], 0, 0, a->offset, a->pc, text);
}

static inline bool may_let_go(const struct sim_task *t, const struct access *a)
{
    u32 word = word_at(a->offset);

    return a->kind == POINT_READ_UNLOCK ? word >= READER && holds(t, a->offset)
                                        : (word & OWNER_MASK) == t->index + 1;
}

_Noreturn static void misuse(const struct access *a)
{
    char text[140];

    if (a->kind == POINT_UNLOCK)
        snprintf(text, sizeof(text), "unlock of a lock that it does not hold (owner: task %u)",
                 word_at(a->offset) & OWNER_MASK);
    else
        snprintf(text, sizeof(text), "%s of a lock that it does not %s", names[a->kind],
                 a->kind == POINT_READ_UNLOCK ? "read" : "hold");
    sim_fail(V_LOCK_MISUSE, names[a->kind], 0, 0, a->offset, a->pc, text);
}

/* A lock operation of any kind, from its announcement to its word: whether it took or let go. */
static inline __attribute__((always_inline)) bool lock_access(struct access a, int lock_class,
                                                              bool may_fail)
{
    struct sim_task *t = sim_step();
    bool takes = a.kind == POINT_LOCK || a.kind == POINT_READ_LOCK || a.kind == POINT_WRITE_LOCK;
    u32 word, owner;

    lock_class = class_of(a.offset, lock_class);
    if (unlikely(t->special & SPECIAL_MORTAL))
        sim_may_die(t);
    if (takes) {
        check_self(t, &a);
        races_announce(&a);
        if (t->nr_held)
            lock_order_wanted(t, &a, lock_class);
    }
    sim_point(t, &a);
    word = word_at(a.offset);
    owner = word & OWNER_MASK;
    if (a.kind == POINT_TRYLOCK
            && (owner || (may_fail && run.fault_left[FAIL_TRYLOCK]
                          && sim_decide(FAIL_TRYLOCK, a.pc)))) {
        a.writes = false;
        a.order = ORDER_RELAXED;
    }
    sim_observe(t, &a);
    if ((takes && unlikely(no_lock(word)))
            || (a.kind == POINT_TRYLOCK && unlikely(word == POISON32)))
        bad_word(COPY_OF(&a));
    if (unlikely(a.order & ORDER_RELEASE && !may_let_go(t, &a)))
        misuse(COPY_OF(&a));
    switch (a.kind) {
    case POINT_TRYLOCK:
        if (!a.writes)
            return false;
        set_word(a.offset, word + LOCK_GENERATION + t->index + 1);
        break;
    case POINT_LOCK:
        set_word(a.offset, word + LOCK_GENERATION + t->index + 1);
        break;
    case POINT_READ_LOCK:
        set_word(a.offset, word + READER);
        break;
    case POINT_WRITE_LOCK:
        set_word(a.offset, t->index + 1);
        break;
    case POINT_UNLOCK:
        set_word(a.offset, word & ~(u32)OWNER_MASK);
        break;
    case POINT_READ_UNLOCK:
        set_word(a.offset, word - READER);
        break;
    case POINT_WRITE_UNLOCK:
        set_word(a.offset, 0);
        break;
    }
    if (a.order & ORDER_RELEASE)
        note_let_go(t, a.offset);
    else
        note_held(t, &a, lock_class);
    return true;
}

bool sim_lock_access(const struct access *a, int lock_class, bool may_fail)
{
    return lock_access(*a, lock_class, may_fail);
}

static inline __attribute__((always_inline)) bool lock_op(int kind, u32 *lock, int lock_class,
                                                          bool may_fail, u64 pc)
{
    bool lets_go = kind == POINT_UNLOCK || kind == POINT_READ_UNLOCK || kind == POINT_WRITE_UNLOCK;
    struct access a = { .kind = (u8)kind, .order = lets_go ? ORDER_RELEASE : ORDER_ACQUIRE,
                        .atomic = true, .reads = true, .writes = true, .size = 4,
                        .offset = offset_of(lock), .pc = pc };

    if (unlikely(run.remote))
        return remote_lock(COPY_OF(&a), lock_class, may_fail);
    return lock_access(a, lock_class, may_fail);
}

void sim_gate_lock(u32 *lock, int lock_class)
{
    lock_op(POINT_LOCK, lock, lock_class, false, HERE);
}

/* As the live world's: it may fail for no reason, if failures are injected. */
bool sim_gate_trylock(u32 *lock, int lock_class)
{
    return lock_op(POINT_TRYLOCK, lock, lock_class, true, HERE);
}

bool sim_gate_trylock_bare(u32 *lock, int lock_class)
{
    return lock_op(POINT_TRYLOCK, lock, lock_class, false, HERE);
}

void sim_gate_unlock(u32 *lock)
{
    lock_op(POINT_UNLOCK, lock, 0, false, HERE);
}

void sim_read_lock(u32 *lock, int lock_class, u64 pc)
{
    lock_op(POINT_READ_LOCK, lock, lock_class, false, pc);
}

void sim_read_unlock(u32 *lock, u64 pc)
{
    lock_op(POINT_READ_UNLOCK, lock, 0, false, pc);
}

void sim_write_lock(u32 *lock, int lock_class, u64 pc)
{
    lock_op(POINT_WRITE_LOCK, lock, lock_class, false, pc);
}

void sim_write_unlock(u32 *lock, u64 pc)
{
    lock_op(POINT_WRITE_UNLOCK, lock, 0, false, pc);
}

/* --- waits: one atomic read of the word, at a moment when it is as it is waited for --- */

ALWAYS_INLINE bool wait_access(const struct access *a)
{
    struct sim_task *t = sim_step();

    if (unlikely(t->special & SPECIAL_MORTAL))
        sim_may_die(t);
    t->woken = 0;
    races_announce(a);
    sim_point(t, a);
    sim_observe(t, a);
    return a->kind != POINT_WORK || has_item(a->offset);
}

bool sim_wait_access(const struct access *a)
{
    return wait_access(a);
}

static inline bool wait(int kind, int order, void *word, u32 size, u64 seen, u64 pc)
{
    struct access a = { .kind = (u8)kind, .order = (u8)order, .atomic = true, .reads = true,
                        .size = size, .offset = offset_of(word), .seen = seen, .pc = pc };

    return unlikely(run.remote) ? remote_wait(COPY_OF(&a)) : wait_access(&a);
}

/* A program's own waits: what they read orders, as a loop of acquire loads does that ends. */
void sim_gate_wait_while(u64 *word, u64 value)
{
    wait(POINT_CHANGE, ORDER_ACQUIRE, word, 8, value, HERE);
}

void sim_gate_wait_equal(u64 *word, u64 value)
{
    wait(POINT_EQUAL, ORDER_ACQUIRE, word, 8, value, HERE);
}

/* Where the live world only lets others run, and then looks again by an access of its own: these
 * order nothing, and nothing can race with them. */
void sim_gate_wait_free(u32 *lock)
{
    wait(POINT_FREE, ORDER_RELAXED, lock, 4, 0, HERE);
}

void sim_gate_wait_change(u64 *word, u64 seen)
{
    wait(POINT_CHANGE, ORDER_RELAXED, word, 8, seen, HERE);
}

/* Until an item is queued; false: none can come any more. */
bool sim_gate_wait_work(void *items)
{
    return wait(POINT_WORK, ORDER_RELAXED, items, 8, 0, HERE);
}

/* A step of a loop that retries, and waits for nothing that it could name. */
void sim_gate_yield(void)
{
    wait(POINT_YIELD, ORDER_RELAXED, memory.base, 0, 0, HERE);
}

bool sim_gate_should_fail(int fault)
{
    if (unlikely(run.remote))
        return memory.window && remote_ask(&(struct remote_call){ .what = ASK_FAULT,
                                                               .number = (u32)fault, .pc = HERE });
    return memory.window && sim_decide((u32)fault, HERE);
}
