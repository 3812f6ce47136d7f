/* The log of overwritten words: puts the arena back as it was after set-up.
 *
 * Costs what an execution wrote, whatever the arena's size. Ranges (memcpy, memset) are logged
 * as words too; the log grows as it must and is kept. */
#include "sim.h"

#include <stdlib.h>

struct undo *undo_next, *undo_end;
static struct undo *undo_start;

void undo_grow(void)
{
    u64 used = (u64)(undo_next - undo_start);
    u64 room = undo_end == undo_start ? 4096 : 2 * used;
    struct undo *bigger = realloc(undo_start, room * sizeof(struct undo));

    if (!bigger)
        abort();                        /* nothing can be put back any more */
    undo_start = bigger;
    undo_next = bigger + used;
    undo_end = bigger + room;
}

void undo_range(u64 offset, u64 size)
{
    u64 at = offset & ~7ull;

    for (; at < offset + size; at += 8) {
        if (unlikely(undo_next == undo_end))
            undo_grow();
        undo_next->offset = at;
        undo_next->old = *(u64 *)(sim.base + at);
        undo_next++;
    }
}

void undo_reset(void)
{
    struct undo *u = undo_next;

    while (u != undo_start) {
        u--;
        *(u64 *)(sim.base + u->offset) = u->old;
    }
    undo_next = undo_start;
}

void undo_mark(void)
{
    undo_next = undo_start;
}

/* Whether anything from this offset on was written to. */
bool undo_touches(u64 offset)
{
    for (const struct undo *u = undo_start; u != undo_next; u++)
        if (u->offset >= offset)
            return true;
    return false;
}
