/* What the assertion build asks of each store of the subject: nothing that an execution does may
 * outlive it outside the arena, for the next one begins with the arena alone.
 *
 * A task may write to the arena, to its stack, and to what the host keeps for it; never to a
 * variable of the module. */
#ifndef Z3F_SIM_OUTSIDE_H
#define Z3F_SIM_OUTSIDE_H

#include <stdint.h>

#ifdef Z3F_ASSERT
void outside_check(const volatile void *p, uint64_t pc);
#define ASSERT_NOT_OURS(p, pc) outside_check((p), (pc))
#else
#define ASSERT_NOT_OURS(p, pc) ((void)0)
#endif

#endif
