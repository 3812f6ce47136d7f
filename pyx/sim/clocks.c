/* Vector clocks of tasks, and what locations hand on: see clocks.h.
 *
 * A location (a segment of a granule) holds the clock that its last store released: another store
 * replaces it, a read-modify-write adds to it. A relaxed store hands on what its task's last
 * release fence, or with C11's release sequences its task's last release store there, released. A
 * lock is a location; a reader-writer lock keeps what its readers released apart, for writers only.
 *
 * Released clocks are never written to: locations share them. All are forgotten with the execution:
 * what came before it is ordered, and each task's own clock is 1. */
#include "clocks.h"
#include "granule.h"

#include <stdlib.h>
#include <string.h>

u32 *clocks;
u32 clock_tasks, clock_stride;
u64 *log_start, *log_next, *log_end;

static bool begun;                      /* the clocks are this execution's */

/* Of a location: released clocks, 0 where there is none. Where `released` is a task's clock as it was,
 * and no sum, its epoch then: who knows that epoch knows all of it. */
struct location { u32 start, released, by_readers, next, epoch; };
u32 *location_at;                       /* of four bytes: 1 + the number of one that begins there, if
                                           that agrees; the others by `next` */
static struct location *location;
static u32 *own;                        /* of a location and a task: what it last released there */
u32 nr_locations;
static u32 max_locations;

static u32 *released;                   /* the pool; number 0 is none */
static u32 nr_released, max_released;

static u32 *seen;                       /* of a task: what its relaxed loads could have acquired */
static bool seen_any[SIM_TASKS];
u32 clock_fence[SIM_TASKS];             /* what its last release fence released */

static void *grown(void *old, u64 bytes)
{
    void *bigger = realloc(old, bytes);

    if (!bigger)
        abort();
    return bigger;
}

void clocks_start(u64 arena_size)
{
    clocks_stop();
    clock_tasks = run.nr_tasks + 2;
    clock_stride = (clock_tasks + 7) & ~7u;
    clocks = calloc((u64)clock_tasks * clock_stride, sizeof(u32));
    seen = calloc((u64)clock_tasks * clock_stride, sizeof(u32));
    location_at = calloc(arena_size / 4 + 4, sizeof(u32));
    if (!clocks || !seen || !location_at)
        abort();
    clocks_begin();
}

void clocks_stop(void)
{
    free(clocks);
    free(seen);
    free(location_at);
    free(location);
    free(own);
    free(released);
    free(log_start);
    clocks = seen = location_at = own = released = NULL;
    location = NULL;
    log_start = log_next = log_end = NULL;
    nr_locations = max_locations = max_released = 0;
}

void clocks_begin(void)
{
    begun = false;
    log_next = log_start;
    if (unlikely(log_next == log_end))
        clocks_log_grow();
    *log_next++ = POINT_NONE << LOG_KIND;
}

void clocks_log_grow(void)
{
    u64 used = (u64)(log_next - log_start);
    u64 room = used ? 2 * used : 4096;

    log_start = grown(log_start, room * sizeof(u64));
    log_next = log_start + used;
    log_end = log_start + room;
}

/* Clocks lie in eights of words, so that nobody has to call memcpy for a few of them. */
static inline void clear(u32 *clock)
{
    for (u32 k = 0; k < clock_stride; k += 8)
        memset(clock + k, 0, 8 * sizeof(u32));
}

static inline void copy(u32 *to, const u32 *from)
{
    for (u32 k = 0; k < clock_stride; k += 8)
        memcpy(to + k, from + k, 8 * sizeof(u32));
}

/* All that was before is known to everybody. */
static void begin_late(void)
{
    begun = true;
    nr_locations = 0;
    nr_released = 1;
    memset(clocks, 0, (u64)clock_tasks * clock_stride * sizeof(u32));
    for (u32 i = 0; i < clock_tasks; i++) {
        seen_any[i] = false;
        clock_fence[i] = 0;
        clock_of(i)[i] = 1;
    }
}

/* Clocks are below 2^25 and lie in eights: signed, eight at a time, is what SSE2 can do. */
static inline void join(u32 *to, const u32 *from)
{
    for (u32 k = 0; k < clock_stride; k += 8)
        for (u32 i = 0; i < 8; i++)
            to[k + i] = (int)from[k + i] > (int)to[k + i] ? from[k + i] : to[k + i];
}

static inline u32 *clock_number(u32 number) { return released + (u64)number * clock_stride; }

