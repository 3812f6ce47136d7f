# Atomics, the futex, and the few instructions a lock is made of.
#
# Every ordered access to the arena goes through a name of this file, so that the
# two kinds, plain and atomic, stay apart for a race detector. Owns no state.

from libc.stdint cimport (int16_t as i16, int32_t as i32, int64_t as i64,
                          uint8_t as u8, uint16_t as u16, uint32_t as u32, uint64_t as u64)

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    #include <sched.h>
    #include <signal.h>
    #include <time.h>
    #include <unistd.h>
    #include <sys/syscall.h>
    #include <linux/futex.h>

    #define z3f_unlikely(x)           __builtin_expect(!!(x), 0)
    #define z3f_read_once(p)          __atomic_load_n((p), __ATOMIC_RELAXED)
    #define z3f_load_acquire(p)       __atomic_load_n((p), __ATOMIC_ACQUIRE)
    #define z3f_write_once(p, v)      __atomic_store_n((p), (v), __ATOMIC_RELAXED)
    #define z3f_store_release(p, v)   __atomic_store_n((p), (v), __ATOMIC_RELEASE)
    #define z3f_fetch_add(p, v)       __atomic_fetch_add((p), (v), __ATOMIC_ACQ_REL)
    #define z3f_fetch_sub(p, v)       __atomic_fetch_sub((p), (v), __ATOMIC_ACQ_REL)
    #define z3f_fetch_or(p, v)        __atomic_fetch_or((p), (v), __ATOMIC_ACQ_REL)
    #define z3f_fetch_and(p, v)       __atomic_fetch_and((p), (v), __ATOMIC_ACQ_REL)
    #define z3f_exchange(p, v)        __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)
    #define z3f_fence_acquire()       __atomic_thread_fence(__ATOMIC_ACQUIRE)
    #define z3f_fence_release()       __atomic_thread_fence(__ATOMIC_RELEASE)
    #define z3f_fence_acq_rel()       __atomic_thread_fence(__ATOMIC_ACQ_REL)
    #define z3f_fence_seq_cst()       __atomic_thread_fence(__ATOMIC_SEQ_CST)
    #define z3f_prefetch(p)           __builtin_prefetch((p), 1)
    #define z3f_barrier()             __asm__ __volatile__("" ::: "memory")
    #define z3f_BUILD_BUG_ON(c)       ((void)sizeof(char[1 - 2 * !!(c)]))

    static inline int z3f_cas32(uint32_t *p, uint32_t old, uint32_t new_) {
        return __atomic_compare_exchange_n(p, &old, new_, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
    }
    static inline int z3f_cas64(uint64_t *p, uint64_t old, uint64_t new_) {
        return __atomic_compare_exchange_n(p, &old, new_, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
    }
    #if defined(Z3F_SIM)
    /* The compiler does not show what memcpy touches. */
    void sim_reads(const void *p, uint64_t size);
    void sim_writes(const void *p, uint64_t size);
    void sim_poison(void *p, int byte, uint64_t size);
    #define z3f_memcpy(d, s, n)  (sim_reads((s), (n)), sim_writes((d), (n)), memcpy((d), (s), (n)))
    #define z3f_memmove(d, s, n) (sim_reads((s), (n)), sim_writes((d), (n)), memmove((d), (s), (n)))
    #define z3f_memset(d, c, n)  (sim_writes((d), (n)), memset((d), (c), (n)))
    #define z3f_poison(d, c, n)  sim_poison((d), (c), (n))
    #else
    #define z3f_memcpy(d, s, n)  memcpy((d), (s), (n))
    #define z3f_memmove(d, s, n) memmove((d), (s), (n))
    #define z3f_memset(d, c, n)  memset((d), (c), (n))
    #define z3f_poison(d, c, n)  memset((d), (c), (n))
    #endif
    /* Reads memory that belongs to nobody, by the word: not worth showing. */
    __attribute__((no_sanitize("thread"), noinline))
    static int64_t z3f_first_different(const uint64_t *word, int words, uint64_t value) {
        int i, j;
        for (i = 0; i < words; i += 8) {
            uint64_t wrong = 0;
            for (j = 0; j < 8; j++)
                wrong |= word[i + j] ^ value;
            for (j = 0; wrong && j < 8; j++)
                if (word[i + j] != value)
                    return (i + j) * 8;
        }
        return -1;
    }
    /* A load of what nobody shares, or that nobody is to be blamed for. The instrumented build does not see through assembly. */
    #if defined(Z3F_SIM) && defined(__x86_64__)
    static inline uint64_t z3f_own(const void *p) {
        uint64_t value;
        __asm__ volatile("movq %1, %0" : "=r"(value) : "m"(*(const uint64_t *)p));
        return value;
    }
    static inline void z3f_own_store(void *p, uint64_t value) {
        __asm__ volatile("movq %1, %0" : "=m"(*(uint64_t *)p) : "r"(value));
    }
    #else
    static inline uint64_t z3f_own(const void *p) { return *(const uint64_t *)p; }
    static inline void z3f_own_store(void *p, uint64_t value) { *(uint64_t *)p = value; }
    #endif
    #if defined(Z3F_SIM)
    #define z3f_reads(p, n) sim_reads((p), (n))
    #define z3f_writes(p, n) sim_writes((p), (n))
    #else
    #define z3f_reads(p, n) ((void)0)
    #define z3f_writes(p, n) ((void)0)
    #endif
    #if defined(Z3F_SIM) && defined(__x86_64__)
    uint64_t sim_clock(void);
    static inline void z3f_pause(void) { __builtin_ia32_pause(); }
    static inline uint64_t z3f_clock(void) { return sim_clock(); }
    #elif defined(Z3F_SIM)
    uint64_t sim_clock(void);
    static inline void z3f_pause(void) { }
    static inline uint64_t z3f_clock(void) { return sim_clock(); }
    #elif defined(__x86_64__)
    static inline void z3f_pause(void) { __builtin_ia32_pause(); }
    static inline uint64_t z3f_clock(void) { return __builtin_ia32_rdtsc(); }
    #else
    static inline void z3f_pause(void) { }
    static inline uint64_t z3f_clock(void) {
        struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    }
    #endif
    static inline uint64_t z3f_now_ns(void) {
        struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    }
    static inline void z3f_nap(uint64_t ns) {
        struct timespec t = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };
        nanosleep(&t, 0);
    }
    static inline void z3f_futex_wait(uint32_t *word, uint32_t seen, uint64_t ns) {
        struct timespec t = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };
        syscall(SYS_futex, word, FUTEX_WAIT, seen, &t, 0, 0);
    }
    static inline void z3f_futex_wake(uint32_t *word) {
        syscall(SYS_futex, word, FUTEX_WAKE, 1, 0, 0, 0);
    }
    """
    bint unlikely "z3f_unlikely"(bint) noexcept nogil
    u32 read_once32 "z3f_read_once"(u32 *) noexcept nogil
    u64 read_once64 "z3f_read_once"(u64 *) noexcept nogil
    i64 read_once_i64 "z3f_read_once"(i64 *) noexcept nogil
    u8 load_acquire8 "z3f_load_acquire"(u8 *) noexcept nogil
    u32 load_acquire32 "z3f_load_acquire"(u32 *) noexcept nogil
    u64 load_acquire64 "z3f_load_acquire"(u64 *) noexcept nogil
    void write_once16 "z3f_write_once"(u16 *, u16) noexcept nogil
    void write_once32 "z3f_write_once"(u32 *, u32) noexcept nogil
    void write_once64 "z3f_write_once"(u64 *, u64) noexcept nogil
    void store_release8 "z3f_store_release"(u8 *, u8) noexcept nogil
    void store_release32 "z3f_store_release"(u32 *, u32) noexcept nogil
    void store_release64 "z3f_store_release"(u64 *, u64) noexcept nogil
    u32 fetch_add32 "z3f_fetch_add"(u32 *, u32) noexcept nogil
    u32 fetch_sub32 "z3f_fetch_sub"(u32 *, u32) noexcept nogil
    u32 fetch_or32 "z3f_fetch_or"(u32 *, u32) noexcept nogil
    u32 fetch_and32 "z3f_fetch_and"(u32 *, u32) noexcept nogil
    i64 fetch_add_i64 "z3f_fetch_add"(i64 *, i64) noexcept nogil
    u64 fetch_or64 "z3f_fetch_or"(u64 *, u64) noexcept nogil
    u64 fetch_and64 "z3f_fetch_and"(u64 *, u64) noexcept nogil
    u64 exchange64 "z3f_exchange"(u64 *, u64) noexcept nogil
    u16 exchange16 "z3f_exchange"(u16 *, u16) noexcept nogil
    bint cas32 "z3f_cas32"(u32 *, u32, u32) noexcept nogil
    bint cas64 "z3f_cas64"(u64 *, u64, u64) noexcept nogil
    void fence_acquire "z3f_fence_acquire"() noexcept nogil
    void fence_release "z3f_fence_release"() noexcept nogil
    void fence_acq_rel "z3f_fence_acq_rel"() noexcept nogil
    void fence_seq_cst "z3f_fence_seq_cst"() noexcept nogil
    void prefetch "z3f_prefetch"(const void *) noexcept nogil
    void barrier "z3f_barrier"() noexcept nogil
    void pause "z3f_pause"() noexcept nogil
    u64 clock_ticks "z3f_clock"() noexcept nogil
    u64 now_ns "z3f_now_ns"() noexcept nogil
    void nap "z3f_nap"(u64 ns) noexcept nogil
    void futex_wait "z3f_futex_wait"(u32 *word, u32 seen, u64 ns) noexcept nogil
    void futex_wake "z3f_futex_wake"(u32 *word) noexcept nogil
    void memcpy "z3f_memcpy"(void *to, const void *from_, u64 size) noexcept nogil
    void memmove "z3f_memmove"(void *to, const void *from_, u64 size) noexcept nogil
    void memset "z3f_memset"(void *to, int byte, u64 size) noexcept nogil
    void poison_memory "z3f_poison"(void *to, int byte, u64 size) noexcept nogil
    u64 own_word "z3f_own"(const void *p) noexcept nogil
    void store_own_word "z3f_own_store"(void *p, u64 value) noexcept nogil
    void reads_range "z3f_reads"(const void *p, u64 size) noexcept nogil
    void writes_range "z3f_writes"(void *p, u64 size) noexcept nogil
    i64 first_different "z3f_first_different"(const u64 *word, int words, u64 value) noexcept nogil
    void BUILD_BUG_ON "z3f_BUILD_BUG_ON"(bint) noexcept nogil
    void sched_yield() noexcept nogil
    int process_signal "kill"(int pid, int sig) noexcept nogil
    int getpid() noexcept nogil
    int getppid() noexcept nogil
