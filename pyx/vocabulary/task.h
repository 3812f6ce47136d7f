/* What a task is, and what it is at. */
#ifndef Z3F_VOCABULARY_TASK_H
#define Z3F_VOCABULARY_TASK_H

enum role {
    ROLE_NONE,
    ROLE_CALLER,                        /* a process that uses the Python API */
    ROLE_WORKER,
    ROLE_MIGRATOR,
    ROLE_RECLAIMER,
    ROLE_KWORKER_COMPACT,
    ROLE_KWORKER_RELEASE,
    ROLE_CHURNER,
};

/* Of a task of an arena. */
enum task_state {
    TASK_FREE,
    TASK_STARTING,
    TASK_RUNNING,
    TASK_PARKED,                        /* at a quiet point, outside every operation */
    TASK_DONE,
    TASK_DEAD,
};

/* Of a task of an execution. */
enum sim_task_state {
    TASK_UNUSED,
    TASK_WAITING,
    TASK_FINISHED,
    TASK_KILLED,
};

#endif
