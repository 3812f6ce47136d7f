/* The verdict: what is wrong with the execution under way, the first finding alone. */
#ifndef Z3F_SIM_VERDICT_H
#define Z3F_SIM_VERDICT_H

#include "types.h"
#include "../vocabulary/verdict.h"

#pragma GCC visibility push(hidden)

struct sim_verdict {
    u32 kind;                   /* enum verdict; 0: none */
    u32 task;
    u64 page, handle, lock;
    u64 pc;                     /* where the check was, or the second access */
    u64 other_pc;               /* the first access of a race */
    u32 other_task;
    u32 size;
    u64 object;
    u8 writes, other_writes;    /* of a race */
    char where[40];
    char text[184];
};

extern struct sim_verdict verdict;

/* scheduler.c */
_Noreturn void sim_fail(int kind, const char *where, u64 page, u64 handle, u64 lock, u64 pc,
                        const char *text);
void sim_report(int kind, const char *where, u64 page, u64 handle, u64 lock, const char *text);

#pragma GCC visibility pop

#endif
