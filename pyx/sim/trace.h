/* The events of an execution, where they are kept: see trace.c. */
#ifndef Z3F_TRACE_H
#define Z3F_TRACE_H

#include "access.h"

#pragma GCC visibility push(hidden)

void trace_event(u32 kind, u64 object, u32 size, u64 pc);
void trace_access(const struct access *a);
struct sim_event {
    u32 step;
    u16 task;
    u8 kind;                    /* enum point_kind or event_kind */
    u8 size;
    u32 program_at;
    u32 nr_stack;
    u64 clock;
    u64 object;
    u64 before;                 /* what was there */
    u64 pc;
    u64 undo;                   /* what the undo log held: undo_back_to() goes there again */
    u64 stack[12];
    u32 nr_held;
    u32 held[8];
};
extern struct sim_event *events;
extern u32 nr_events;
u32 trace_stack(u64 *pcs, u32 most);
void trace_reset(void);
void trace_free(void);

#pragma GCC visibility pop

#endif
