/* What the compiler calls at each load, store and atomic of the instrumented subject
 * (-fsanitize=thread, without its runtime: these are the kernel's KCSAN hooks in user space).
 *
 * An access outside the window costs two comparisons; the window is empty while nobody runs, and
 * then a process may check its accesses itself (watch.c). */
#include "sim.h"
#include "remote.h"

#include <string.h>

#define HERE ((u64)__builtin_return_address(0) - sim.module)
#define HOOK __attribute__((visibility("hidden")))

void sim_runaway(void);

static inline u64 in_window(const volatile void *p)
{
    return (u64)((const volatile char *)p - sim.base);
}

static inline bool is_point(u64 pc)
{
    return unlikely(sim.every_access)
        || (unlikely(promoted_filter[(pc ^ pc >> 13) & 8191]) && promoted(pc));
}

static inline void check_lifetime(struct sim_task *t, u64 offset, u32 size, bool write, u64 pc)
{
    if (unlikely(life[offset >> PAGE_SHIFT] >= LIFE_SLOTS) || unlikely(t->payload))
        lifetime_check(offset, size, write, pc);
}

static void plain_access(u64 offset, u32 size, bool write, u64 pc)
{
    struct sim_task *t = sim.running;

    if (unlikely(sim.remote)) {
        remote_access(CALL_PLAIN, offset, size, write, 0, pc, NULL);
        return;
    }
    if (unlikely((++t->accesses & 0xfffff) == 0))
        sim_runaway();
    if (unlikely(t->known_race)) {
        benign_add(pc, (u32)t->known_race - 1);
        t->known_race = 0;
    }
    if (is_point(pc))
        sim_point(write ? POINT_STORE : POINT_LOAD, offset, size, write, 0, pc);
    check_lifetime(t, offset, size, write, pc);
    if (write)
        undo_word(offset, size);
    if (sim.races)
        race_plain(offset, size, write, pc);
    if (unlikely(sim.recording > 1))
        trace_event(EVENT_ACCESS, offset, size | (write ? EVENT_WRITES : 0), pc);
}

