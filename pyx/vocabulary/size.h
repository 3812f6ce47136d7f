/* Sizes that the arena is made of, and how many there may be of what. */
#ifndef Z3F_VOCABULARY_SIZE_H
#define Z3F_VOCABULARY_SIZE_H

enum {
    PAGE_SHIFT = 12,
    PAGE_SIZE = 1 << PAGE_SHIFT,
    PAGE_MASK_BITS = PAGE_SIZE - 1,
    CHUNK_SHIFT = 6,                    /* PAGE_SHIFT - NCHUNKS_ORDER */
    CHUNK_SIZE = 1 << CHUNK_SHIFT,
    TOTAL_CHUNKS = PAGE_SIZE >> CHUNK_SHIFT,
    CACHE_LINE = 64,
    HEADER_SIZE = 88,                   /* of a page; asserted in base/layout.pxi, as all below */
    SLOTS_SIZE = CACHE_LINE,            /* of a slots object */
    SLOTS_GUARDED = 44,                 /* of these: what follows is the cache's own */
    LIST_HEAD_SIZE = 16,
};

enum {
    MAX_TASKS = 60,                     /* a task is a bit in an object's reference mask */
    MAX_CPUS = 64,
    MAX_POOLS = 4,
    MAX_HELD = 64,                      /* locks that one task holds at once; a bit each */
    MAX_DEPTH = 4,                      /* operations that nest: reclaim > evict > free */
    MAX_MAPS = 32,                      /* objects that one task has mapped at once */
    MAX_VERDICTS = 16,
    NR_SCRATCH = 16,                    /* raw words for lock tests, one a cache line */
    SCRATCH_STRIDE = CACHE_LINE,        /* bytes from one to the next */
    NR_REGISTERS = 8,                   /* of a program */
};

#endif
