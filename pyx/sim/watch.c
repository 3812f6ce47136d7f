/* Real processes that check their own accesses: data races across processes, found as the kernel's
 * KCSAN finds them, memory that was freed, and the bounds of objects.
 *
 * One plain access in so many sets a watchpoint in a table that all share, dawdles, and compares.
 * Every access looks into the table; one that conflicts takes the watchpoint, leaves its own side
 * there and goes on, and who set it reports both. An access that waits holds whatever locks it
 * holds: what is guarded cannot meet it.
 *
 * A watchpoint is one word, so that a task killed at any time leaves at worst one that nobody takes
 * down; whoever has its number next sweeps it. What is alive is asked of the allocator's own state
 * words, which all processes share, instrumented or not. */
#include "sim.h"
#include "watch.h"

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sched.h>
#include <time.h>

enum {
    LINE_SHIFT = 6,
    WIDEST = 8,                 /* bytes that one watchpoint covers */
    SHORT_STALL = 20000,        /* ns: below it spins and yields, a sleep would take longer */
};

#define OFFSET_BITS 40
#define SIZE_SHIFT 40           /* 4 bits: size - 1 */
#define WRITE_BIT (1ull << 44)
#define TASK_SHIFT 45           /* 7 bits */
#define CLAIMER_SHIFT 52        /* 7 bits: who met it */
#define STATE_SHIFT 62
#define ARMED (1ull << STATE_SHIFT)
#define CLAIMED (2ull << STATE_SHIFT)
#define GIVEN (3ull << STATE_SHIFT)
#define STATE_MASK (3ull << STATE_SHIFT)
#define PATIENCE 100000000ull   /* ns for the other side, which may have been killed */

static struct watch_host host;
static struct watch_task *mine;
static int64_t until_point, until_delay;
static u64 rng;
static u64 low, high;           /* of the object that this task works on; high 0: none */
static u64 slots_in_hand;       /* just taken from the cache: alive before its state says so */
static int known_race = -1;     /* the reason, for the next access */
static u64 *gift_place;         /* the watchpoint that this task met last, and */
static u64 gift;                /* its word until the other side was read */

/* --- time and chance --- */

static u64 now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (u64)t.tv_sec * 1000000000u + (u64)t.tv_nsec;
}

/* A simulation has no clock; a real process has. */
u64 sim_clock(void)
{
    if (memory.window)
        return 0;
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return now();
#endif
}

static u32 random_below(u32 n)
{
    rng ^= rng >> 12;
    rng ^= rng << 25;
    rng ^= rng >> 27;
    return (u32)(((rng * 2685821657736338717ull >> 32) * n) >> 32);
}

static int64_t next_after(u32 mean)
{
    return mean == 1 ? 1 : mean / 2 + random_below(mean) + 1;
}

/* Others must run meanwhile, on this CPU too. */
static void dawdle(u64 ns)
{
    u64 until;

    if (ns >= SHORT_STALL) {
        struct timespec t = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };

        nanosleep(&t, 0);
        return;
    }
    until = now() + ns;
    do
        sched_yield();
    while (now() < until);
}

/* --- what is told of an access --- */

static void describe(struct watch_side *s, u64 offset, u64 size, bool write, bool atomic, u64 pc)
{
    u64 stack[16];
    u32 n = trace_stack(stack, 16), from = 0;

    memset(s, 0, sizeof(*s));
    s->object = offset;
    s->size = (u32)size;
    s->task = (u16)host.task;
    s->writes = write;
    s->atomic = atomic;
    s->pc = pc;
    while (from < n && stack[from] != pc)
        from++;
    while (++from < n && s->nr_calls < WATCH_CALLS)
        s->calls[s->nr_calls++] = stack[from];
    s->nr_held = (u8)(*host.nr_held < WATCH_HELD ? *host.nr_held : WATCH_HELD);
    memcpy(s->held, host.held, sizeof(s->held));
}

static u64 frame_at(u64 offset)
{
    return offset >= host.frames && offset < host.frames_end ? offset & ~(u64)PAGE_MASK_BITS : 0;
}

static const char *name_of(const struct watch_side *s)
{
    return s->atomic ? s->writes ? "an atomic store" : "an atomic load"
        : s->writes ? "a store" : "a load";
}

