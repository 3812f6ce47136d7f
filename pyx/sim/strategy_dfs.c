/* Depth-first search over all schedules, with a bound on preemptions (Musuvathi and Qadeer,
 * PLDI 2007) or on delays (Emmi, Qadeer and Rakamaric, POPL 2011), or with none.
 *
 * No reduction: what it calls complete is complete. The share of the tree that is done is
 * Knuth's estimate, exact at the end. When an access is promoted to a schedule point the tree
 * has changed, and the search begins anew. */
#include "sim.h"

#include <stdlib.h>

static struct node {
    u32 first;                          /* of its options, in `options` */
    u8 n;                               /* options that the bound allows */
    u8 at;                              /* the one that is taken */
    u8 cost;                            /* delays of that one */
} *nodes;
static u32 nr_nodes, max_nodes, depth;
static u8 *options;
static u32 nr_options, max_options;
static u32 promoted_then, delays;
static double share, done;

static void forget(void)
{
    nr_nodes = nr_options = 0;
    done = 0;
    promoted_then = sim.nr_promoted;
    sim.restarted = sim.execution;
}

static void prepare(void)
{
    forget();
    sim.restarted = 0;
    sim.share_done = 0;
}

static bool begin(void)
{
    depth = delays = 0;
    share = 1;
    if (sim.nr_promoted != promoted_then) {
        forget();
        return true;
    }
    if (sim.execution == sim.restarted)
        return true;
    while (nr_nodes && nodes[nr_nodes - 1].at + 1 == nodes[nr_nodes - 1].n) {
        nr_options = nodes[nr_nodes - 1].first;
        nr_nodes--;
    }
    if (!nr_nodes)
        return false;
    nodes[nr_nodes - 1].at++;
    return true;
}

static void push_option(u8 task)
{
    if (nr_options == max_options) {
        max_options = max_options ? 2 * max_options : 4096;
        options = realloc(options, max_options);
        if (!options)
            abort();
    }
    options[nr_options++] = task;
}

static struct node *push_node(void)
{
    if (nr_nodes == max_nodes) {
        max_nodes = max_nodes ? 2 * max_nodes : 1024;
        nodes = realloc(nodes, max_nodes * sizeof(*nodes));
        if (!nodes)
            abort();
    }
    nodes[nr_nodes] = (struct node){ nr_options, 0, 0, 0 };
    depth = nr_nodes + 1;
    return &nodes[nr_nodes++];
}

static u32 usual_of(const u8 *enabled, u32 n, int running)
{
    if (running >= 0 && sim.task[enabled[running]].kind != POINT_YIELD)
        return (u32)running;
    for (u32 i = 0; sim.running && i < n; i++)
        if (enabled[i] > sim.running->index)
            return i;
    return 0;
}

static u32 choose(const u8 *enabled, u32 n, int running)
{
    struct node *node;
    u32 usual = usual_of(enabled, n, running), i;
    bool forced = running < 0 || sim.task[enabled[running]].kind == POINT_YIELD;
    u32 allowed = n;

    if (depth < nr_nodes) {
        node = &nodes[depth++];
    } else {
        if (sim.delay_bound >= 0)
            allowed = (u32)sim.delay_bound - delays + 1;
        else if (!forced && sim.depth >= 0 && sim.preemptions >= (u32)sim.depth)
            allowed = 1;
        node = push_node();
        for (i = 0; i < n && i < allowed; i++)
            push_option(enabled[(usual + i) % n]);
        node->n = (u8)(nr_options - node->first);
    }
    share /= node->n;
    if (sim.delay_bound >= 0)
        delays += node->at;
    for (i = 0; i < n; i++)
        if (enabled[i] == options[node->first + node->at])
            return i;
    sim_end(END_REPLAY_LOST);
}

static bool decide(u32 what)
{
    struct node *node;

    (void)what;
    if (depth < nr_nodes) {
        node = &nodes[depth++];
    } else {
        node = push_node();
        push_option(0);
        push_option(1);
        node->n = 2;
    }
    share /= node->n;
    return options[node->first + node->at];
}

static void end(void)
{
    done += share;
    sim.share_done = done;
}

const struct strategy strategy_dfs = {
    "dfs", prepare, begin, choose, decide, NULL, end,
};
