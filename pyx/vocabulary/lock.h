/* Locks: their classes and kinds, and what a lock word holds. */
#ifndef Z3F_VOCABULARY_LOCK_H
#define Z3F_VOCABULARY_LOCK_H

enum lock_class {
    LC_NONE,
    LC_PG,              /* "PG lock": PG_locked of a page descriptor; sleeps */
    LC_PAGE,            /* "page lock": the spinlock in a z3fold header */
    LC_POOL,            /* "pool lock": unbuddied lists, LRU */
    LC_STALE,           /* "stale lock" */
    LC_SLOTS,           /* "slots lock": in a slots object */
    LC_WORKQUEUE,       /* "queue lock" */
    LC_RAW,             /* a scratch word */
    LC_PAGE_NEW,        /* "new page's lock": of a migration's target, not yet in use */
    NR_LOCK_CLASSES,
};

enum {
    LC_WORDS = 16,      /* where the order of locks is watched: scratch word N is LC_WORDS + N */
};

enum lock_kind {
    KIND_TTAS,
    KIND_TICKET,
    KIND_MCS,
};

enum {
    OWNER_MASK = 0x3ff,                 /* of a lock word: the task that holds it */
    OWNER_BITS = 10,
    LOCK_GENERATION = 0x400,            /* added at each unlock of a ttas lock */
    READER = 0x400,                     /* one reader of a reader-writer lock */
};

#endif
