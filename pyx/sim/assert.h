/* What must hold inside the simulator itself, checked in the assertion build alone
 * (Z3FOLD_STRESS_ASSERT=1 when it is built): a fault of this tool, never a verdict. Costs nothing
 * otherwise, and is compiled all the same. */
#ifndef Z3F_ASSERT_H
#define Z3F_ASSERT_H

#if defined(Z3F_ASSERT)
#include <stdio.h>
#include <stdlib.h>

#define ASSERT(condition) \
    ((condition) ? (void)0 : assert_failed(#condition, __FILE__, __LINE__))

static __attribute__((noreturn, noinline, cold, unused))
void assert_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: this does not hold: %s\n", file, line, condition);
    abort();
}
#else
#define ASSERT(condition) ((void)sizeof(!(condition)))
#endif

#endif
