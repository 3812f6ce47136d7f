/* The events of one execution, kept while recording: what a report is made of, and the hash by
 * which two executions are known to be the same. */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

struct sim_event *events;
u32 nr_events;
static u32 max_events;

enum { MOST_EVENTS = 1 << 20 };

static u64 value_at(u64 object, u32 size)
{
    u64 value = 0;

    if (size && size <= 8 && object + size <= memory.size)
        memcpy(&value, memory.base + object, size);
    return value;
}

/* The calls that led here, by frame pointers: the instrumented build keeps them. */
u32 trace_stack(u64 *pcs, u32 most)
{
    u64 *frame = __builtin_frame_address(0);
    u32 n = 0;

    while (frame && n < most) {
        u64 *next = (u64 *)frame[0];
        u64 pc = frame[1];

        if (pc < memory.module || pc - memory.module > 1ull << 31)
            break;
        pcs[n++] = pc - memory.module;
        if (next <= frame || (u64)((char *)next - (char *)frame) > 1 << 17)
            break;
        frame = next;
    }
    return n;
}

void trace_event(u32 kind, u64 object, u32 size, u64 pc)
{
    struct sim_task *t = run.running;
    struct sim_event *e;

    if (kind < EVENT_OP_BEGIN || kind == EVENT_FAIL || kind == EVENT_DIE)
        run.hash = sim_mix(run.hash ^ sim_mix((u64)kind << 56 | (u64)t->index << 48
                                              | t->accesses << 16 | (size & 0xff))
                           ^ (kind < EVENT_OP_BEGIN ? object : 0)
                           ^ value_at(kind < EVENT_OP_BEGIN ? object : 0, size));
    if (config.recording < 2 || nr_events == MOST_EVENTS)
        return;
    if (nr_events == max_events) {
        u32 room = max_events ? 2 * max_events : 1024;
        struct sim_event *more = realloc(events, room * sizeof(*events));

        if (!more)
            return;
        events = more;
        max_events = room;
    }
    e = &events[nr_events++];
    memset(e, 0, sizeof(*e));
    e->step = run.steps;
    e->task = (u16)t->index;
    e->kind = (u8)kind;
    e->size = (u8)size;
    e->program_at = t->program_at;
    e->clock = t->accesses;
    e->object = object;
    e->pc = pc;
    /* An access is told when the log has it already: its point was before that. */
    e->undo = kind == EVENT_ACCESS && e > events && e[-1].task == e->task
        && e[-1].clock == e->clock && e[-1].object == object ? e[-1].undo : undo_used();
    e->before = kind < EVENT_OP_BEGIN || kind == EVENT_ACCESS
        ? value_at(object, kind == EVENT_ACCESS ? size & 0x7f : size) : 0;
    e->nr_stack = trace_stack(e->stack, 12);
    e->nr_held = t->nr_held < 8 ? t->nr_held : 8;
    for (u32 i = 0; i < e->nr_held; i++)
        e->held[i] = t->held[i].offset;
}

/* The observer: what was announced is there already; here, that it was done. */
void trace_access(const struct access *a)
{
    switch (a->kind) {
    case POINT_LOAD:
    case POINT_STORE:
    case POINT_RMW:
    case POINT_POISON:
        trace_event(EVENT_ACCESS, a->offset,
                    (a->size > 127 ? 127 : a->size) | (a->writes ? 0x80 : 0), a->pc);
        break;
    case POINT_BIRTH:
    case POINT_DEATH:
        trace_event(a->kind == POINT_BIRTH ? EVENT_LIVES : EVENT_FREED, a->offset, 0, a->pc);
    }
}

void trace_reset(void)
{
    nr_events = 0;
}

void trace_free(void)
{
    free(events);
    events = NULL;
    nr_events = max_events = 0;
}
