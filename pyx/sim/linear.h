/* Linearizability, each object a register: see linear.c. */
#ifndef Z3F_LINEAR_H
#define Z3F_LINEAR_H

#include "types.h"

#pragma GCC visibility push(hidden)

void linear_begin(void);
void linear_forget(void);               /* nothing was given up */
extern u64 linear_gave_up;              /* executions whose order nobody could find */
void linear_initial(u32 object, u64 value);
u32 linear_invoke(u32 task, u32 object, bool write, u64 value);
void linear_respond(u32 operation, u64 value);
enum linear { LINEAR, LINEAR_NOT, LINEAR_UNKNOWN };     /* the last: too long to tell */
enum linear linear_check(char *text, u32 size);

#pragma GCC visibility pop

#endif