/* The same two lines again are counted; new ones are a verdict, once. */
static void report(int fault, int verdict, const struct watch_side *side,
                   const struct watch_side *other, u64 before, u64 after, const char *text)
{
    struct watch_region *region = host.region;
    u32 n = __atomic_load_n(&region->nr_reports, __ATOMIC_ACQUIRE);
    struct watch_report *r;
    char where[40];

    for (u32 i = 0; i < n && i < WATCH_REPORTS; i++) {
        r = &region->report[i];
        if (__atomic_load_n(&r->ready, __ATOMIC_ACQUIRE) && r->fault == (u32)fault
                && r->side.pc == side->pc && r->other.pc == (other ? other->pc : 0)) {
            __atomic_fetch_add(&r->times, 1, __ATOMIC_RELAXED);
            return;
        }
    }
    n = __atomic_fetch_add(&region->nr_reports, 1, __ATOMIC_ACQ_REL);
    if (n >= WATCH_REPORTS)
        return;
    r = &region->report[n];
    r->fault = (u32)fault;
    r->times = 1;
    r->before = before;
    r->after = after;
    r->side = *side;
    if (other)
        r->other = *other;
    __atomic_store_n(&r->ready, 1, __ATOMIC_RELEASE);
    snprintf(where, sizeof(where), "access %u", n);
    sim_look_away();
    host.verdict(verdict, where, frame_at(side->object), text);
    sim_look_again();
}

/* --- what is alive, and whose it is --- */

static u32 state_at(u64 offset)
{
    return *(volatile u32 *)(host.base + offset);
}

static void __attribute__((noinline)) at_fault(int fault, u64 offset, u64 size, bool write,
                                               bool atomic, u64 pc)
{
    struct watch_side s;
    char text[184];

    describe(&s, offset, size, write, atomic, pc);
    if (fault == FAULT_OUTSIDE) {
        bool same = frame_at(offset) == (low & ~(u64)PAGE_MASK_BITS);

        snprintf(text, sizeof(text), "%s of %u bytes at byte %llu of %s: outside the object, "
                 "which is at bytes %llu to %llu of page 0x%llx", name_of(&s), s.size,
                 (unsigned long long)(offset & PAGE_MASK_BITS), same ? "the page" : "another page",
                 (unsigned long long)(low & PAGE_MASK_BITS), (unsigned long long)(high - (low & ~(u64)PAGE_MASK_BITS)),
                 (unsigned long long)(low & ~(u64)PAGE_MASK_BITS));
        high = 0;                       /* once for each payload */
        report(fault, V_CORRUPTION, &s, NULL, 0, 0, text);
        return;
    }
    if (frame_at(offset))
        snprintf(text, sizeof(text), "%s of %u bytes at byte %llu of a page that was freed",
                 name_of(&s), s.size, (unsigned long long)(offset & PAGE_MASK_BITS));
    else
        snprintf(text, sizeof(text), "%s of %u bytes in a slots object that was freed",
                 name_of(&s), s.size);
    report(fault, V_USE_AFTER_FREE, &s, NULL, 0, 0, text);
}

static inline void check_life(u64 offset, u64 size, bool write, bool atomic, u64 pc)
{
    if (offset >= host.frames && offset < host.frames_end) {
        u64 page = host.memmap + ((offset - host.frames) >> 12) * host.page_size;

        if (unlikely(state_at(page + host.page_state) != host.allocated))
            at_fault(FAULT_FREED, offset, size, write, atomic, pc);
        else if (unlikely(high) && unlikely(offset < low || offset + size > high))
            at_fault(FAULT_OUTSIDE, offset, size, write, atomic, pc);
    } else if (offset >= host.slots && offset < host.slots_end) {
        u64 within = (offset - host.slots) % host.slots_size, slots = offset - within;

        if (within >= host.slots_guarded)
            return;                     /* the cache's own */
        if (likely(state_at(slots + host.slots_state) == host.allocated)) {
            if (unlikely(slots == slots_in_hand))
                slots_in_hand = 0;
        } else if (slots != slots_in_hand) {
            at_fault(FAULT_FREED, offset, size, write, atomic, pc);
        }
    }
}

/* --- the table --- */

static inline u64 *place_of(u64 line)
{
    return &host.region->point[(line * 0x9E3779B97F4A7C15ull) >> 56];
}

