/* Coverage of interleavings: which ordered pairs of conflicting lines two tasks have run one
 * after the other on the same memory (KRACE's alias coverage, S&P 2020), in a bitmap.
 *
 * An observer (observe.h) with a shadow of its own: of eight bytes the last write, and the last
 * read. Looks at nothing unless told to, and tells nobody but who asks for the count. */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

enum { BITS = 1 << 16 };

static u64 seen[BITS / 64];
static u32 total;

struct last { u32 pc; u32 execution; u8 task, from, to; };
static struct last *writes, *reads;
static u64 shadow;                      /* bytes of the arena that they are for */
static u32 execution;

void coverage_begin(void)
{
    if (!config.coverage_on)
        return;
    if (shadow != memory.size || ++execution == 0) {
        shadow = memory.size;
        execution = 1;
        free(writes);
        free(reads);
        writes = calloc(shadow / 8 + 1, sizeof(*writes));
        reads = calloc(shadow / 8 + 1, sizeof(*reads));
        if (!writes || !reads)
            abort();
    }
}

static void pair(const struct last *before, const struct last *now)
{
    u32 bit;

    if (before->execution != now->execution || before->task == now->task
            || before->from >= now->to || now->from >= before->to)
        return;
    bit = (u32)(sim_mix((u64)before->pc << 32 ^ now->pc) & (BITS - 1));
    if (seen[bit >> 6] >> (bit & 63) & 1)
        return;
    seen[bit >> 6] |= 1ull << (bit & 63);
    total++;
}

void coverage_access(const struct sim_task *t, const struct access *a)
{
    u64 end = a->offset + a->size;

    if (run.alone || a->kind == POINT_BIRTH || a->kind == POINT_DEATH || a->kind == POINT_POISON
            || access_is_hint(a))
        return;
    for (u64 at = a->offset; at < end; at = (at | 7) + 1) {
        u64 g = at >> 3;
        struct last now = { .pc = (u32)a->pc, .execution = execution, .task = (u8)t->index,
                            .from = at & 7, .to = end - g * 8 < 8 ? (u8)(end - g * 8) : 8 };

        pair(&writes[g], &now);
        if (a->writes) {
            pair(&reads[g], &now);
            writes[g] = now;
            reads[g].execution = 0;
        } else {
            reads[g] = now;
        }
    }
}

void coverage_reset(void)
{
    memset(seen, 0, sizeof(seen));
    total = 0;
}

u32 coverage_count(void)
{
    return total;
}
