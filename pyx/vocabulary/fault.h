/* Failures that a run may inject, and what else may happen at a task's point by choice. */
#ifndef Z3F_VOCABULARY_FAULT_H
#define Z3F_VOCABULARY_FAULT_H

enum fault {
    FAIL_PAGE,                          /* the allocation of a page */
    FAIL_SLOTS,                         /* of a slots object */
    FAIL_TARGET,                        /* of a migration's target */
    FAIL_EVICT,
    FAIL_TRYLOCK,
    FAIL_CREATE,                        /* a step of pool creation */
    NR_FAULTS,
};

/* What an intervention of a schedule is. */
enum decision {
    DECIDE_SWITCH = 0,                  /* another task goes on */
    DECIDE_FAULT = 1,                   /* and up: DECIDE_FAULT + which failure */
    DECIDE_DIE = 32,                    /* the task dies here */
    DECIDE_START = 255,                 /* the task begins: no intervention */
};

enum {
    NO_TASK = 0xffff,                   /* of an intervention: before any task has run */
};

#endif
