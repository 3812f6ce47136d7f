/* Vector clocks: what happens before what (Lamport 1978; Fidge and Mattern 1988), by the rules of
 * C11 as RC11 reads them (Lahav et al., PLDI 2017), where executions are sequentially consistent.
 *
 * Computed only when somebody asks: an operation that orders, on memory that only such operations
 * ever touched, is written to a log, and the log is forgotten with the execution. Who needs a clock
 * calls clocks_now() first. */
#ifndef Z3F_CLOCKS_H
#define Z3F_CLOCKS_H

#include "sim.h"

#pragma GCC visibility push(hidden)

/* An epoch: a task and its own clock. */
enum { CLOCK_BITS = 25 };
#define CLOCK_MASK ((1u << CLOCK_BITS) - 1)
_Static_assert(SIM_TASKS < 1 << (32 - CLOCK_BITS), "a task is a part of an epoch");

extern u32 *clocks;                     /* of each task, clock_stride words each */
extern u32 clock_tasks, clock_stride;

static inline u32 *clock_of(u32 task) { return clocks + task * clock_stride; }
static inline u32 task_of(u32 e) { return e >> CLOCK_BITS; }
static inline u32 epoch_of(u32 task) { return task << CLOCK_BITS | clock_of(task)[task]; }
static inline bool ordered(u32 e, const u32 *c) { return (e & CLOCK_MASK) <= c[task_of(e)]; }

void clocks_start(u64 arena_size);
void clocks_stop(void);
void clocks_begin(void);
void clocks_compute(void);

/* Of an atomic access of whatever kind, when the clocks are up to date: what it learns by reading,
 * true if there may be something; and what it hands on by writing. */
bool clocks_acquires(const struct access *a);
void clocks_acquire(u32 task, const struct access *a);
void clocks_release(u32 task, const struct access *a);
void clocks_divide(u64 start, u64 at);  /* the location from start on is two from now on */
void clocks_drop(u64 start);            /* the location is another one from now on */

/* Whether a location may begin there. */
extern u32 *location_at, nr_locations;
static inline bool clocks_located(u64 start)
{
    return unlikely(location_at[start >> 2] - 1 < nr_locations);
}

/* As clocks_release(), of a store: most hand nothing on. */
extern u32 clock_fence[SIM_TASKS];
static inline void clocks_store(u32 task, const struct access *a)
{
    if (a->order & ORDER_RELEASE || clock_fence[task] || clocks_located(a->offset))
        clocks_release(task, a);
}

/* --- the log --- */

/* Begins with a word that says that an execution begins: where it is empty the clocks are up to
 * date. */
extern u64 *log_start, *log_next, *log_end;
void clocks_log_grow(void);

static inline void clocks_now(void)
{
    if (log_next != log_start)
        clocks_compute();
}

enum { LOG_KIND = 7, LOG_ORDER = 12, LOG_READS = 15, LOG_WRITES = 16, LOG_SIZE = 17,
       LOG_OFFSET = 21 };

ALWAYS_INLINE void clocks_log(u32 task, const struct access *a)
{
    if (unlikely(log_next == log_end))
        clocks_log_grow();
    *log_next++ = a->offset << LOG_OFFSET | (u64)a->size << LOG_SIZE | (u64)a->writes << LOG_WRITES
                | (u64)a->reads << LOG_READS | (u64)a->order << LOG_ORDER
                | (u64)a->kind << LOG_KIND | task;
}

#pragma GCC visibility pop

#endif
