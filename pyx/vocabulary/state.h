/* States of what lives in the arena, and bits of its words. */
#ifndef Z3F_VOCABULARY_STATE_H
#define Z3F_VOCABULARY_STATE_H

enum frame_state {
    FRAME_FREE = 0,
    FRAME_ALLOCATED = 1,
};

enum slots_state {
    SLOTS_FREE = 0,
    SLOTS_ALLOCATED = 1,
    SLOTS_PRIVATE = 2,                  /* reclaim's own: never goes to the cache */
};

enum pool_state {
    POOL_NONE = 0,
    POOL_LIVE = 1,
    POOL_DESTROYING = 2,
};

enum object_state {
    OBJECT_EMPTY = 0,
    OBJECT_LIVE = 1,
    OBJECT_FREEING = 2,                 /* out of the table; its handle is about to be freed */
    OBJECT_SWAPPED = 3,
};

enum evicts {
    EVICTS_BY_TABLE = 1,
    EVICTS_IN_PYTHON = 2,
};

/* Bits of a page's private word. */
enum page_flag {
    PAGE_HEADLESS = 0,
    MIDDLE_CHUNK_MAPPED = 1,
    NEEDS_COMPACTING = 2,
    PAGE_STALE = 3,
    PAGE_CLAIMED = 4,                   /* by reclaim, or by who isolated the page */
    PAGE_FREED = 5,                     /* headless: freed while claimed; reclaim releases it */
};

/* The number of a buddy, as a slot has it. */
enum buddy {
    HEADLESS = 0,
    FIRST = 1,
    MIDDLE = 2,
    LAST = 3,
};

enum {
    BUDDY_MASK = 3,
    BUDDY_SHIFT = 2,
    PG_ISOLATED = 1,                    /* of a page's flags */
    WORK_PENDING = 1,
    WORK_CPU_SHIFT = 8,                 /* 8 bits */
    WORK_NUMBER_SHIFT = 32,
    WORK_COMPACT = 1,
    WORK_RELEASE = 2,
    GFP_ATOMIC = 0,
    GFP_KERNEL = 1,                     /* may sleep */
    GFP_HIGHMEM = 2,
};

#endif
