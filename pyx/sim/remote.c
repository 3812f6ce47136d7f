/* Executions whose actors are processes. The scheduler, the strategies and all checks stay where
 * they are; a task's body is a proxy, which gives its process the turn, waits for what it asks,
 * and does here what a simulated task would have done at that place. The process then does the
 * operation itself, on the same memory. So the same schedule means the same events.
 *
 * Exactly one process runs at any time, or the scheduler. Whoever has no turn sleeps on a futex.
 * Never decides who goes on. */
#include "remote.h"

#include <errno.h>
#include <linux/futex.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_NS = 50 * 1000 * 1000 };    /* how often a silent process is looked after */

static void sleep_while(u32 *word, u32 value, u64 ns)
{
    struct timespec t = { 0, (long)ns };

    syscall(SYS_futex, word, FUTEX_WAIT, value, ns ? &t : NULL, NULL, 0);
}

static void give_turn(struct remote_slot *s, u32 turn)
{
    __atomic_store_n(&s->turn, turn, __ATOMIC_RELEASE);
    syscall(SYS_futex, &s->turn, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static u32 turn_of(const struct remote_slot *s)
{
    return __atomic_load_n(&s->turn, __ATOMIC_ACQUIRE);
}

/* --- in the process of an actor --- */

static struct remote_slot *mine;
static jmp_buf landing;                 /* the program is left without unwinding: it owns nothing */

static u64 hand_back(void)
{
    give_turn(mine, TURN_SCHEDULER);
    while (turn_of(mine) == TURN_SCHEDULER)
        sleep_while(&mine->turn, TURN_SCHEDULER, 0);
    switch (mine->command) {
    case COMMAND_GO:
        return mine->answer;
    case COMMAND_REAL:
        sim.remote = REMOTE_REAL;
        sim.window = 0;
        return 0;
    default:
        _longjmp(landing, 1);
    }
}

u64 remote_ask(const struct remote_call *call)
{
    const struct sim_task *t = sim.running;

    mine->call = *call;
    mine->program_at = t->program_at;
    mine->furthest = t->furthest;
    mine->payload = t->payload;
    mine->low = t->low;
    mine->high = t->high;
    mine->known_race = t->known_race;
    return hand_back();
}

void remote_access(u32 what, u64 offset, u64 size, int kind, int order, u64 pc,
                   const u64 *expected)
{
    struct remote_call call = { .what = what, .object = offset, .size = size, .pc = pc,
                                .write = (u8)kind, .kind = (u8)kind, .order = (u8)order };

    if (expected) {
        call.compares = 1;
        call.value = *expected;
    }
    remote_ask(&call);
    if (what == CALL_PLAIN)
        sim.running->known_race = 0;
}

void remote_lock(u32 what, u32 *lock, int lock_class, u64 pc)
{
    const struct remote_locks *real = sim.host.locks;
    u64 window;

    remote_ask(&(struct remote_call){ .what = what, .object = offset_of(lock),
                                      .number = (u32)lock_class, .pc = pc });
    window = sim.window;
    sim.window = 0;
    switch (what) {
    case CALL_LOCK:
        real->lock(lock, lock_class);
        break;
    case CALL_UNLOCK:
        real->unlock(lock);
        break;
    case CALL_READ_LOCK:
        real->read_lock(lock, lock_class);
        break;
    case CALL_READ_UNLOCK:
        real->read_unlock(lock);
        break;
    case CALL_WRITE_LOCK:
        real->write_lock(lock, lock_class);
        break;
    default:
        real->write_unlock(lock);
    }
    sim.window = window;
}

bool remote_trylock(u32 *lock, int lock_class, bool may_fail, u64 pc)
{
    u64 window = sim.window;
    bool taken;

    if (!remote_ask(&(struct remote_call){ .what = CALL_TRYLOCK, .object = offset_of(lock),
                                           .number = (u32)lock_class, .write = may_fail,
                                           .pc = pc }))
        return false;
    sim.window = 0;
    taken = sim.host.locks->trylock(lock, lock_class);
    sim.window = window;
    if (!taken)
        remote_fail(V_LOCK_MISUSE, "process", 0, 0, offset_of(lock), pc,
                    "a free lock could not be taken: somebody outside the schedule has it");
    return true;
}

/* The answer says something of a wait for work only. */
bool remote_wait(u32 what, void *word, u32 size, u64 value, u64 pc)
{
    return remote_ask(&(struct remote_call){ .what = what, .object = offset_of(word),
                                             .size = size, .value = value, .pc = pc });
}

void remote_sleeps(const char *where, u32 preempt_count, u64 pc)
{
    snprintf(mine->verdict.where, sizeof(mine->verdict.where), "%s", where);
    remote_ask(&(struct remote_call){ .what = CALL_SLEEPS, .number = preempt_count, .pc = pc });
}

_Noreturn void remote_fail(int kind, const char *where, u64 page, u64 handle, u64 lock, u64 pc,
                           const char *text)
{
    struct sim_verdict *v = &mine->verdict;

    memset(v, 0, sizeof(*v));
    v->kind = (u32)kind;
    v->page = page;
    v->handle = handle;
    v->lock = lock;
    v->pc = pc;
    snprintf(v->where, sizeof(v->where), "%s", where);
    snprintf(v->text, sizeof(v->text), "%s", text);
    remote_ask(&(struct remote_call){ .what = CALL_FAIL });
    _longjmp(landing, 1);               /* nothing else comes of it */
}

/* Run the program as often as the scheduler says, until killed. */
_Noreturn void remote_serve(struct remote_slot *slot, u32 index, u64 window)
{
    struct sim_task *t = &sim.task[index];

    mine = slot;
    t->index = index;
    sim.running = t;
    mine->call = (struct remote_call){ .what = CALL_NONE };
    if (_setjmp(landing) == 0)
        hand_back();
    for (;;) {
        t->payload = t->known_race = 0;
        t->program_at = t->furthest = 0;
        if (_setjmp(landing) == 0) {
            sim_becomes(t);
            sim.remote = REMOTE_GATED;
            sim.window = window;
            sim.host.body(index);
            remote_ask(&(struct remote_call){ .what = CALL_DONE });
        }
        sim.remote = REMOTE_NO;
        sim.window = 0;
    }
}

/* --- in the process of the scheduler --- */

struct remote_trouble remote_trouble;
u64 remote_patience = 10ull * 1000 * 1000 * 1000;

static struct remote_slot *slots;
static void (*body_here)(u32 index);    /* of a task that has no process: set-up and finish */
static int pids[SIM_TASKS];             /* 0: killed, or not there yet */

void remote_begin(struct remote_slot *shared, void (*local)(u32 index))
{
    slots = shared;
    body_here = local;
    memset(pids, 0, sizeof(pids));
    remote_trouble.kind = TROUBLE_NONE;
}

void remote_end(void)
{
    slots = NULL;
    sim.proxies = false;
}

void remote_place(u32 index, int pid)
{
    pids[index] = pid;
}

static u64 now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (u64)t.tv_sec * 1000000000ull + (u64)t.tv_nsec;
}

/* It stays to be reaped by whoever started it. */
static bool is_dead(u32 index)
{
    siginfo_t info = { 0 };

    if (!pids[index])
        return true;
    if (waitid(P_PID, (id_t)pids[index], &info, WEXITED | WNOHANG | WNOWAIT))
        return errno != EINTR;
    return info.si_pid == pids[index];
}

_Noreturn static void trouble(u32 kind, u32 index)
{
    remote_trouble = (struct remote_trouble){ kind, index, slots[index].program_at };
    sim_end(END_PROCESS);
}

void remote_command(u32 index, u32 command)
{
    slots[index].command = command;
    give_turn(&slots[index], TURN_PROCESS);
}

/* Let it run, until it asks for something. */
static void let_run(u32 index, u32 command)
{
    struct remote_slot *s = &slots[index];
    u64 began = 0;

    remote_command(index, command);
    while (turn_of(s) == TURN_PROCESS) {
        sleep_while(&s->turn, TURN_PROCESS, LOOK_NS);
        if (likely(turn_of(s) != TURN_PROCESS))
            return;
        if (is_dead(index))
            trouble(TROUBLE_DIED, index);
        if (!began)
            began = now_ns();
        else if (now_ns() - began > remote_patience)
            trouble(TROUBLE_HANGS, index);
    }
}

static void take_over(struct sim_task *t, const struct remote_slot *s)
{
    t->program_at = s->program_at;
    if (s->furthest > t->furthest) {
        t->furthest = s->furthest;
        sim.progress_step = sim.steps;
    }
    t->payload = s->payload;
    t->low = s->low;
    t->high = s->high;
    t->known_race = s->known_race;
}

_Noreturn static void fail(const struct sim_verdict *v)
{
    sim_fail((int)v->kind, v->where, v->page, v->handle, v->lock,
             v->kind == V_CRASH ? sim.running->pc : v->pc, v->text);
}

/* What a simulated task would do at this place, but for the operation itself. */
static u64 answer(const struct remote_slot *s)
{
    const struct remote_call *c = &s->call;
    u32 *word = (u32 *)(sim.base + c->object);

    switch (c->what) {
    case CALL_PLAIN:
        hook_plain(c->object, (u32)c->size, c->write, c->pc);
        return 0;
    case CALL_RANGE:
        hook_range(c->object, c->size, c->write, c->pc);
        return 0;
    case CALL_ATOMIC:
        hook_atomic(c->object, (u32)c->size, c->kind, c->order, c->pc,
                    c->compares ? &c->value : NULL);
        return 0;
    case CALL_LOCK:
        sim_lock_at(c->object, (int)c->number, c->pc);
        return 0;
    case CALL_TRYLOCK:
        return sim_trylock_at(c->object, (int)c->number, c->write, c->pc);
    case CALL_UNLOCK:
        sim_unlock_at(c->object, c->pc);
        return 0;
    case CALL_READ_LOCK:
        sim_read_lock(word, (int)c->number, c->pc);
        return 0;
    case CALL_READ_UNLOCK:
        sim_read_unlock(word, c->pc);
        return 0;
    case CALL_WRITE_LOCK:
        sim_write_lock(word, (int)c->number, c->pc);
        return 0;
    case CALL_WRITE_UNLOCK:
        sim_write_unlock(word, c->pc);
        return 0;
    case CALL_WAIT_FREE:
        sim_wait_free(word, c->pc);
        return 0;
    case CALL_WAIT_CHANGE:
        sim_wait_change(word, (u32)c->size, c->value, c->pc);
        return 0;
    case CALL_WAIT_EQUAL:
        sim_wait_equal(word, (u32)c->size, c->value, c->pc);
        return 0;
    case CALL_WAIT_WORK:
        return sim_wait_work(word, c->pc);
    case CALL_YIELD:
        sim_yield(c->pc);
        return 0;
    case CALL_FAULT:
        return sim_decide(c->number, c->pc);
    case CALL_REMEMBER:
        undo_word(c->object, 8);
        return 0;
    case CALL_INVOKE:
        return linear_invoke(sim.running->index, c->number, c->write, c->value);
    case CALL_RESPOND:
        linear_respond(c->number, c->value);
        return 0;
    case CALL_POISON:
        sim_poisoned(c->object, c->size, c->pc);
        return 0;
    case CALL_HOLDS:
        return sim_holds(word);
    case CALL_SLEEPS:
        sim_might_sleep_at(s->verdict.where, c->number, c->pc);
        return 0;
    case CALL_NO_LOCKS_IN:
        sim_no_locks_in_at(c->object, c->size, c->pc);
        return 0;
    case CALL_ENTERS:
        sim_op_enter();
        return 0;
    case CALL_LEFT:
        sim_op_left_at(c->pc);
        return 0;
    case CALL_LIFE_FRAME:
        lifetime_frame(c->object, c->write);
        return 0;
    case CALL_LIFE_SLOTS:
        lifetime_slots(c->object, c->write);
        return 0;
    case CALL_FAIL:
        fail(&s->verdict);
    default:
        sim_end(END_VERDICT);           /* CALL_LEAVES: what it has to say was said */
    }
}

/* The body of a task whose actor is a process. */
void remote_body(u32 index)
{
    struct remote_slot *s = &slots[index];

    if (index >= sim.nr_tasks) {
        body_here(index);
        return;
    }
    let_run(index, COMMAND_START);
    for (;;) {
        take_over(&sim.task[index], s);
        if (s->call.what == CALL_DONE)
            return;
        s->answer = answer(s);
        let_run(index, COMMAND_GO);
    }
}

/* It dies here: with whatever it holds, at this very place. */
void remote_kill(u32 index)
{
    siginfo_t info;

    kill(pids[index], SIGKILL);
    while (waitid(P_PID, (id_t)pids[index], &info, WEXITED | WNOWAIT) && errno == EINTR)
        ;
    pids[index] = 0;
}

/* A process for each actor: those that an execution killed are replaced. */
bool remote_complete(void)
{
    for (u32 i = 0; i < sim.nr_tasks; i++)
        if (!pids[i] && !sim.host.replace(i)) {
            remote_trouble = (struct remote_trouble){ TROUBLE_NO_PROCESS, i, 0 };
            return false;
        }
    return true;
}
