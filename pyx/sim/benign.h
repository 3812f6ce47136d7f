/* Races that are meant: see benign.c. */
#ifndef Z3F_BENIGN_H
#define Z3F_BENIGN_H

#include "types.h"

#pragma GCC visibility push(hidden)

struct benign { u64 pc, seen, other_pc; u32 reason; };

extern struct benign *benigns;
extern u32 nr_benign;

struct benign *benign(u64 pc_a, u64 pc_b);
void benign_add(u64 pc, u32 reason);
void benign_reset(void);

#pragma GCC visibility pop

#endif
