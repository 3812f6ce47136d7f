/* What a task is about to do at its point, and the other events of a trace. The name is what people
 * are told. */
#ifndef Z3F_VOCABULARY_POINT_H
#define Z3F_VOCABULARY_POINT_H

/* Those before POINT_RMW are schedule points only once they were seen to conflict; from POINT_LOCK
 * on the task may have to wait. */
enum point_kind {
    POINT_NONE,
    POINT_LOAD,                 /* "load" */
    POINT_STORE,                /* "store" */
    POINT_BIRTH,                /* "allocates": all of an allocation is written */
    POINT_DEATH,                /* "frees": and again */
    POINT_POISON,               /* "poison": the dead are filled with a pattern */
    POINT_FENCE,                /* "fence" */
    POINT_RMW,                  /* "atomic": a read-modify-write */
    POINT_PEEK,                 /* "look": by a program at what it holds no reference to */
    POINT_TRYLOCK,              /* "trylock" */
    POINT_UNLOCK,               /* "unlock" */
    POINT_READ_UNLOCK,          /* "read_unlock" */
    POINT_WRITE_UNLOCK,         /* "write_unlock" */
    POINT_YIELD,                /* "yield" */
    POINT_LOCK,                 /* "lock": until the word has no owner */
    POINT_READ_LOCK,            /* "read_lock" */
    POINT_WRITE_LOCK,           /* "write_lock" */
    POINT_FREE,                 /* "wait until free": does not take the lock */
    POINT_CHANGE,               /* "wait for a change": until the word differs from what was seen */
    POINT_EQUAL,                /* "wait for a value": until the word is this */
    POINT_WORK,                 /* "wait for work": until the queue at this list head has an item */
};

/* What is kept in a trace besides points. */
enum event_kind {
    EVENT_OP_BEGIN = 64,        /* "begins": an instruction of the program */
    EVENT_ACCESS = 66,          /* "access": of plain memory; size: EVENT_WRITES for a store */
    EVENT_FAIL,                 /* "fails" */
    EVENT_DIE,                  /* "dies" */
    EVENT_LIVES,                /* "allocates" */
    EVENT_FREED,                /* "frees" */
};

enum {
    EVENT_WRITES = 0x80,        /* in the size of an event */
};

#endif
