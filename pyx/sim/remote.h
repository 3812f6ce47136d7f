/* Actors that are processes: what a process and its proxy say to each other, in memory that both
 * map. A process runs while it has the turn; it asks before each access and each operation that
 * orders tasks, and goes on when its proxy, a task of the scheduler, answers. */
#ifndef Z3F_REMOTE_H
#define Z3F_REMOTE_H

#include "sim.h"

#pragma GCC visibility push(hidden)

enum remote {
    REMOTE_NO,
    REMOTE_GATED,               /* runs its program, and asks at each step */
    REMOTE_REAL,                /* asks nobody any more: waits as in the live world */
};

enum remote_command {
    COMMAND_GO,                 /* here is the answer */
    COMMAND_START,              /* the program, from its beginning; drop what is under way */
    COMMAND_REAL,               /* wait by yourself from here on: nobody can go on */
};

/* What a process asks; the name is what a person is told that it was about to do, where that is no
 * access. */
enum remote_what {
    ASK_NONE,                   /* "starts": it has started, and waits for its first command */
    ASK_DONE,                   /* "has finished" */
    ASK_ACCESS,                 /* "access": to memory, or a birth, a death, a fence */
    ASK_LOCK,                   /* "lock": an operation of one */
    ASK_WAIT,                   /* "wait" */
    ASK_FAULT,                  /* "failure" */
    ASK_REMEMBER,               /* "access" */
    ASK_INVOKE,                 /* "operation" */
    ASK_RESPOND,                /* "operation" */
    ASK_HOLDS,                  /* "check" */
    ASK_SLEEPS,                 /* "check" */
    ASK_NO_LOCKS_IN,            /* "check" */
    ASK_TURNS,                  /* "operation": many turns of a loop */
    ASK_ENTERS,                 /* "operation" */
    ASK_LEFT,                   /* "operation" */
    ASK_FAIL,                   /* "failed check": the verdict lies beside */
    ASK_LEAVES,                 /* "failed check" */
};

struct remote_call {
    u32 what;
    u32 number;                 /* lock class, failure, preempt count, object of a history */
    struct access access;
    u64 object, size, value, pc;        /* of a call that is no access */
    u8 write;                   /* of a history; of a trylock: whether it may fail for no reason */
    u8 failure_order;
    u8 compares;                /* value is what a compare-and-swap expects */
};

enum turn { TURN_SCHEDULER, TURN_PROCESS };

struct remote_slot {
    u32 turn;                   /* enum turn; a futex */
    u32 command;
    u64 answer;
    struct remote_call call;
    /* what the interpreter and the client told of the task, since the call before */
    u64 low, high;
    u32 program_at, furthest;
    u8 payload, special, known_race;
    struct sim_verdict verdict;
} __attribute__((aligned(64)));

/* The live world's locks, as the host has them: a process takes them when it may. */
struct remote_locks {
    void (*lock)(u32 *word, int lock_class);
    bool (*trylock)(u32 *word, int lock_class);
    void (*unlock)(u32 *word);
    void (*read_lock)(u32 *word, int lock_class);
    void (*read_unlock)(u32 *word);
    void (*write_lock)(u32 *word, int lock_class);
    void (*write_unlock)(u32 *word);
};

/* in the process of an actor */
_Noreturn void remote_serve(struct remote_slot *slot, u32 index, u64 window);
u64 remote_ask(const struct remote_call *call);
bool remote_access(const struct access *a, const u64 *expected, int failure_order);
bool remote_lock(const struct access *a, int lock_class, bool may_fail);
bool remote_wait(const struct access *a);
void remote_sleeps(const char *where, u32 preempt_count, u64 pc);
_Noreturn void remote_fail(int kind, const char *where, u64 page, u64 handle, u64 lock, u64 pc,
                           const char *text);

/* in the process of the scheduler */
enum trouble {
    TROUBLE_NONE,
    TROUBLE_DIED,               /* "died" */
    TROUBLE_HANGS,              /* "hangs" */
    TROUBLE_NO_PROCESS,         /* "none" */
};
extern struct remote_trouble { u32 kind, index, program_at; } remote_trouble;
extern u64 remote_patience;     /* nanoseconds that a process may run from one step to the next */
void remote_begin(struct remote_slot *slots, void (*local)(u32 index));
void remote_end(void);
void remote_place(u32 index, int pid);
void remote_body(u32 index);
void remote_kill(u32 index);
bool remote_complete(void);
void remote_command(u32 index, u32 command);

#pragma GCC visibility pop

#endif