#define PLAIN(size)                                                                     \
    HOOK void __tsan_read##size(void *p);                                               \
    HOOK void __tsan_write##size(void *p);                                              \
    HOOK void __tsan_read##size(void *p)                                                \
    {                                                                                   \
        u64 offset = in_window(p);                                                      \
        if (offset < sim.window)                                                        \
            plain_access(offset, size, false, HERE);                                    \
        else if (unlikely(offset < sim.checked))                                        \
            watch_access(offset, size, false, false, HERE);                             \
    }                                                                                   \
    HOOK void __tsan_write##size(void *p)                                               \
    {                                                                                   \
        u64 offset = in_window(p);                                                      \
        if (offset < sim.window)                                                        \
            plain_access(offset, size, true, HERE);                                     \
        else if (unlikely(offset < sim.checked))                                        \
            watch_access(offset, size, true, false, HERE);                              \
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
        if (offset < sim.window)                                                        \
            plain_access(offset, size, write, HERE);                                    \
        else if (unlikely(offset < sim.checked))                                        \
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
static void range_access(u64 offset, u64 size, bool write, u64 pc)
{
    struct sim_task *t = sim.running;

    if (unlikely(sim.remote)) {
        remote_access(CALL_RANGE, offset, size, write, 0, pc, NULL);
        return;
    }
    t->accesses++;
    if (is_point(pc))
        sim_point(write ? POINT_STORE : POINT_LOAD, offset, (u32)size, write, 0, pc);
    check_lifetime(t, offset, (u32)size, write, pc);
    if (write)
        undo_range(offset, size);
    if (sim.races)
        race_range(offset, size, write, pc);
    if (unlikely(sim.recording > 1))
        trace_event(EVENT_ACCESS, offset, (size > 127 ? 127 : (u32)size) | (write ? EVENT_WRITES : 0),
                    pc);
}

HOOK void __tsan_read_range(void *p, unsigned long size);
HOOK void __tsan_write_range(void *p, unsigned long size);
HOOK void __tsan_read_range(void *p, unsigned long size)
{
    u64 offset = in_window(p);
    if (offset < sim.window && size)
        range_access(offset, size, false, HERE);
    else if (unlikely(offset < sim.checked) && size)
        watch_access(offset, size, false, false, HERE);
}
HOOK void __tsan_write_range(void *p, unsigned long size)
{
    u64 offset = in_window(p);
    if (offset < sim.window && size)
        range_access(offset, size, true, HERE);
    else if (unlikely(offset < sim.checked) && size)
        watch_access(offset, size, true, false, HERE);
}

void sim_reads(const void *p, u64 size)
{
    u64 offset = in_window(p);
    if (offset < sim.window && size)
        range_access(offset, size, false, HERE);
    else if (unlikely(offset < sim.checked) && size)
        watch_access(offset, size, false, false, HERE);
}
void sim_writes(const void *p, u64 size)
{
    u64 offset = in_window(p);
    if (offset < sim.window && size)
        range_access(offset, size, true, HERE);
    else if (unlikely(offset < sim.checked) && size)
        watch_access(offset, size, true, false, HERE);
}

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
 * are cost more than the rest of the hook. memory_order: 0 relaxed, 1 consume, 2 acquire, 3 release, 4 acq_rel, 5 seq_cst. */
static inline bool acquires(int order) { return order == 1 || order == 2 || order >= 4; }
static inline bool releases(int order) { return order >= 3; }

static inline __attribute__((always_inline)) void atomic_access(u64 offset, u32 size, int kind, int order, u64 pc,
                                 const u64 *expected)
{
    struct sim_task *t = sim.running;
    bool write = kind != POINT_LOAD;

    if (unlikely(sim.remote)) {
        remote_access(CALL_ATOMIC, offset, size, kind, order, pc, expected);
        return;
    }
    t->accesses++;
    if (kind == POINT_RMW || is_point(pc))
        sim_point(kind, offset, size, write, 0, pc);
    if (expected && memcmp(sim.base + offset, expected, size))
        write = false;                  /* a compare-and-swap that fails has only looked */
    check_lifetime(t, offset, size, write, pc);
    if (write)
        undo_word(offset, size);
    if (sim.races)
        race_atomic(offset, size, write, kind != POINT_STORE && acquires(order),
                    write && releases(order), pc);
    if (unlikely(sim.recording > 1))
        trace_event(EVENT_ACCESS, offset, size | (write ? EVENT_WRITES : 0), pc);
}

#define RMW(bits, name, how, expression)                                                    \
    HOOK u##bits __tsan_atomic##bits##_##name(volatile u##bits *p, u##bits v, int order); \
    HOOK u##bits __tsan_atomic##bits##_##name(volatile u##bits *p, u##bits v, int order)  \
    {                                                                                   \
        u64 offset = in_window(p);                                                      \
        u##bits old;                                                                    \
        if (unlikely(offset >= sim.window)) {                                           \
            if (unlikely(offset < sim.checked))                                         \
                watch_access(offset, bits / 8, true, true, HERE);                       \
            return __atomic_##name##how(p, v, __ATOMIC_ACQ_REL);                        \
        }                                                                               \
        atomic_access(offset, bits / 8, POINT_RMW, order, HERE, 0);                     \
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
        (void)failure;                                                                  \
        if (unlikely(offset >= sim.window)) {                                           \
            if (unlikely(offset < sim.checked))                                         \
                watch_access(offset, bits / 8, *p == (u##bits)wanted, true, HERE);      \
            return __atomic_compare_exchange_n(p, expected, v, 0, __ATOMIC_ACQ_REL,     \
                                               __ATOMIC_RELAXED);                       \
        }                                                                               \
        atomic_access(offset, bits / 8, POINT_RMW, order, HERE, &wanted);               \
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
        if (offset < sim.window)                                                        \
            atomic_access(offset, bits / 8, POINT_LOAD, order, HERE, 0);                \
        else if (unlikely(offset < sim.checked))                                        \
            watch_access(offset, bits / 8, false, true, HERE);                          \
        return __atomic_load_n(p, __ATOMIC_ACQUIRE);                                    \
    }                                                                                   \
    HOOK void __tsan_atomic##bits##_store(volatile u##bits *p, u##bits v, int order)      \
    {                                                                                   \
        u64 offset = in_window(p);                                                      \
        if (offset < sim.window)                                                        \
            atomic_access(offset, bits / 8, POINT_STORE, order, HERE, 0);               \
        else if (unlikely(offset < sim.checked))                                        \
            watch_access(offset, bits / 8, true, true, HERE);                           \
        __atomic_store_n(p, v, __ATOMIC_RELEASE);                                       \
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
HOOK void __tsan_atomic_thread_fence(int order) { (void)order; __atomic_thread_fence(5); }
HOOK void __tsan_atomic_signal_fence(int order) { (void)order; }

/* A process asks its proxy. */
void hook_plain(u64 offset, u32 size, bool write, u64 pc)
{
    plain_access(offset, size, write, pc);
}

void hook_range(u64 offset, u64 size, bool write, u64 pc)
{
    range_access(offset, size, write, pc);
}

void hook_atomic(u64 offset, u32 size, int kind, int order, u64 pc, const u64 *expected)
{
    atomic_access(offset, size, kind, order, pc, expected);
}
