/* What the compiler calls at each load, store and atomic of the instrumented subject
 * (-fsanitize=thread, without its runtime: these are the kernel's KCSAN hooks in user space), and
 * what the subject calls where the compiler does not: memcpy, memset, poison, births and deaths.
 * Each makes the record of its access (access.h), and nothing else.
 *
 * An access outside the window costs two comparisons; the window is empty while nobody runs, and
 * then a process may check its accesses itself (watch.c). */
#include "observe.h"
#include "outside.h"
#include "remote.h"
#include "watch.h"

#include <string.h>

#define HERE ((u64)__builtin_return_address(0) - memory.module)
#define HOOK __attribute__((visibility("hidden")))

static inline u64 in_window(const volatile void *p)
{
    return (u64)((const volatile char *)p - memory.base);
}

static inline bool is_point(const struct access *a)
{
    return a->kind >= POINT_RMW || unlikely(config.every_access)
        || (unlikely(may_be_promoted(a->pc)) && promoted(a->pc));
}

static __attribute__((noinline, cold)) void special(struct sim_task *t, const struct access *a)
{
    if (t->special & SPECIAL_RACE && !a->atomic) {
        benign_add(a->pc, t->known_race);
        t->special &= (u8)~SPECIAL_RACE;
    }
    if (t->special & SPECIAL_MORTAL && a->writes)
        sim_may_die(t);
}

/* The one way of everything that touches memory and is no lock: announced where it is a schedule
 * point, done, observed. Whether it did write: a compare-and-swap that fails has only looked. */
static inline __attribute__((always_inline)) bool access_memory(struct access a,
                                                                const u64 *expected,
                                                                int failure_order)
{
    struct sim_task *t = run.running;

    if (unlikely(run.remote))
        return remote_access(COPY_OF(&a), expected, failure_order);
    t->accesses++;
    if (a.kind < POINT_RMW && unlikely((t->accesses & (ACCESSES_BETWEEN - 1)) == 0))
        sim_ran_long();                 /* others are steps: see sim_count_step() */
    if (unlikely(t->special))
        special(t, COPY_OF(&a));
    if (is_point(&a))
        sim_point(t, &a);
    if (expected && memcmp(memory.base + a.offset, expected, a.size)) {
        a.writes = false;
        a.order = (u8)failure_order;
    }
    sim_observe(t, &a);
    return a.writes;
}

bool sim_memory_access(const struct access *a, const u64 *expected, int failure_order)
{
    return access_memory(*a, expected, failure_order);
}

static __attribute__((noinline)) void any_access(const struct access *a)
{
    access_memory(*a, NULL, 0);
}

/* What most accesses are, loads and stores: nothing but observed. False where there is more to it:
 * `point` says whether it is a schedule point and no more. */
ALWAYS_INLINE bool light_access(struct access a, bool *point)
{
    struct sim_task *t = run.running;

    *point = false;
    if (unlikely(run.remote) || unlikely(t->special)
            || unlikely((~t->accesses & (ACCESSES_BETWEEN - 1)) == 0))
        return false;
    *point = is_point(&a);
    if (unlikely(*point))
        return false;
    t->accesses++;
    sim_observe(t, &a);
    return true;
}

/* The others, which go on where another task may have been in between. Apart, so that what is in
 * registers need not be saved where nobody else comes. */
ALWAYS_INLINE void heavy_access(struct access a, bool point)
{
    struct sim_task *t = run.running;

    if (!point) {
        any_access(COPY_OF(&a));
        return;
    }
    t->accesses++;
    sim_point(t, &a);
    sim_observe(t, &a);
}

ALWAYS_INLINE struct access plain_record(u64 offset, u32 size, bool write, u64 pc)
{
    return (struct access){ .kind = write ? POINT_STORE : POINT_LOAD, .reads = !write,
                            .writes = write, .size = size, .offset = offset, .pc = pc };
}

static __attribute__((noinline)) void plain_heavy(u64 offset, u32 size, bool write, u64 pc,
                                                  bool point)
{
    heavy_access(plain_record(offset, size, write, pc), point);
}

static __attribute__((noinline)) void plain_access(u64 offset, u32 size, bool write, u64 pc)
{
    bool point;

    if (unlikely(!light_access(plain_record(offset, size, write, pc), &point)))
        plain_heavy(offset, size, write, pc, point);
}

