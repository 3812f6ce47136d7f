/* The memory map: where the arena lies, how much of it is watched, and what its parts are. */
#ifndef Z3F_MEMORY_H
#define Z3F_MEMORY_H

#include "types.h"

#pragma GCC visibility push(hidden)

enum { SIM_REGIONS = 8 };

/* Memory in which allocations live and die, each a unit of the same size. */
struct region {
    u64 start, end;             /* offsets in the arena */
    u32 unit;                   /* bytes; divides 4096, or is a multiple of it */
    u32 guarded;                /* of a unit: what follows belongs to its allocator */
    bool payloads;              /* units hold objects: see sim_task.payload */
    bool pages;                 /* a verdict tells a unit as its page, else as its handle */
    const char *name;           /* of a unit, for people */
};

struct sim_memory {
    char *base;                 /* of the arena */
    u64 window;                 /* bytes of the arena that are watched; 0: nobody runs */
    u64 checked;                /* the same of a real process that checks its accesses (watch.c) */
    u64 size;                   /* of the arena */
    u64 module;                 /* load address of the extension: sites are offsets from it */
    u64 scratch;
    u64 audited_from;           /* what lies before are scratch words: the audit has no say */
    u32 nr_regions;
    struct region region[SIM_REGIONS];
};

extern struct sim_memory memory;

static inline u64 offset_of(const void *p) { return (u64)((const char *)p - memory.base); }

u64 sim_shared(void);                   /* scheduler.c */
void sim_look_away(void);               /* gate.c: a checker's accesses are nobody's */
void sim_look_again(void);

#pragma GCC visibility pop

#endif