/* A released clock: this one, and another one's where there is one. */
static u32 release(const u32 *c, u32 and)
{
    if (unlikely(nr_released >= max_released)) {
        u64 at = c >= released && c < released + (u64)max_released * clock_stride
                 ? (u64)(c - released) : ~0ull;

        max_released = max_released ? 2 * max_released : 1024;
        released = grown(released, (u64)max_released * clock_stride * sizeof(u32));
        if (at != ~0ull)
            c = released + at;
    }
    copy(clock_number(nr_released), c);
    if (and)
        join(clock_number(nr_released), clock_number(and));
    return nr_released++;
}

static inline struct location *find(u64 start)
{
    u32 i = location_at[start >> 2];
    struct location *l;

    if (i - 1 >= nr_locations || location[i - 1].start >> 2 != start >> 2)
        return NULL;
    for (l = &location[i - 1]; l->start != (u32)start; l = &location[l->next - 1])
        if (!l->next)
            return NULL;
    return l;
}

static struct location *make(u64 start)
{
    struct location *l = find(start);
    u32 *at = &location_at[start >> 2], next;

    if (l)
        return l;
    if (unlikely(nr_locations == max_locations)) {
        max_locations = max_locations ? 2 * max_locations : 256;
        location = grown(location, max_locations * sizeof(*location));
        own = grown(own, (u64)max_locations * clock_stride * sizeof(u32));
    }
    clear(own + (u64)nr_locations * clock_stride);
    next = *at - 1 < nr_locations && location[*at - 1].start >> 2 == start >> 2 ? *at : 0;
    location[nr_locations] = (struct location){ .start = (u32)start, .next = next };
    *at = nr_locations + 1;
    return &location[nr_locations++];
}

static inline u32 *own_of(const struct location *l, u32 task)
{
    return own + (u64)(l - location) * clock_stride + task;
}

void clocks_divide(u64 start, u64 at)
{
    struct location *l = begun ? find(start) : NULL;
    struct location *part;
    u64 i;

    if (!l)
        return;
    i = (u64)(l - location);
    part = make(at);
    l = &location[i];
    part->released = l->released;
    part->epoch = l->epoch;
    part->by_readers = l->by_readers;
    copy(own_of(part, 0), own_of(l, 0));
}

void clocks_drop(u64 start)
{
    struct location *l = find(start);

    if (!l)
        return;
    l->released = l->by_readers = l->epoch = 0;
    clear(own_of(l, 0));
}

static inline u64 location_end(u64 start, u64 end)
{
    u64 base = start & ~7ull;
    u32 to = end - base < 8 ? (u32)(end - base) : 8;

    return base + segment_end(granule_with(start >> 3, start & 7, to), start & 7);
}

/* Each location that an access touches. */
#define EACH_LOCATION(start, a)                                                                 \
    for (u64 start = (a)->offset, end_ = start + (a)->size, next_ = location_end(start, end_);  \
         start < end_; start = next_, next_ = start < end_ ? location_end(start, end_) : end_)

static inline bool is_lock(u32 kind)
{
    const u32 locks = 1u << POINT_LOCK | 1u << POINT_TRYLOCK | 1u << POINT_UNLOCK
                    | 1u << POINT_READ_LOCK | 1u << POINT_READ_UNLOCK | 1u << POINT_WRITE_LOCK
                    | 1u << POINT_WRITE_UNLOCK;

    return locks >> kind & 1;
}

bool clocks_acquires(const struct access *a)
{
    const struct location *l;

    EACH_LOCATION(start, a)
        if ((l = find(start)) && (l->released | l->by_readers))
            return true;
    return false;
}

ALWAYS_INLINE void acquire_at(const struct location *l, u32 *into, int kind)
{
    if (l->released && (l->epoch == 0 || !ordered(l->epoch, into)))
        join(into, clock_number(l->released));
    if (l->by_readers && kind != POINT_READ_LOCK)
        join(into, clock_number(l->by_readers));
}

void clocks_acquire(u32 task, const struct access *a)
{
    const struct location *l;
    u32 *into = clock_of(task);

    if (!(a->order & ORDER_ACQUIRE)) {
        if (a->writes && is_lock(a->kind))
            return;                     /* it lets go */
        into = seen + task * clock_stride;
    }
    EACH_LOCATION(start, a) {
        l = find(start);
        if (!l || !(l->released | l->by_readers))
            continue;
        if (!(a->order & ORDER_ACQUIRE) && !seen_any[task]) {
            seen_any[task] = true;
            clear(into);
        }
        acquire_at(l, into, a->kind);
    }
}

