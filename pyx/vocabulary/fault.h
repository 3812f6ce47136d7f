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

/* What a schedule says of a point. Below DECIDE_DIE: which failure, if it is not a switch. */
enum decision {
    DECIDE_SWITCH = 0,                  /* of an intervention: another task goes on */
    DECIDE_DIE = 32,                    /* the task dies here */
};

#endif
