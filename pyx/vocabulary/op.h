/* What a task does: the bracket that it is in, and what the flight recorder writes. */
#ifndef Z3F_VOCABULARY_OP_H
#define Z3F_VOCABULARY_OP_H

/* What a task does, and what the recorder writes. */
enum op {
    OP_NONE,
    OP_ALLOC,
    OP_FREE,
    OP_MAP,
    OP_UNMAP,
    OP_COMPACT,
    OP_RELEASE,
    OP_RECLAIM,
    OP_EVICT,
    OP_ISOLATE,
    OP_MIGRATE,
    OP_PUTBACK,
    OP_MIGRATE_PAGES,
    OP_CREATE_POOL,
    OP_DESTROY_POOL,
    OP_RECOVER,
    OP_RAW,
};

#endif
