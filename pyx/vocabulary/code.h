/* Instructions of a program (run/program.pxi): what an actor does, as data.
 *
 * A line here is the entry of an operation: CODE_NAME is done by run_NAME() of run/on_*.pxi (or
 * where it says (inline), by a branch of the interpreter), and made by NAME() of
 * z3fold_stress/scenario/op.py, whose arguments are its operands a, b and c in their order. */
#ifndef Z3F_VOCABULARY_CODE_H
#define Z3F_VOCABULARY_CODE_H

#include <stdint.h>

enum code {
    /* control */
    CODE_END,                   /* (inline) */
    CODE_JUMP,                  /* (inline) to a */
    CODE_JUMP_UNLESS,           /* (inline) to a, unless register <compare> b (FLAG_REG: a register) */
    CODE_SET,                   /* (inline) register = a */
    CODE_MOVE,                  /* (inline) register = register a */
    CODE_ADD,                   /* (inline) register += a (a register if FLAG_REG) */
    CODE_MULTIPLY,              /* (inline) register *= a */
    CODE_EXPECT,                /* (inline) register <compare> a (as above), or a verdict; c: which */
    /* allocator; a is an object */
    CODE_ALLOC,                 /* b: size */
    CODE_FREE,
    CODE_FILL,
    CODE_MAP,
    CODE_CHECK,
    CODE_UNMAP,
    CODE_WRITE,                 /* map, write a new version shared with others, unmap */
    CODE_READ,                  /* map, see which version is there, unmap */
    CODE_RECLAIM,               /* a: rounds */
    CODE_COMPACT_WORK,
    CODE_RELEASE_WORK,
    CODE_DRAIN,
    CODE_QUEUE_WORK,            /* the release work, by itself */
    CODE_CANCEL_WORK,
    CODE_FLUSH_WORK,
    CODE_CREATE_POOL,           /* a: whether it evicts */
    CODE_DESTROY_POOL,
    CODE_FREE_ALL,
    CODE_PROBE,                 /* a: pages */
    CODE_AUDIT,                 /* a quiet point: nobody else may be inside */
    /* migration; a is a frame, or with FLAG_PAGE_OF the object whose page it is */
    CODE_ISOLATE,
    CODE_MIGRATE,
    CODE_PUTBACK,
    CODE_MIGRATE_PAGES,         /* b: passes */
    CODE_COMPACT_MEMORY,        /* a: first frame, b: frames */
    CODE_OFFLINE,               /* a: first frame, b: frames, c: budget */
    CODE_LOCK_PAGE,
    CODE_TRYLOCK_PAGE,          /* (inline) */
    CODE_UNLOCK_PAGE,
    CODE_LOCK_HEADER,
    CODE_UNLOCK_HEADER,         /* raw words, locks and atomics; a is a scratch word */
    CODE_LOCK,                  /* (inline) */
    CODE_TRYLOCK,               /* (inline) register: whether it was taken */
    CODE_UNLOCK,                /* (inline) */
    CODE_READ_LOCK,
    CODE_READ_UNLOCK,
    CODE_WRITE_LOCK,
    CODE_WRITE_UNLOCK,
    CODE_LOAD,                  /* (inline) register = word */
    CODE_STORE,                 /* (inline) word = b (a register if FLAG_REG) */
    CODE_FETCH_ADD,             /* (inline) register = word, word += b */
    CODE_EXCHANGE,              /* (inline) register = word, word = b */
    CODE_CAS,                   /* (inline) register: whether word was b and is now c */
    CODE_FENCE,                 /* of the order that the flags say */
    CODE_WAIT_WHILE,            /* spin while word == b */
    CODE_WAIT_UNTIL,            /* spin until word == b */
    CODE_SLEEP,                 /* on word, until woken */
    CODE_WAKE,                  /* all who sleep on word */
    CODE_MIGHT_SLEEP,
    CODE_PREEMPT_DISABLE,
    CODE_PREEMPT_ENABLE,
    CODE_DIED,                  /* (inline) register: whether actor a died */
    NR_CODES,
};

enum flag {
    FLAG_REG = 1,                       /* the operand is the number of a register */
    FLAG_PAGE_OF = 2,                   /* a is an object: the page that it is in */
    FLAG_ATOMIC = 4,                    /* alloc: may not sleep; load, store: relaxed */
    FLAG_ACQUIRE = 8,                   /* load, fence: acquire */
    FLAG_RELEASE = 16,                  /* store, fence: release */
    FLAG_ASYNC = 32,                    /* migrate_pages: does not block for the PG lock */
    FLAG_KEEP_FAILED = 64,              /* migrate_pages: newer cores try failures again */
    FLAG_NO_PUTBACK = 128,              /* migrate_pages: what is left stays isolated */
    FLAG_IN_RECLAIM = 256,              /* migrate_pages: must not block */
    FLAG_FILL = 512,                    /* alloc: and fill, before anybody sees it */
    FLAG_SEQ_CST = 1024,                /* fence: sequentially consistent */
};

enum compare {
    COMPARE_EQ,
    COMPARE_NE,
    COMPARE_LT,
    COMPARE_LE,
    COMPARE_GT,
    COMPARE_GE,
};

/* 32 bytes. */
struct instruction {
    uint16_t code;
    uint16_t flags;
    uint8_t register_;
    uint8_t compare;
    uint16_t pool;
    int64_t a;
    int64_t b;
    int64_t c;
};

#endif