/* Whether a watchpoint is met by this access: another task's, some byte is the same, and one of
 * the two writes. They are never both atomic, for only a plain access sets one. */
static inline bool meets(u64 word, u64 offset, u64 size, bool write)
{
    u64 at = word & ((1ull << OFFSET_BITS) - 1);
    u64 bytes = (word >> SIZE_SHIFT & 15) + 1;

    return (word & STATE_MASK) == ARMED && at < offset + size && offset < at + bytes
        && (write || word & WRITE_BIT) && (word >> TASK_SHIFT & 127) != host.task;
}

/* Its own side is left where no other writes, and every step is a compare-and-swap on a word that
 * names both tasks: who comes late (it was stopped in between, and the owner has given up, and set
 * another watchpoint) changes nothing. While a side was not read yet, no other is left. */
static void __attribute__((noinline)) meet(u64 *place, u64 word, u64 offset, u64 size, bool write,
                                           bool atomic, u64 pc)
{
    u64 claimed = (word & ~STATE_MASK) | CLAIMED | (u64)host.task << CLAIMER_SHIFT;

    if (gift_place && __atomic_load_n(gift_place, __ATOMIC_ACQUIRE) == gift)
        return;
    if (!__atomic_compare_exchange_n(place, &word, claimed, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_RELAXED))
        return;                         /* another was first, or it was taken down */
    describe(&mine->given, offset, size, write, atomic, pc);
    gift_place = place;
    gift = (claimed & ~STATE_MASK) | GIVEN;
    __atomic_compare_exchange_n(place, &claimed, gift, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

static inline void check_points(u64 offset, u64 size, bool write, bool atomic, u64 pc)
{
    u64 last = (offset + size - 1) >> LINE_SHIFT;

    for (u64 line = offset >> LINE_SHIFT; line <= last; line++) {
        u64 *place = place_of(line);
        u64 word = __atomic_load_n(place, __ATOMIC_RELAXED);

        if (unlikely(word != 0) && unlikely(meets(word, offset, size, write)))
            meet(place, word, offset, size, write, atomic, pc);
    }
}

/* An access that is meant to race: what it meets is counted, and left alone. */
static void __attribute__((noinline)) meant_to_race(u64 offset, u64 size, bool write, u64 pc)
{
    u32 reason = (u32)known_race % WATCH_REASONS;
    u64 last = (offset + size - 1) >> LINE_SHIFT;

    known_race = -1;
    mine->benign_pc[reason] = pc;
    for (u64 line = offset >> LINE_SHIFT; line <= last; line++)
        if (meets(__atomic_load_n(place_of(line), __ATOMIC_RELAXED), offset, size, write))
            mine->benign[reason]++;
}

/* --- setting one --- */

/* The part of an access that is watched: within a line, and some part by chance where it is
 * long. */
static void choose_part(u64 *offset, u64 *size)
{
    u64 end = *offset + *size;

    if (*size <= WIDEST && *offset >> LINE_SHIFT == (end - 1) >> LINE_SHIFT)
        return;
    *offset += random_below((u32)*size);
    *offset &= ~7ull;
    if (*offset + 8 < end)
        end = *offset + 8;
    *size = end - *offset;
}

/* Take it down. True when somebody met it: `other` is filled. */
static bool take_down(u64 *place, u64 word, struct watch_side *other)
{
    u64 seen = word, deadline = 0;

    while (!__atomic_compare_exchange_n(place, &seen, 0, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE)) {
        while ((seen & STATE_MASK) == CLAIMED) {
            if (!deadline)
                deadline = now() + PATIENCE;
            else if (now() > deadline)
                break;                  /* it died in between, or is stopped: taken from it */
            sched_yield();
            seen = __atomic_load_n(place, __ATOMIC_ACQUIRE);
        }
        if ((seen & STATE_MASK) == GIVEN) {
            *other = host.region->task[(seen >> CLAIMER_SHIFT & 127) % WATCH_TASKS].given;
            __atomic_store_n(place, 0, __ATOMIC_RELEASE);
            return true;
        }
    }
    return false;
}

static u64 value_at(u64 offset, u64 size)
{
    u64 value = 0;

    memcpy(&value, host.base + offset, size);
    __asm__ volatile("" ::: "memory");
    return value;
}

static void __attribute__((noinline)) watch(u64 offset, u64 size, bool write, u64 pc)
{
    struct watch_side side, other;
    u64 at = offset, bytes = size, word, empty = 0, before, after;
    u64 *place;
    bool met;
    char text[160];

    if (offset < host.constant_end || (offset >= host.verdicts && offset < host.verdicts_end))
        return;                         /* the next one, then */
    until_point = next_after(host.rate);
    choose_part(&at, &bytes);
    if (at < offset) {
        bytes -= offset - at;
        at = offset;
    }
    place = place_of(at >> LINE_SHIFT);
    word = ARMED | (u64)host.task << TASK_SHIFT | (write ? WRITE_BIT : 0)
        | (bytes - 1) << SIZE_SHIFT | at;
    if (!__atomic_compare_exchange_n(place, &empty, word, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_RELAXED)) {
        mine->crowded++;
        return;
    }
    mine->points++;
    before = value_at(at, bytes);
    dawdle(host.stall);
    after = value_at(at, bytes);
    met = take_down(place, word, &other);
    if (likely(!met && before == after))
        return;
    mine->races++;
    describe(&side, offset, size, write, false, pc);
    if (met) {
        snprintf(text, sizeof(text), "%s of %u bytes at 0x%llx by task %u; nothing orders it "
                 "with %s by task %u", name_of(&side), side.size, (unsigned long long)offset,
                 side.task, name_of(&other), other.task);
        report(FAULT_RACE, V_DATA_RACE, &side, &other, before, after, text);
    } else {
        snprintf(text, sizeof(text), "the value at 0x%llx changed from 0x%llx to 0x%llx while "
                 "task %u was about to %s it; who did that was not seen", (unsigned long long)at,
                 (unsigned long long)before, (unsigned long long)after, side.task,
                 write ? "store to" : "load");
        report(FAULT_CHANGED, V_DATA_RACE, &side, NULL, before, after, text);
    }
}

/* --- each access --- */

static void __attribute__((noinline)) delay(void)
{
    until_delay = next_after(host.delay_every);
    mine->delays++;
    dawdle(random_below((u32)host.stall) + 1);
}

void __attribute__((noinline)) watch_access(u64 offset, u64 size, bool write, bool atomic, u64 pc)
{
    mine->accesses++;
    check_life(offset, size, write, atomic, pc);
    if (unlikely(known_race >= 0)) {
        meant_to_race(offset, size, write, pc);
        return;
    }
    check_points(offset, size, write, atomic, pc);
    if (unlikely(--until_delay <= 0))
        delay();
    if (!atomic && unlikely(--until_point <= 0)) {
        watch(offset, size, write, pc);
        check_life(offset, size, write, atomic, pc);
    }
}

void watch_payload(u64 from, u64 to)
{
    low = from;
    high = to;
}

/* Of memory that is told by its state, only slots objects pass through a hand before it says so. */
void watch_lives(u64 offset, bool live)
{
    if (offset >= host.slots && offset < host.slots_end)
        slots_in_hand = live ? offset : 0;
}

void watch_known_race(int reason)
{
    if (memory.checked)
        known_race = reason;
}

/* --- the beginning and the end --- */

void watch_start(const struct watch_host *given)
{
    host = *given;
    mine = &host.region->task[host.task];
    rng = sim_mix(host.seed) | 1;
    until_point = next_after(host.rate);
    until_delay = host.delay_every ? next_after(host.delay_every) : INT64_MAX;
    low = high = slots_in_hand = 0;
    known_race = -1;
    gift_place = NULL;
    for (u32 i = 0; i < WATCH_POINTS; i++) {    /* what one killed under this number left */
        u64 word = __atomic_load_n(&host.region->point[i], __ATOMIC_ACQUIRE);

        if (word && (word >> TASK_SHIFT & 127) == host.task)
            __atomic_compare_exchange_n(&host.region->point[i], &word, 0, false,
                                        __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
    }
    prctl(PR_SET_TIMERSLACK, 1000);
    memory.base = host.base;
    memory.module = host.module;
    memory.window = 0;
    memory.checked = host.window;
}

/* The arena at this address goes away. */
void watch_stop(const char *base)
{
    if (memory.checked && host.base == base)
        memory.checked = 0;
}