/* What a relaxed store of this task hands on: of its fence and its last release there, the later
 * one knows the other. */
static inline u32 handed_on(u32 task, const struct location *l)
{
    u32 f = clock_fence[task];
    u32 o = config.release_sequence == RELEASE_SEQUENCE_C11 ? *own_of(l, task) : 0;

    if (!f || !o)
        return f | o;
    return clock_number(f)[task] > clock_number(o)[task] ? f : o;
}

/* A store there takes the place of what was released, a read-modify-write adds to it. */
ALWAYS_INLINE void hand_on(struct location *l, u32 task, u32 head, bool reads)
{
    if (!reads || !l->released || (head && l->epoch && ordered(l->epoch, clock_number(head)))) {
        l->epoch = head ? task << CLOCK_BITS | clock_number(head)[task] : 0;
        l->released = head;
    } else if (head) {
        l->epoch = 0;
        l->released = release(clock_number(head), l->released);
    }
}

static inline void release_at(u64 start, u32 task, const struct access *a, u32 *mine)
{
    struct location *l = a->order & ORDER_RELEASE || clock_fence[task] ? make(start) : find(start);
    u32 head;

    if (!l)
        return;                         /* nothing was released there, nor is now */
    if (a->kind == POINT_READ_UNLOCK) {
        l->by_readers = release(clock_of(task), l->by_readers);
        return;
    }
    if (a->order & ORDER_RELEASE) {
        head = *mine ? *mine : (*mine = release(clock_of(task), 0));
        *own_of(l, task) = head;
    } else {
        head = handed_on(task, l);
    }
    hand_on(l, task, head, a->reads);
    if (!a->reads || a->kind == POINT_WRITE_UNLOCK)
        l->by_readers = 0;              /* what was there is over, or the writer has acquired it */
}

void clocks_release(u32 task, const struct access *a)
{
    u32 mine = 0;

    if (is_lock(a->kind) && !(a->order & ORDER_RELEASE))
        return;                         /* taken: what was released there stays */
    EACH_LOCATION(start, a)
        release_at(start, task, a, &mine);
    if (a->order & ORDER_RELEASE)
        clock_of(task)[task]++;
}

/* What most of the log is: a spinlock, in a word that nothing divides. */
ALWAYS_INLINE void spinlock(u32 task, u64 offset, bool takes)
{
    u32 *clock = clock_of(task), head;
    struct location *l = find(offset);

    if (takes) {
        if (l)
            acquire_at(l, clock, POINT_LOCK);
        return;
    }
    if (!l)
        l = make(offset);
    head = release(clock, 0);
    *own_of(l, task) = head;
    hand_on(l, task, head, true);
    clock[task]++;
}

static void pass_fence(u32 task, u32 order)
{
    u32 *c = clock_of(task);

    if (order & (ORDER_ACQUIRE | ORDER_SEQ_CST) && seen_any[task])
        join(c, seen + task * clock_stride);
    if (order & (ORDER_RELEASE | ORDER_SEQ_CST)) {
        clock_fence[task] = release(c, 0);
        c[task]++;
    }
}

/* Whether these four bytes are one location: nothing else touched them, or only as a whole. */
static inline bool is_whole_word(u64 offset)
{
    u64 word = granule[offset >> 3];
    u32 bounds = (u32)word >> (offset & 7);

    return (bounds & 0x1f) == 0x11;
}

void clocks_compute(void)
{
    if (!begun)
        begin_late();
    for (const u64 *e = log_start; e != log_next; e++) {
        struct access a = {
            .kind = *e >> LOG_KIND & 31, .order = *e >> LOG_ORDER & 7,
            .reads = *e >> LOG_READS & 1, .writes = *e >> LOG_WRITES & 1, .atomic = true,
            .size = *e >> LOG_SIZE & 15, .offset = *e >> LOG_OFFSET,
        };
        u32 task = *e & 127;

        if ((a.kind == POINT_LOCK || a.kind == POINT_UNLOCK) && likely(is_whole_word(a.offset))) {
            spinlock(task, a.offset, a.kind == POINT_LOCK);
            continue;
        }
        if (a.kind == POINT_NONE)
            continue;
        if (a.kind == POINT_FENCE) {
            pass_fence(task, a.order);
            continue;
        }
        if (a.reads)
            clocks_acquire(task, &a);
        if (a.writes)
            clocks_release(task, &a);
    }
    log_next = log_start;
}
