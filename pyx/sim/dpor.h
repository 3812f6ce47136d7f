/* What the two halves of the dpor strategy share: the search tree (strategy_dpor.c) and the
 * events of the execution at its tip, with who depends on whom (dpor_races.c). */
#ifndef Z3F_DPOR_H
#define Z3F_DPOR_H

#include "sim.h"

typedef unsigned __int128 task_set;

#define ONE(task) ((task_set)1 << (task))

enum { WATCHED = 63, WATCHED_REST = 63 };       /* the last bit: any word beyond these */

/* An operation at a point, and all accesses of its task up to its next point. */
struct event {
    u8 task, kind, writes;
    bool barrier;               /* was woken because nobody else could go on */
    u32 before;                 /* a lock's word as the operation found it */
    u32 size;
    u64 object;
    u64 touched;                /* watched words that it wrote besides its object: bits */
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
    u64 asleep_touched;         /* by the events that sleep, and by those done */
    u64 touched;                /* by the event that was chosen, any of its ways */
    u32 first_event;
    u8 task;                    /* chosen; of a decision: 0, then 1 */
    bool free_switch;           /* to go from here to another task is no preemption */
};

/* A word that somebody waits for, or that is a lock: who writes it otherwise is looked up in
 * the undo log. */
struct watched { u64 offset; u32 size; bool lock; };

/* A search that is under way, of its owner (sim.search): any number may be, in turns. */
struct search {
    struct node *nodes;
    u32 nr_nodes, max_nodes;
    struct event *events;       /* of the last execution */
    u32 *clocks;                /* of each event: how many events of each task come before */
    u32 nr_events, max_events;
    u32 analysed;               /* events whose races are known */
    struct watched watched[WATCHED];
    u32 nr_watched, nr_watched_then;
    bool more_watched;          /* than there is room for */
    u64 filter[16];             /* of watched words */
    u32 promoted_then;
    bool fresh;
    u64 restarted;
    double done;
};

extern struct search *search;

static inline bool synchronises(int kind) { return kind >= POINT_TRYLOCK && kind != POINT_YIELD; }

static inline bool bounded(void) { return sim.depth >= 0; }

/* dpor_races.c */
u64 dpor_watch(u64 offset, u32 size, int kind);
u64 dpor_touched(const struct undo *from, const struct undo *log_end, u64 object);
void dpor_pending(struct event *e, const struct sim_task *t);
bool dpor_dependent(const struct event *a, const struct event *b);
void dpor_room_for_event(void);
void dpor_analyse(void);

#endif
