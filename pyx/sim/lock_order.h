/* The order of locks: what its two halves share, and what the rest of the simulator calls. */
#ifndef Z3F_LOCK_ORDER_H
#define Z3F_LOCK_ORDER_H

#include "sim.h"

#pragma GCC visibility push(hidden)

/* A lock that is held or waited for. */
struct order_lock {
    u32 offset;
    u32 life;                   /* of the memory that it lies in: how often that was reborn */
    int lock_class;
    u8 kind;                    /* enum point_kind of its acquisition */
    u32 name;                   /* number of its name: the word, or the class */
    u64 pc;
};

/* One step of a cycle: this task holds the one, and waits for the other. */
struct order_step {
    u32 cycle;                  /* its number: an execution may show several */
    u32 task;
    struct order_lock held, wanted;
};

extern struct order_step *order_steps;  /* of all cycles of this execution, one after the other */
extern u32 nr_order_steps;
extern u32 order_cycles;                /* how many that were not told before */
extern bool order_sure;                 /* their steps can meet; else orders were left aside */
extern u64 order_given_up;              /* searches for a cycle that were cut, in this world */
extern bool order_on;                   /* clocks are kept */

/* lock_order.c */
void lock_order_begin(void);                            /* an execution */
void lock_order_wanted(struct sim_task *t, const struct access *a, int lock_class);
void lock_order_reset(void);

/* order_clock.c: which task's past another's moment includes; only where order_on */
void order_clocks_begin(void);
void order_clocks_free(void);
void order_access(struct sim_task *t, const struct access *a);
u32 order_life(u64 offset);
u32 order_version(u32 task);                            /* changes with its clock */
const u32 *order_clock(u32 task);
extern u32 order_stride;

#pragma GCC visibility pop

#endif
