/* The configuration: what a caller asks for before executions begin. Nothing in the simulator ever
 * writes to it. */
#ifndef Z3F_CONFIG_H
#define Z3F_CONFIG_H

#include "types.h"
#include "../vocabulary/fault.h"

#pragma GCC visibility push(hidden)

/* Which stores without release of their own hand on what an earlier one released: C++20 dropped
 * those of the same task. Read-modify-writes always do. */
enum release_sequence { RELEASE_SEQUENCE_C11, RELEASE_SEQUENCE_C20 };

struct sim_config {
    /* what is looked at */
    bool races;                 /* a race is a verdict; what orders what is observed anyway */
    bool lifetimes;             /* an access to what was freed, or beside its object, is a verdict */
    bool every_access;          /* each access is a point */
    bool coverage_on;
    u8 recording;               /* keep events; 2: with stacks */
    u8 release_sequence;        /* enum release_sequence */
    bool deadlock_ok;           /* an execution may end with everybody waiting */
    bool finish_is_audit;       /* it says nothing about scratch words */
    bool strict;                /* a replay that cannot do what it is told ends */
    /* budgets of one execution */
    u8 death_budget;
    u8 fault_budget[NR_FAULTS];
    u32 max_steps;
    /* parameters of strategies */
    u64 seed;
    int depth;                  /* pct: d; dfs: preemption bound, -1: none */
    int delay_bound;            /* dfs: delays instead of preemptions; -1: off */
};

extern struct sim_config config;

#pragma GCC visibility pop

#endif
