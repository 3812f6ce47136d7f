/* Dependence, happens-before, and the races whose reversal the dpor strategy has to try.
 *
 * An event is an access at a point and all that its task does up to its next point. Two events
 * depend on each other when their accesses do (access.h). Accesses between points are not
 * compared: the race detector sees every access, those of locks and waits and the lives of
 * allocations too, and makes points of those that conflict where nothing orders them.
 *
 * An operation that may wait is not enabled before every event that it depends on: it races with
 * the last one before which it could have gone on (Flanagan and Godefroid's "may be co-enabled":
 * a lock races with the last acquire, not with the unlock that let it go on). */
#include "dpor.h"

#include <stdlib.h>
#include <string.h>

/* --- dependence --- */

/* What a task is about to do, as if it did it now. */
void dpor_pending(struct event *e, const struct sim_task *t)
{
    e->task = (u8)t->index;
    e->access = t->next;
    e->before = is_lock(t->next.kind) ? *(u32 *)(memory.base + t->next.offset) : 0;
    if (t->next.kind == POINT_TRYLOCK && e->before & OWNER_MASK)
        e->access.writes = false;
    e->barrier = t->next.kind == POINT_WORK && t->woken;
    e->previous = e->node = -1;
}

bool dpor_dependent(const struct event *a, const struct event *b)
{
    return accesses_conflict(&a->access, &b->access);
}

/* --- happens-before --- */

static u32 nr;                          /* tasks: words of a clock */

static inline u32 *clock_of(u32 event) { return search->clocks + (u64)event * nr; }

static inline bool before(u32 a, const u32 *clock)
{
    return clock[search->events[a].task] > a;
}

static inline void join(u32 *clock, const u32 *other)
{
    for (u32 i = 0; i < nr; i++)
        if (other[i] > clock[i])
            clock[i] = other[i];
}

void dpor_room_for_event(void)
{
    if (likely(search->nr_events + 1 < search->max_events))
        return;
    search->max_events = search->max_events ? 2 * search->max_events : 512;
    search->events = realloc(search->events, search->max_events * sizeof(struct event));
    search->clocks = realloc(search->clocks, (u64)search->max_events * SIM_TASKS * sizeof(u32));
    if (!search->events || !search->clocks)
        abort();
}

/* Walks back over the events of other tasks that do not happen before `clock`, the latest first.
 * -1: no more. */
struct walk { int at[SIM_TASKS]; };

static int last_of[SIM_TASKS];          /* the last event of each task, of those analysed */

static int walk_back(struct walk *w, const u32 *clock, u32 but)
{
    int last = -1;

    for (u32 i = 0; i < nr; i++)
        if (i != but && w->at[i] > last && (u32)w->at[i] >= clock[i])
            last = w->at[i];
    if (last >= 0)
        w->at[search->events[last].task] = search->events[last].previous;
    return last;
}

/* --- what to try --- */

/* The first events of what could be executed instead of event `a`, so that `b` comes before it:
 * all between them that does not come after a, then b (Abdulla et al.: a source set must meet
 * the initials of this sequence). `past`: the clock of what b needs. */
static void reverse(u32 a, u32 b, const u32 *past)
{
    const struct event *later = &search->events[b];
    struct node *node;
    task_set initials = 0, seen = 0;
    u32 first[SIM_TASKS];
    bool is_initial;

    if (search->events[a].node < 0)
        return;
    node = &search->nodes[search->events[a].node];
    for (u32 i = a + 1; i < b; i++) {
        u32 task = search->events[i].task;

        if (before(a, clock_of(i)) || seen & ONE(task))
            continue;
        is_initial = true;
        for (u32 k = 0; k < nr && is_initial; k++)
            is_initial = !(seen & ONE(k)) || !before(first[k], clock_of(i));
        seen |= ONE(task);
        first[task] = i;
        if (is_initial)
            initials |= ONE(task);
    }
    if (!(seen & ONE(later->task))) {
        is_initial = true;
        for (u32 k = 0; k < nr && is_initial; k++)
            is_initial = !(seen & ONE(k)) || !before(first[k], past);
        if (is_initial)
            initials |= ONE(later->task);
    }
    if (initials & (node->backtrack | node->asleep))
        return;
    initials &= node->enabled;
    if (!initials)
        node->backtrack |= node->enabled;
    else if (initials & ONE(later->task))
        node->backtrack |= ONE(later->task);
    else
        node->backtrack |= initials & -initials;
}

static void try_at(int node_number, u32 task)
{
    struct node *node;

    if (node_number < 0)
        return;
    node = &search->nodes[node_number];
    node->backtrack |= node->allowed & (node->enabled & ONE(task) ? ONE(task) : node->enabled);
}

/* With a bound (Coons, Musuvathi and McKinley, OOPSLA 2013): also where a's task was switched to,
 * and at its yields since, for these switches cost nothing more. */
static void reverse_bounded(u32 a, u32 task)
{
    u32 i = a;

    try_at(search->events[a].node, task);
    for (; i && search->events[i - 1].task == search->events[a].task; i--)
        if (search->events[i].node >= 0 && search->nodes[search->events[i].node].free_switch)
            try_at(search->events[i].node, task);
    try_at(search->events[i].node, task);
}

