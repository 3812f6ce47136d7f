/* The log of overwritten words: puts the arena back as it was after set-up.
 *
 * Costs what an execution wrote, whatever the arena's size. Ranges (memcpy, memset) are logged
 * as words too; the log grows as it must and is kept. */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK = 1 };                     /* in an offset, which is a multiple of 8 */

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

/* A range: its bytes, then an entry that says where they go; read backwards. */
void undo_range(u64 offset, u64 size)
{
    u64 start = offset & ~7ull;
    u64 bytes = (offset + size - start + 15) & ~15ull;
    u64 entries = bytes / sizeof(struct undo);

    if (start + bytes > memory.size)
        bytes = memory.size - start;
    while (unlikely((u64)(undo_end - undo_next) < entries + 1))
        undo_grow();
    memcpy(undo_next, memory.base + start, bytes);
    undo_next += entries;
    undo_next->offset = start | BLOCK;
    undo_next->old = bytes;
    undo_next++;
}

/* How far the log goes now. */
u64 undo_used(void)
{
    return (u64)(undo_next - undo_start);
}

/* The arena as it was when the log went so far. */
void undo_back_to(u64 used)
{
    struct undo *u = undo_next;

    ASSERT(used <= undo_used());
    while (u > undo_start + used) {
        u--;
        if (unlikely(u->offset & BLOCK)) {
            u64 bytes = u->old;
            u64 start = u->offset & ~(u64)BLOCK;

            u -= (bytes + 15) / sizeof(struct undo);
            ASSERT(u >= undo_start + used && start + bytes <= memory.size);
            memcpy(memory.base + start, u, bytes);
        } else {
            ASSERT(u->offset % 8 == 0 && u->offset + 8 <= memory.size);
            *(u64 *)(memory.base + u->offset) = u->old;
        }
    }
    undo_next = u;
}

void undo_reset(void)
{
    undo_back_to(0);
}

void undo_mark(void)
{
    undo_next = undo_start;
}

/* Whether anything from this offset on was written to. */
bool undo_touches(u64 offset)
{
    const struct undo *u = undo_next;

    while (u != undo_start) {
        u--;
        if ((u->offset & ~(u64)BLOCK) >= offset)
            return true;
        if (u->offset & BLOCK)
            u -= (u->old + 15) / sizeof(struct undo);
    }
    return false;
}
