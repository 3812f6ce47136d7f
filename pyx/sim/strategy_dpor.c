/* Dynamic partial order reduction: source sets and sleep sets (Abdulla, Aronis, Jonsson and
 * Sagonas, JACM 2017; Flanagan and Godefroid, POPL 2005). At least one execution of every class
 * of executions that differ in the order of independent events only; all deadlocks, all final
 * states, all verdicts of a task. With a bound on preemptions: conservative points as in
 * dpor_races.c, and no sleep sets; that this loses nothing is tested, not proved.
 *
 * The tree is kept as a stack of nodes, and with it the events of its tip: an execution repeats
 * the events up to the last node where something is left, and goes on from there. Injected
 * failures and deaths are tried both ways. A switch forced by "only one can go on" is no node.
 *
 * Not preserved by reordering independent events, and so judged only for the executions that are
 * run: the real-time order that linearizability looks at, and op.audit() in the middle of a
 * program, which reads everything. */
#include "dpor.h"

#include <stdlib.h>
#include <string.h>

enum { LOOKED_AT = 64 };

struct search *search;

static u32 depth, nr_executed;
static int chosen_at;                   /* the node of the event that comes next; or -1 */
static task_set asleep;
static bool lost, settled;
static int last_of[SIM_TASKS];          /* the last event of each task */
static void (*host_body)(u32 index);

static void forget(void)
{
    search->nr_nodes = search->nr_events = search->analysed = 0;
    search->done = 0;
    search->learnt_then = learnt;
    search->restarted = run.execution;
    search->fresh = true;
}

static void prepare(void)
{
    bool fresh = !schedule.search;

    if (fresh && !(schedule.search = calloc(1, sizeof(*search))))
        abort();
    search = schedule.search;
    if (fresh)
        forget();
    schedule.restarted = search->restarted;
    schedule.share_done = search->done;
}

static bool changed(void)
{
    return learnt != search->learnt_then;
}

/* Whether there is another way at the last node; takes it. */
static bool next_at(struct node *node)
{
    task_set left;

    if (!node->enabled)
        return node->task++ == 0;
    node->done |= ONE(node->task);
    left = node->backtrack & ~node->done & ~node->asleep;
    for (u32 i = 0; i < run.nr_tasks; i++)
        if (left & ONE(i)) {
            node->task = (u8)i;
            return true;
        }
    return false;
}

static void settle(void);

/* The finish task's writes are not the last event's. */
static void body(u32 index)
{
    if (index == run.nr_tasks + 1)
        settle();
    host_body(index);
}

static bool begin(void)
{
    struct node *last;

    depth = nr_executed = 0;
    chosen_at = -1;
    asleep = 0;
    lost = false;
    settled = true;
    if (changed()) {
        forget();
        schedule.restarted = search->restarted;
    }
    if (!search->fresh) {
        while (search->nr_nodes && !next_at(&search->nodes[search->nr_nodes - 1]))
            search->nr_nodes--;
        if (!search->nr_nodes) {
            schedule.share_done = search->done = 1;
            return false;
        }
        last = &search->nodes[search->nr_nodes - 1];
        ASSERT(!(last->done & ~last->backtrack) && last->first_event <= search->nr_events);
        ASSERT(!last->enabled || (last->enabled & ONE(last->task)));
        search->nr_events = last->first_event;
        search->analysed = last->first_event;
        if (!last->enabled && last->first_event)
            search->analysed--;         /* the decision changes what this event does */
    }
    search->fresh = false;
    memset(last_of, -1, sizeof(last_of));
    host_body = run.host.body;
    run.host.body = body;
    return true;
}

_Noreturn static void cannot_follow(void)
{
    sim_end(changed() ? END_PRUNED : END_REPLAY_LOST);
}

/* The last event is over: whom it wakes. */
static void settle(void)
{
    struct event *e, pending;

    if (settled)
        return;
    settled = true;
    e = &search->events[nr_executed - 1];
    if (!asleep)
        return;
    for (u32 i = 0; i < run.nr_tasks; i++) {
        if (!(asleep & ONE(i)))
            continue;
        dpor_pending(&pending, &run.task[i]);
        if (dpor_dependent(e, &pending))
            asleep &= ~ONE(i);
    }
}

static struct node *push_node(void)
{
    struct node *node;

