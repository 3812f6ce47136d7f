/* The sim world: the subject's tasks as coroutines in one process, every access to the arena
 * seen, every choice made by a strategy.
 *
 * All of pyx/sim/ *.c is built without instrumentation; the subject is built with it and calls
 * the hooks (hooks.c). Nothing here knows z3fold: what is known of the arena is a window of
 * memory, lock words, and the few callbacks of struct sim_host. One world a process, and its
 * state is what its owners are: config, run, schedule, verdict, memory. */
#ifndef Z3F_SIM_H
#define Z3F_SIM_H

#include "benign.h"
#include "config.h"
#include "coverage.h"
#include "gate.h"
#include "linear.h"
#include "memory.h"
#include "promote.h"
#include "random.h"
#include "regions.h"
#include "run.h"
#include "schedule.h"
#include "trace.h"
#include "undo.h"
#include "verdict.h"
#include "../vocabulary/lock.h"
#include "../vocabulary/poison.h"

#endif