#define PLAIN(size)                                                                     \
    HOOK void __tsan_read##size(void *p);                                               \
    HOOK void __tsan_write##size(void *p);                                              \
    HOOK void __tsan_read##size(void *p)                                                \
    {                                                                                   \
        u64 offset = in_window(p);                                                      \
        if (offset < memory.window)                                                        \
            plain_access(offset, size, false, HERE);                                    \
        else if (unlikely(offset < memory.checked))                                        \
            watch_access(offset, size, false, false, HERE);                             \
    }                                                                                   \
    HOOK void __tsan_write##size(void *p)                                               \
    {                                                                                   \
        u64 offset = in_window(p);                                                      \
        if (offset < memory.window)                                                        \
            plain_access(offset, size, true, HERE);                                     \
        else if (unlikely(offset < memory.checked))                                        \
            watch_access(offset, size, true, false, HERE);                              \
        else                                                                            \
            ASSERT_NOT_OURS(p, HERE);                                                   \
    }

PLAIN(1)
PLAIN(2)
PLAIN(4)
PLAIN(8)
PLAIN(16)

#define PLAIN_ALIAS(name, size, write)                                                  \
    HOOK void name(void *p);                                                            \
    HOOK void name(void *p)                                                             \
    {                                                                                   \
        u64 offset = in_window(p);                                                      \
        if (offset < memory.window)                                                        \
            plain_access(offset, size, write, HERE);                                    \
        else if (unlikely(offset < memory.checked))                                        \
            watch_access(offset, size, write, false, HERE);                             \
    }

PLAIN_ALIAS(__tsan_unaligned_read2, 2, false)
PLAIN_ALIAS(__tsan_unaligned_read4, 4, false)
PLAIN_ALIAS(__tsan_unaligned_read8, 8, false)
PLAIN_ALIAS(__tsan_unaligned_read16, 16, false)
PLAIN_ALIAS(__tsan_unaligned_write2, 2, true)
PLAIN_ALIAS(__tsan_unaligned_write4, 4, true)
PLAIN_ALIAS(__tsan_unaligned_write8, 8, true)
PLAIN_ALIAS(__tsan_unaligned_write16, 16, true)

/* Ranges: aggregates that the compiler copies, and the subject's memcpy, memmove and memset. */
HOOK void __tsan_read_range(void *p, unsigned long size);
HOOK void __tsan_write_range(void *p, unsigned long size);
HOOK void __tsan_read_range(void *p, unsigned long size)
{
    u64 offset = in_window(p);
    if (offset < memory.window && size)
        plain_access(offset, (u32)size, false, HERE);
    else if (unlikely(offset < memory.checked) && size)
        watch_access(offset, size, false, false, HERE);
}
HOOK void __tsan_write_range(void *p, unsigned long size)
{
    u64 offset = in_window(p);
    if (offset < memory.window && size)
        plain_access(offset, (u32)size, true, HERE);
    else if (unlikely(offset < memory.checked) && size)
        watch_access(offset, size, true, false, HERE);
    else
        ASSERT_NOT_OURS(p, HERE);
}

void sim_reads(const void *p, u64 size)
{
    u64 offset = in_window(p);
    if (offset < memory.window && size)
        plain_access(offset, (u32)size, false, HERE);
    else if (unlikely(offset < memory.checked) && size)
        watch_access(offset, size, false, false, HERE);
}
void sim_writes(const void *p, u64 size)
{
    u64 offset = in_window(p);
    if (offset < memory.window && size)
        plain_access(offset, (u32)size, true, HERE);
    else if (unlikely(offset < memory.checked) && size)
        watch_access(offset, size, true, false, HERE);
    else
        ASSERT_NOT_OURS(p, HERE);
}

/* A program looks at a word of the arena, or notes what it saw there, by no operation of the
 * subject: what it does next depends on it. */
void sim_peek(const u64 *word, bool writes)
{
    u64 offset = in_window(word);

    if (offset < memory.window)
        access_memory((struct access){ .kind = POINT_PEEK, .atomic = true, .reads = true,
                                       .writes = writes, .size = 8, .offset = offset,
                                       .pc = HERE }, NULL, 0);
}

/* memset of freed memory: its death was an access to all of it already. */
void sim_poison(void *p, int byte, u64 size)
{
    u64 offset = in_window(p);

    if (offset < memory.window)
        access_memory((struct access){ .kind = POINT_POISON, .writes = true, .size = (u32)size,
                                       .offset = offset, .pc = HERE }, NULL, 0);
    else if (unlikely(offset < memory.checked))
        watch_access(offset, size, true, false, HERE);
    memset(p, byte, size);
}

