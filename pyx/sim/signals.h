/* Signals while executions run: see signals.c. */
#ifndef Z3F_SIGNALS_H
#define Z3F_SIGNALS_H

#include "types.h"

#pragma GCC visibility push(hidden)

int signals_catch(void);                /* 0, or -1: there is no stack for them */
void signals_leave(void);
bool sim_stop_asked(void);

#pragma GCC visibility pop

#endif
