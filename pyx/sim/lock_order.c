/* The order graph of lock classes, over all executions of an exploration, as lockdep's: an edge
 * where a lock of one class is waited for with one of another held. A cycle can deadlock, even
 * where no execution did. A try adds no edge to what it tries: it never waits. */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLASSES = 64, MAX_EDGES = 512 };

struct lock_edge lock_edges[MAX_EDGES];
u32 nr_lock_edges;
static u64 after[CLASSES];              /* classes that were taken with this one held */

static bool leads(u32 from, u32 to, u64 *seen)
{
    if (after[from] >> to & 1)
        return true;
    for (u32 i = 0; i < CLASSES; i++)
        if ((after[from] >> i & 1) && !(*seen >> i & 1)) {
            *seen |= 1ull << i;
            if (leads(i, to, seen))
                return true;
        }
    return false;
}

static void add_edge(u32 from, u32 to, u64 from_pc, u64 to_pc)
{
    struct lock_edge *e = &lock_edges[nr_lock_edges];
    u64 seen = 0;

    after[from] |= 1ull << to;
    if (nr_lock_edges == MAX_EDGES)
        return;
    nr_lock_edges++;
    e->from = (u8)from;
    e->to = (u8)to;
    e->from_pc = from_pc;
    e->to_pc = to_pc;
    e->nr_taken = sim.nr_taken;
    e->taken = malloc((sim.nr_taken + 1) * sizeof(struct sim_choice));
    if (e->taken)
        memcpy(e->taken, sim.taken, sim.nr_taken * sizeof(struct sim_choice));
    if (from == to || leads(to, from, &seen)) {
        sim.order_edge = nr_lock_edges;
        sim.order_task = sim.running->index;
    }
}

void lock_order_acquired(struct sim_task *t, int lock_class, u64 pc)
{
    for (u32 i = 0; i < t->nr_held; i++)
        if (unlikely(!(after[t->held_class[i]] >> lock_class & 1)))
            add_edge(t->held_class[i], (u32)lock_class, t->held_pc[i], pc);
}

void lock_order_reset(void)
{
    for (u32 i = 0; i < nr_lock_edges; i++)
        free(lock_edges[i].taken);
    nr_lock_edges = 0;
    memset(after, 0, sizeof(after));
}