/* An allocation begins or ends, as a whole: nothing that belongs to it may be unordered with
 * either. */
static inline __attribute__((always_inline)) void life_changes(int kind, u64 offset, u64 pc)
{
    const struct region *r;

    if (!memory.window) {
        watch_lives(offset, kind == POINT_BIRTH);
        return;
    }
    for (u32 i = 0; i < memory.nr_regions; i++) {
        r = &memory.region[i];
        if (offset >= r->start && offset < r->end)
            access_memory((struct access){ .kind = (u8)kind, .writes = true, .size = r->guarded,
                                           .offset = offset, .pc = pc }, NULL, 0);
    }
}

void sim_birth(u64 offset) { life_changes(POINT_BIRTH, offset, HERE); }
void sim_death(u64 offset) { life_changes(POINT_DEATH, offset, HERE); }

HOOK void __tsan_init(void);
HOOK void __tsan_init(void) { }
HOOK void __tsan_func_entry(void *pc);
HOOK void __tsan_func_exit(void);
HOOK void __tsan_func_entry(void *pc) { (void)pc; }
HOOK void __tsan_func_exit(void) { }
HOOK void __tsan_vptr_update(void **p, void *v);
HOOK void __tsan_vptr_update(void **p, void *v) { (void)p; (void)v; }

/* Atomics. A read-modify-write is always a point; a load or a store is one once it was seen to
 * conflict. Within an execution there is one thread: no instruction need be atomic, and those that
 * are cost more than the rest of the hook. Orders as the compiler passes them: 0 relaxed, 1 consume,
 * 2 acquire, 3 release, 4 acq_rel, 5 seq_cst; consume is taken as acquire. */
static inline int load_order(int order)
{
    return order == 0 ? 0 : order == 5 ? ORDER_ACQUIRE | ORDER_SEQ_CST : ORDER_ACQUIRE;
}

static inline int store_order(int order)
{
    return order == 0 ? 0 : order == 5 ? ORDER_RELEASE | ORDER_SEQ_CST : ORDER_RELEASE;
}

static inline int rmw_order(int order)
{
    static const u8 orders[8] = {
        0, ORDER_ACQUIRE, ORDER_ACQUIRE, ORDER_RELEASE, ORDER_ACQUIRE | ORDER_RELEASE,
        ORDER_ACQUIRE | ORDER_RELEASE | ORDER_SEQ_CST,
    };

    return orders[order & 7];
}

static inline __attribute__((always_inline)) void atomic_access(u64 offset, u32 size, int kind,
                                                                int order, u64 pc,
                                                                const u64 *expected, int failure)
{
    access_memory((struct access){ .kind = (u8)kind, .order = (u8)order, .atomic = true,
                                   .reads = kind != POINT_STORE, .writes = kind != POINT_LOAD,
                                   .size = size, .offset = offset, .pc = pc },
                  expected, failure);
}

ALWAYS_INLINE struct access atomic_record(int kind, u64 offset, u32 size, int order, u64 pc)
{
    return (struct access){ .kind = (u8)kind, .order = (u8)order, .atomic = true,
                            .reads = kind == POINT_LOAD, .writes = kind == POINT_STORE,
                            .size = size, .offset = offset, .pc = pc };
}

#define ATOMIC(kind, name)                                                              \
    static __attribute__((noinline)) void name##_heavy(u64 offset, u32 size, int order, \
                                                       u64 pc, bool point)              \
    {                                                                                   \
        heavy_access(atomic_record(kind, offset, size, order, pc), point);              \
    }                                                                                   \
    static __attribute__((noinline)) void name(u64 offset, u32 size, int order, u64 pc) \
    {                                                                                   \
        bool point;                                                                     \
        if (unlikely(!light_access(atomic_record(kind, offset, size, order, pc), &point))) \
            name##_heavy(offset, size, order, pc, point);                               \
    }

ATOMIC(POINT_LOAD, atomic_load)
ATOMIC(POINT_STORE, atomic_store)

