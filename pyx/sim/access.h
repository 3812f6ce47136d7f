/* What a task does that another could notice, as one record.
 *
 * Every load, store, range, atomic, fence, lock operation, wait, birth and death of memory makes
 * one of these, in one place (access.c), whoever asked for it: a compiler hook, the gate, a
 * process by its proxy. A task shows the record before it acts (sim_announce: what the scheduler
 * and the strategies see of a task that is about to act), then acts, then the observers get it
 * (sim_observe). Nothing else tells one task's doings to another: a place that bypasses this is
 * wrong even where nothing shows it. */
#ifndef Z3F_ACCESS_H
#define Z3F_ACCESS_H

#include "types.h"
#include "../vocabulary/point.h"

/* What an access orders besides itself: C11's memory orders as bits. Sequential consistency is
 * what every execution has; the bit is kept for memory models that tell it from the rest. */
enum access_order {
    ORDER_RELAXED = 0,
    ORDER_ACQUIRE = 1,
    ORDER_RELEASE = 2,
    ORDER_SEQ_CST = 4,
};

struct access {
    u8 kind;                    /* enum point_kind */
    u8 order;                   /* enum access_order */
    bool reads, writes;         /* of a try or a compare-and-swap: announced, whether it may; done,
                                   whether it did */
    bool atomic;                /* two atomic accesses never race */
    u32 size;                   /* bytes; 0: no memory, as of a fence or a yield */
    u64 offset;                 /* in the arena */
    u64 seen;                   /* POINT_CHANGE, POINT_EQUAL: the value that is waited for */
    u64 pc;                     /* in the subject, as an offset in the module */
};

/* For a call that is not inlined: a record whose address stays within the caller lives in registers,
 * and one that was just written byte by byte is read again only after a stall. */
#define COPY_OF(a) (&(struct access){ (a)->kind, (a)->order, (a)->reads, (a)->writes, (a)->atomic, \
                                      (a)->size, (a)->offset, (a)->seen, (a)->pc })

/* The first five members at once: a store each costs more than putting them together, and what was
 * stored at once may be read in parts. What no wait looks for is left as it is. */
ALWAYS_INLINE void access_copy(struct access *to, const struct access *from)
{
    u64 head = (u64)from->kind | (u64)from->order << 8 | (u64)from->reads << 16
             | (u64)from->writes << 24 | (u64)from->atomic << 32;

    __builtin_memcpy(to, &head, sizeof(head));
    to->size = from->size;
    to->offset = from->offset;
    if (from->kind == POINT_CHANGE || from->kind == POINT_EQUAL)
        to->seen = from->seen;
    to->pc = from->pc;
}
_Static_assert(offsetof(struct access, reads) == 2 && offsetof(struct access, atomic) == 4
               && offsetof(struct access, size) == 8, "access_copy() knows where they are");

/* Nobody's access: a wait that stands for a loop which only lets others run, and then looks by an
 * access of its own; a program that asks where an object is. It orders nothing, races with nothing,
 * and touches nothing. What comes next depends on it, as on any access. */
ALWAYS_INLINE bool access_is_hint(const struct access *a)
{
    return a->kind == POINT_PEEK || (a->kind >= POINT_FREE && a->order == ORDER_RELAXED);
}

/* Dependence, the one definition: for depth-first search with reduction, for POS and SURW, for the
 * race detector, for what becomes a schedule point. */
static inline bool accesses_overlap(const struct access *a, const struct access *b)
{
    return a->offset < b->offset + b->size && b->offset < a->offset + a->size;
}

static inline bool accesses_conflict(const struct access *a, const struct access *b)
{
    return (a->writes | b->writes) & accesses_overlap(a, b);
}

#endif
