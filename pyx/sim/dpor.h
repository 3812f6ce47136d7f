/* What the two halves of the dpor strategy share: the search tree (strategy_dpor.c) and the
 * events of the execution at its tip, with who depends on whom (dpor_races.c). */
#ifndef Z3F_DPOR_H
#define Z3F_DPOR_H

#include "sim.h"

typedef unsigned __int128 task_set;

#define ONE(task) ((task_set)1 << (task))

/* An access at a point, and all that its task does up to its next point. */
struct event {
    struct access access;       /* as it was done: a try that failed does not write */
    u8 task;
    bool barrier;               /* was woken because nobody else could go on */
    u32 before;                 /* a lock's word as the operation found it */
    int previous;               /* event of the same task, or -1 */
    int node;                   /* where it was chosen; -1: nobody else could go on */
};

/* A point where there was a choice, or a decision. */
struct node {
    task_set enabled;           /* none: a decision */
    task_set allowed;           /* by the bound */
    task_set backtrack;         /* to be tried; what is done is in it */
    task_set done;
    task_set asleep;            /* at entry: whatever they begin was seen elsewhere */
    u32 first_event;
    u8 task;                    /* chosen; of a decision: 0, then 1 */
    bool free_switch;           /* to go from here to another task is no preemption */
};

/* A search that is under way, of its owner (schedule.search): any number may be, in turns. */
struct search {
    struct node *nodes;
    u32 nr_nodes, max_nodes;
    struct event *events;       /* of the last execution */
    u32 *clocks;                /* of each event: how many events of each task come before */
    u32 nr_events, max_events;
    u32 analysed;               /* events whose races are known */
    u32 learnt_then;
    bool fresh;
    u64 restarted;
    double done;
};

extern struct search *search;

static inline bool is_lock(int kind)
{
    return (kind >= POINT_TRYLOCK && kind <= POINT_WRITE_UNLOCK)
        || (kind >= POINT_LOCK && kind <= POINT_FREE);
}

static inline bool bounded(void) { return config.depth >= 0; }

/* dpor_races.c */
void dpor_pending(struct event *e, const struct sim_task *t);
bool dpor_dependent(const struct event *a, const struct event *b);
void dpor_room_for_event(void);
void dpor_analyse(void);

#endif
