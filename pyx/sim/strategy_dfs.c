/* Depth-first search over all schedules, with a bound on preemptions (Musuvathi and Qadeer,
 * PLDI 2007) or on delays (Emmi, Qadeer and Rakamaric, POPL 2011), or with none.
 *
 * No reduction: what it calls complete is complete. The share of the tree that is done is
 * Knuth's estimate, exact at the end. When an access is promoted to a schedule point the tree
 * has changed, and the search begins anew. */
#include "sim.h"

#include <stdlib.h>

struct node {
    u32 first;                          /* of its options, in `options` */
    u8 n;                               /* options that the bound allows */
    u8 at;                              /* the one that is taken */
};

/* A search that is under way, of its owner (schedule.search): any number may be, in turns. */
static struct tree {
    struct node *nodes;
    u32 nr_nodes, max_nodes;
    u8 *options;
    u32 nr_options, max_options;
    u32 learnt_then;
    bool fresh;                         /* nothing was done since it began, or began anew */
    u64 restarted;
    double done;
} *tree;

static u32 depth, delays;
static double share;

static void forget(void)
{
    tree->nr_nodes = tree->nr_options = 0;
    tree->done = 0;
    tree->learnt_then = learnt;
    tree->restarted = run.execution;
    tree->fresh = true;
}

static void prepare(void)
{
    bool fresh = !schedule.search;

    if (fresh && !(schedule.search = calloc(1, sizeof(*tree))))
        abort();
    tree = schedule.search;
    if (fresh)
        forget();
    schedule.restarted = tree->restarted;
    schedule.share_done = tree->done;
}

static bool begin(void)
{
    struct node *last;

    depth = delays = 0;
    share = 1;
    if (learnt != tree->learnt_then) {
        forget();
        schedule.restarted = tree->restarted;
    }
    if (tree->fresh) {
        tree->fresh = false;
        return true;
    }
    while (tree->nr_nodes) {
        last = &tree->nodes[tree->nr_nodes - 1];
        if (last->at + 1 < last->n)
            break;
        tree->nr_options = last->first;
        tree->nr_nodes--;
    }
    if (!tree->nr_nodes)
        return false;
    tree->nodes[tree->nr_nodes - 1].at++;
    return true;
}

static void push_option(u8 task)
{
    if (tree->nr_options == tree->max_options) {
        tree->max_options = tree->max_options ? 2 * tree->max_options : 4096;
        tree->options = realloc(tree->options, tree->max_options);
        if (!tree->options)
            abort();
    }
    tree->options[tree->nr_options++] = task;
}

static struct node *push_node(void)
{
    if (tree->nr_nodes == tree->max_nodes) {
        tree->max_nodes = tree->max_nodes ? 2 * tree->max_nodes : 1024;
        tree->nodes = realloc(tree->nodes, tree->max_nodes * sizeof(struct node));
        if (!tree->nodes)
            abort();
    }
    tree->nodes[tree->nr_nodes] = (struct node){ tree->nr_options, 0, 0 };
    depth = tree->nr_nodes + 1;
    return &tree->nodes[tree->nr_nodes++];
}

static u32 usual_of(const u8 *enabled, u32 n, int running)
{
    if (running >= 0 && run.task[enabled[running]].next.kind != POINT_YIELD)
        return (u32)running;
    for (u32 i = 0; run.running && i < n; i++)
        if (enabled[i] > run.running->index)
            return i;
    return 0;
}

static u32 choose(const u8 *enabled, u32 n, int running)
{
    struct node *node;
    u32 usual = usual_of(enabled, n, running), i;
    bool forced = running < 0 || run.task[enabled[running]].next.kind == POINT_YIELD;
    u32 allowed = n;

    if (depth < tree->nr_nodes) {
        node = &tree->nodes[depth++];
    } else {
        if (config.delay_bound >= 0)
            allowed = (u32)config.delay_bound - delays + 1;
        else if (!forced && config.depth >= 0 && sim_preemptions() >= (u32)config.depth)
            allowed = 1;
        node = push_node();
        for (i = 0; i < n && i < allowed; i++)
            push_option(enabled[(usual + i) % n]);
        node->n = (u8)(tree->nr_options - node->first);
    }
    ASSERT(node->at < node->n && node->first + node->n <= tree->nr_options);
    ASSERT(depth <= tree->nr_nodes);
    share /= node->n;
    if (config.delay_bound >= 0)
        delays += node->at;
    for (i = 0; i < n; i++)
        if (enabled[i] == tree->options[node->first + node->at])
            return i;
    /* Accesses were promoted on the way: the search begins anew. */
    sim_end(learnt != tree->learnt_then ? END_PRUNED : END_REPLAY_LOST);
}

static bool decide(u32 what)
{
    struct node *node;

    (void)what;
    if (depth < tree->nr_nodes) {
        node = &tree->nodes[depth++];
    } else {
        node = push_node();
        push_option(0);
        push_option(1);
        node->n = 2;
    }
    share /= node->n;
    return tree->options[node->first + node->at];
}

static void end(void)
{
    tree->done += share;
    ASSERT(tree->done < 1 + 1e-6);
    schedule.share_done = tree->done;
}

static void drop(void *search)
{
    struct tree *dropped = search;

    free(dropped->nodes);
    free(dropped->options);
    free(dropped);
}

const struct strategy strategy_dfs = {
    "dfs", prepare, begin, choose, decide, NULL, end, drop,
};
