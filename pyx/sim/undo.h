/* The log of overwritten words: see undo.c. */
#ifndef Z3F_UNDO_H
#define Z3F_UNDO_H

#include "memory.h"

#pragma GCC visibility push(hidden)

void undo_reset(void);
void undo_mark(void);
u64 undo_used(void);
void undo_back_to(u64 used);
bool undo_touches(u64 offset);
void undo_range(u64 offset, u64 size);
extern struct undo { u64 offset; u64 old; } *undo_next, *undo_end;
void undo_grow(void);
static inline void undo_word(u64 offset, u32 size)
{
    /* A naturally aligned access never crosses an 8-byte word: log that word. */
    ASSERT(offset + size <= memory.size && undo_next <= undo_end);
    if (unlikely(undo_next == undo_end))
        undo_grow();
    undo_next->offset = offset & ~7ull;
    undo_next->old = *(u64 *)(memory.base + (offset & ~7ull));
    undo_next++;
    if (unlikely(size > 8 - (offset & 7)))
        undo_range(offset, size);
}

#pragma GCC visibility pop

#endif