    if (search->nr_nodes == search->max_nodes) {
        search->max_nodes = search->max_nodes ? 2 * search->max_nodes : 1024;
        search->nodes = realloc(search->nodes, search->max_nodes * sizeof(struct node));
        if (!search->nodes)
            abort();
    }
    node = &search->nodes[search->nr_nodes++];
    memset(node, 0, sizeof(*node));
    node->first_event = nr_executed;
    return node;
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

static void new_node(const u8 *enabled, u32 n, int running, task_set all)
{
    u32 usual = usual_of(enabled, n, running), i;
    struct node *node;

    for (i = 0; i < n && asleep & ONE(enabled[(usual + i) % n]); i++)
        ;
    if (i == n)
        sim_end(END_PRUNED);
    node = push_node();
    node->task = enabled[(usual + i) % n];
    node->enabled = node->allowed = all;
    node->backtrack = ONE(node->task);
    node->asleep = asleep;
    node->free_switch = running < 0 || run.task[enabled[running]].next.kind == POINT_YIELD;
    if (bounded() && !node->free_switch && sim_preemptions() >= (u32)config.depth)
        node->allowed = ONE(node->task);
}

static u32 choose(const u8 *enabled, u32 n, int running)
{
    struct node *node;
    task_set all = 0;

    settle();
    if (lost)
        cannot_follow();
    for (u32 i = 0; i < n; i++)
        all |= ONE(enabled[i]);
    if (depth == search->nr_nodes)
        new_node(enabled, n, running, all);
    node = &search->nodes[depth];
    if (node->enabled != all || node->first_event != nr_executed)
        cannot_follow();
    chosen_at = (int)depth++;
    asleep = bounded() ? 0 : (node->asleep | node->done) & ~ONE(node->task);
    for (u32 i = 0; i < n; i++)
        if (enabled[i] == node->task)
            return i;
    cannot_follow();
}

static bool decide(u32 what)
{
    (void)what;
    if (depth == search->nr_nodes)
        push_node();
    else if (search->nodes[depth].enabled || search->nodes[depth].first_event != nr_executed)
        cannot_follow();
    return search->nodes[depth++].task;
}

static void executed(u32 task)
{
    const struct sim_task *t = &run.task[task];
    struct event *e, now;

    settle();
    if (asleep & ONE(task))
        sim_end(END_PRUNED);            /* nobody else can go on, and this was seen: no event of an
                                           execution is one of a task that is asleep */
    dpor_pending(&now, t);
    now.node = chosen_at;
    if (nr_executed < search->nr_events) {
        e = &search->events[nr_executed];
        if (e->task != now.task || e->access.kind != now.access.kind
                || e->access.offset != now.access.offset || e->node != now.node)
            lost = true;
    } else {
        dpor_room_for_event();
        e = &search->events[search->nr_events++];
        *e = now;
        e->previous = last_of[task];
    }
    last_of[task] = (int)nr_executed++;
    chosen_at = -1;
    settled = false;
    schedule.doing = &search->events[nr_executed - 1].access;
}

/* What is done at the root, and of the rest what is done below it, and so on. */
static double share_done(void)
{
    double done = 0, share = 1;

    for (u32 i = 0; i < search->nr_nodes && i < LOOKED_AT; i++) {
        const struct node *node = &search->nodes[i];
        double ways = 2, tried = node->task;

        if (node->enabled) {
            task_set all = node->backtrack & ~node->asleep;

            ways = __builtin_popcountll((u64)all) + __builtin_popcountll((u64)(all >> 64));
            all &= node->done;
            tried = __builtin_popcountll((u64)all) + __builtin_popcountll((u64)(all >> 64));
        }
        done += share * tried / ways;
        share /= ways;
    }
    return done;
}

static void end(void)
{
    run.host.body = host_body;
    schedule.doing = NULL;              /* what an execution that ended did not complete */
    settle();
    if ((lost || nr_executed < search->nr_events) && !changed())
        run.ending = END_REPLAY_LOST;
    if (changed() || run.ending == END_REPLAY_LOST)
        return;                         /* it begins anew */
    dpor_analyse();
    schedule.share_done = search->done = share_done();
}

static void drop(void *dropped)
{
    struct search *s = dropped;

    free(s->nodes);
    free(s->events);
    free(s->clocks);
    free(s);
}

const struct strategy strategy_dpor = {
    "dpor", prepare, begin, choose, decide, executed, end, drop,
};