enum answer { NO, YES, UNKNOWN };

/* Could b, which may have to wait, have gone on before a? */
static enum answer could_go(const struct event *b, u32 a)
{
    const struct event *e = &search->events[a];

    if (b->previous < (int)a)           /* it was waiting already */
        return e->node >= 0 && search->nodes[e->node].enabled & ONE(b->task) ? YES : NO;
    if (!is_lock(e->access.kind) || e->access.offset != b->access.offset)
        return UNKNOWN;
    switch (b->access.kind) {
    case POINT_LOCK:
    case POINT_FREE:
    case POINT_READ_LOCK:
        return e->before & OWNER_MASK ? NO : YES;
    case POINT_WRITE_LOCK:
        return e->before ? NO : YES;
    default:
        return UNKNOWN;
    }
}

static int last_barrier;

/* The races of event b with those before it, and its clock. */
static void analyse(u32 b)
{
    const struct event *e = &search->events[b];
    u32 *clock = clock_of(b), past[SIM_TASKS];
    bool waits = e->access.kind >= POINT_LOCK;
    u32 races[SIM_TASKS], nr_races = 0;
    enum answer answer;
    struct walk w;
    int a;

    memset(clock, 0, nr * sizeof(u32));
    if (e->previous >= 0)
        join(clock, clock_of((u32)e->previous));
    if (last_barrier >= 0)
        join(clock, clock_of((u32)last_barrier));
    memcpy(past, clock, nr * sizeof(u32));
    memcpy(w.at, last_of, sizeof(last_of));
    if (e->barrier) {
        for (u32 i = 0; i < nr; i++)
            if (w.at[i] >= 0)
                clock[i] = (u32)w.at[i] + 1;
        clock[e->task] = b + 1;
        return;
    }
    while ((a = walk_back(&w, clock, e->task)) >= 0) {
        if (!dpor_dependent(&search->events[a], e))
            continue;
        join(clock, clock_of((u32)a));
        if (nr_races < SIM_TASKS)
            races[nr_races++] = (u32)a;
    }
    clock[e->task] = b + 1;
    if (!waits && !bounded()) {
        for (u32 i = 0; i < nr_races; i++)
            reverse(races[i], b, clock);
        return;
    }
    memcpy(w.at, last_of, sizeof(last_of));
    while ((a = walk_back(&w, past, e->task)) >= 0) {
        if (!dpor_dependent(&search->events[a], e))
            continue;
        if (bounded()) {
            reverse_bounded((u32)a, e->task);
            continue;
        }
        answer = could_go(e, (u32)a);
        if (answer != NO)
            reverse((u32)a, b, past);
        if (answer == YES)
            break;
    }
}

/* The last event stopped the whole execution by a verdict: it depends on all that would have
 * been done after it, so whoever could have gone on instead has to. */
static void something_instead_of_last(void)
{
    u32 last = search->nr_events - 1;
    int node = search->events[last].node;

    if (!bounded()) {
        if (node >= 0)
            search->nodes[node].backtrack |= search->nodes[node].enabled;
        return;
    }
    for (u32 task = 0; task < nr; task++)
        reverse_bounded(last, task);
}

static bool stopped_by_verdict(void)
{
    return run.ending == END_VERDICT && verdict.task < run.nr_tasks
        && strcmp(verdict.where, "deadlock") && strcmp(verdict.where, "wait")
        && strcmp(verdict.where, "linearizability");
}

static void analysed(u32 event)
{
    last_of[search->events[event].task] = (int)event;
    if (search->events[event].barrier)
        last_barrier = (int)event;
}

/* Whether t waits, and will not go on in this execution. With a bound, whoever is not done: the
 * bound may not have let it go on before a verdict. */
static bool waits_for_ever(const struct sim_task *t, bool stopped)
{
    const struct event *last = &search->events[search->nr_events - 1];

    if (t->state != TASK_WAITING || (t->next.kind < POINT_LOCK && !bounded()))
        return false;
    if (bounded())
        return true;
    if (stopped && t->index != last->task)      /* the last event may have let it go on, too late */
        return last->node < 0 || !(search->nodes[last->node].enabled & ONE(t->index));
    return t->next.kind == POINT_WORK || !sim_can_go(t);
}

/* After an execution. What waits for ever races with what made it wait. */
void dpor_analyse(void)
{
    bool stopped = search->nr_events && stopped_by_verdict();

    nr = run.nr_tasks;
    last_barrier = -1;
    memset(last_of, -1, sizeof(last_of));
    dpor_room_for_event();
    for (u32 i = 0; i < search->analysed; i++)
        analysed(i);
    for (u32 i = search->analysed; i < search->nr_events; i++) {
        analyse(i);
        analysed(i);
    }
    search->analysed = search->nr_events;
    if (stopped)
        something_instead_of_last();
    for (u32 task = 0; task < nr; task++) {
        const struct sim_task *t = &run.task[task];
        struct event *e = &search->events[search->nr_events];

        if (!waits_for_ever(t, stopped))
            continue;
        dpor_pending(e, t);
        e->barrier = false;
        e->previous = last_of[task];
        analyse(search->nr_events);
    }
}
