/* Ordered pairs of conflicting sites: see coverage.c. */
#ifndef Z3F_COVERAGE_H
#define Z3F_COVERAGE_H

#include "run.h"

#pragma GCC visibility push(hidden)

void coverage_access(const struct sim_task *t, const struct access *a);
void coverage_begin(void);                      /* an execution */
void coverage_reset(void);
u32 coverage_count(void);

#pragma GCC visibility pop

#endif