#define RMW(bits, name, how, expression)                                                    \
    HOOK u##bits __tsan_atomic##bits##_##name(volatile u##bits *p, u##bits v, int order); \
    HOOK u##bits __tsan_atomic##bits##_##name(volatile u##bits *p, u##bits v, int order)  \
    {                                                                                   \
        u64 offset = in_window(p);                                                      \
        u##bits old;                                                                    \
        if (unlikely(offset >= memory.window)) {                                           \
            if (unlikely(offset < memory.checked))                                         \
                watch_access(offset, bits / 8, true, true, HERE);                       \
            return __atomic_##name##how(p, v, __ATOMIC_SEQ_CST);                        \
        }                                                                               \
        atomic_access(offset, bits / 8, POINT_RMW, rmw_order(order), HERE, 0, 0);       \
        old = *p;                                                                       \
        *p = (u##bits)(expression);                                                     \
        return old;                                                                     \
    }

#define CAS(bits, strength)                                                             \
    HOOK int __tsan_atomic##bits##_compare_exchange_##strength(                           \
        volatile u##bits *p, u##bits *expected, u##bits v, int order, int failure);     \
    HOOK int __tsan_atomic##bits##_compare_exchange_##strength(                           \
        volatile u##bits *p, u##bits *expected, u##bits v, int order, int failure)      \
    {                                                                                   \
        u64 offset = in_window(p);                                                      \
        u64 wanted = *expected;                                                         \
        if (unlikely(offset >= memory.window)) {                                           \
            if (unlikely(offset < memory.checked))                                         \
                watch_access(offset, bits / 8, *p == (u##bits)wanted, true, HERE);      \
            return __atomic_compare_exchange_n(p, expected, v, 0, __ATOMIC_SEQ_CST,     \
                                               __ATOMIC_SEQ_CST);                       \
        }                                                                               \
        atomic_access(offset, bits / 8, POINT_RMW, rmw_order(order), HERE, &wanted,     \
                      load_order(failure));                                             \
        *expected = *p;                                                                 \
        if (*expected != (u##bits)wanted)                                               \
            return 0;                                                                   \
        *p = v;                                                                         \
        return 1;                                                                       \
    }

#define ATOMICS(bits)                                                                   \
    HOOK u##bits __tsan_atomic##bits##_load(const volatile u##bits *p, int order);        \
    HOOK void __tsan_atomic##bits##_store(volatile u##bits *p, u##bits v, int order);     \
    HOOK u##bits __tsan_atomic##bits##_load(const volatile u##bits *p, int order)         \
    {                                                                                   \
        u64 offset = in_window(p);                                                      \
        if (offset < memory.window)                                                        \
            atomic_load(offset, bits / 8, load_order(order), HERE);                                 \
        else if (unlikely(offset < memory.checked))                                        \
            watch_access(offset, bits / 8, false, true, HERE);                          \
        return __atomic_load_n(p, __ATOMIC_SEQ_CST);                                    \
    }                                                                                   \
    HOOK void __tsan_atomic##bits##_store(volatile u##bits *p, u##bits v, int order)      \
    {                                                                                   \
        u64 offset = in_window(p);                                                      \
        if (offset < memory.window)                                                        \
            atomic_store(offset, bits / 8, store_order(order), HERE);                                \
        else if (unlikely(offset < memory.checked))                                        \
            watch_access(offset, bits / 8, true, true, HERE);                           \
        if (unlikely(order == __ATOMIC_SEQ_CST) && !memory.window)  /* others run too */ \
            __atomic_store_n(p, v, __ATOMIC_SEQ_CST);                                   \
        else                                                                            \
            __atomic_store_n(p, v, __ATOMIC_RELEASE);                                   \
    }                                                                                   \
    CAS(bits, strong)                                                                   \
    CAS(bits, weak)                                                                     \
    RMW(bits, exchange, _n, v)                                                          \
    RMW(bits, fetch_add, , old + v)                                                     \
    RMW(bits, fetch_sub, , old - v)                                                     \
    RMW(bits, fetch_and, , old & v)                                                     \
    RMW(bits, fetch_or, , old | v)                                                      \
    RMW(bits, fetch_xor, , old ^ v)

ATOMICS(8)
ATOMICS(16)
ATOMICS(32)
ATOMICS(64)

HOOK void __tsan_atomic_thread_fence(int order);
HOOK void __tsan_atomic_signal_fence(int order);
/* Touches no memory: no point, but where every access is one, and nothing to observe but for the
 * clocks. */
HOOK void __tsan_atomic_thread_fence(int order)
{
    if (memory.window)
        access_memory((struct access){ .kind = POINT_FENCE, .order = (u8)rmw_order(order),
                                       .pc = HERE }, NULL, 0);
    else
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
HOOK void __tsan_atomic_signal_fence(int order) { (void)order; }
