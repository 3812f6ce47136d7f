/* What processes that check their accesses share, beside the arena: watchpoints, what each task
 * did, and the accesses that were found at fault. Filled by watch.c, read by face/watch.pxi. */
#ifndef Z3F_WATCH_H
#define Z3F_WATCH_H

#include <stdbool.h>
#include <stdint.h>

enum {
    WATCH_POINTS = 256,
    WATCH_REPORTS = 16,
    WATCH_TASKS = 64,
    WATCH_CALLS = 6,
    WATCH_HELD = 8,
    WATCH_HELD_BYTES = 16,      /* of a held_t, base/layout.pxi */
    WATCH_REASONS = 8,          /* known races are counted by reason */
};

enum watch_fault {
    FAULT_NONE,                 /* "none" */
    FAULT_RACE,                 /* "race": both sides were seen */
    FAULT_CHANGED,              /* "changed": the value; nobody was seen */
    FAULT_FREED,                /* "freed" */
    FAULT_OUTSIDE,              /* "outside": the object that it works on */
};

/* One access: a side of a race, or an access at fault. */
struct watch_side {
    uint64_t object;            /* offset in the arena */
    uint64_t pc;                /* in the module, as all program counters here */
    uint64_t calls[WATCH_CALLS];
    uint32_t size;
    uint16_t task;
    uint8_t writes, atomic;
    uint8_t nr_calls, nr_held;
    uint8_t padding[6];
    uint8_t held[WATCH_HELD * WATCH_HELD_BYTES];
};

struct watch_report {
    uint32_t ready;
    uint32_t fault;
    uint64_t times;
    uint64_t before, after;     /* of FAULT_CHANGED: the value */
    struct watch_side side, other;
};

/* A line and more of each task's own. */
struct watch_task {
    uint64_t accesses;
    uint64_t points;            /* watchpoints set */
    uint64_t crowded;           /* not set: the place was taken */
    uint64_t races;             /* seen, repeated ones included */
    uint64_t delays;
    uint64_t benign[WATCH_REASONS];
    uint64_t benign_pc[WATCH_REASONS];
    uint64_t padding[3];
    struct watch_side given;    /* this task's side, left for whose watchpoint it met last */
};

struct watch_region {
    uint64_t point[WATCH_POINTS];
    uint32_t nr_reports;
    uint32_t padding[15];
    struct watch_report report[WATCH_REPORTS];
    struct watch_task task[WATCH_TASKS];
};

/* What the host tells of the arena, and is told. Offsets in the arena, sizes in bytes. */
struct watch_host {
    char *base;
    uint64_t window;            /* what is checked begins at the base */
    uint64_t module;
    uint64_t frames, frames_end, memmap, page_size, page_state;
    uint64_t slots, slots_end, slots_size, slots_state, slots_guarded;
    uint32_t allocated;         /* the state of a frame or slots object that is alive */
    uint64_t constant_end;      /* before it nothing changes */
    uint64_t verdicts, verdicts_end;    /* where checks write as they like */
    const uint8_t *held;        /* of this task */
    const uint32_t *nr_held;
    uint32_t task;
    uint32_t rate;              /* accesses from one watchpoint to the next, about */
    uint64_t stall;             /* nanoseconds */
    uint32_t delay_every;       /* accesses from one delay to the next, about; 0: none */
    uint64_t seed;
    struct watch_region *region;
    void (*verdict)(int kind, const char *where, uint64_t page, const char *text);
};

#pragma GCC visibility push(hidden)
void watch_start(const struct watch_host *host);
void watch_stop(const char *base);
uint64_t sim_clock(void);

/* No execution: the window is empty. */
void watch_access(uint64_t offset, uint64_t size, bool write, bool atomic, uint64_t pc);
void watch_payload(uint64_t low, uint64_t high);
void watch_lives(uint64_t offset, bool live);
void watch_known_race(int reason);
#pragma GCC visibility pop

#endif
