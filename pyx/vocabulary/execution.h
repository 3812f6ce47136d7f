/* How an execution ended, and why an exploration stopped. The name is what Python is told. */
#ifndef Z3F_VOCABULARY_EXECUTION_H
#define Z3F_VOCABULARY_EXECUTION_H

enum ending {
    END_NONE,                   /* "none" */
    END_DONE,                   /* "done": everybody finished */
    END_VERDICT,                /* "verdict": a check failed */
    END_STEPS,                  /* "steps": the step limit */
    END_PRUNED,                 /* "pruned": given up by the strategy, nothing new in it */
    END_REPLAY_LOST,            /* "lost": a replay asks for what cannot be done here */
    END_PROCESS,                /* "process": an actor's died by itself, or hangs (remote.c) */
    END_AGAIN,                  /* "again": something was learned that this execution should have
                                   known; it is run again, under the same number */
};

enum stop {
    STOP_EXECUTIONS,            /* "executions" */
    STOP_TIME,                  /* "time" */
    STOP_EXHAUSTED,             /* "exhausted" */
    STOP_FOUND,                 /* "found" */
    STOP_LOST,                  /* "lost" */
    STOP_PROCESS,               /* "process" */
};

#endif
