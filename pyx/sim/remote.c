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
        run.remote = REMOTE_REAL;
        memory.window = 0;
        return 0;
    default:
        _longjmp(landing, 1);
    }
}

u64 remote_ask(const struct remote_call *call)
{
    const struct sim_task *t = run.running;

    mine->call = *call;
    mine->program_at = t->program_at;
    mine->furthest = t->furthest;
    mine->payload = t->payload;
    mine->low = t->low;
    mine->high = t->high;
    mine->special = t->special;
    mine->known_race = t->known_race;
    return hand_back();
}

bool remote_access(const struct access *a, const u64 *expected, int failure_order)
{
    struct remote_call call = { .what = ASK_ACCESS, .access = *a,
                                .failure_order = (u8)failure_order };
    bool did;

    if (expected) {
        call.compares = 1;
        call.value = *expected;
    }
    did = remote_ask(&call);
    if (!a->atomic && a->size)
        run.running->special &= (u8)~SPECIAL_RACE;
    return did;
}

/* Once it may, the process takes or lets go of the lock as the live world does. */
bool remote_lock(const struct access *a, int lock_class, bool may_fail)
{
    const struct remote_locks *real = run.host.locks;
    u32 *lock = (u32 *)(memory.base + a->offset);
    u64 window;
    bool taken = true;

    if (!remote_ask(&(struct remote_call){ .what = ASK_LOCK, .access = *a,
                                           .number = (u32)lock_class, .write = may_fail })
            && a->kind == POINT_TRYLOCK && run.remote == REMOTE_GATED)
        return false;
    window = memory.window;
    memory.window = 0;
    switch (a->kind) {
    case POINT_LOCK:
        real->lock(lock, lock_class);
        break;
    case POINT_TRYLOCK:
        taken = real->trylock(lock, lock_class);
        break;
    case POINT_UNLOCK:
        real->unlock(lock);
        break;
    case POINT_READ_LOCK:
        real->read_lock(lock, lock_class);
        break;
    case POINT_READ_UNLOCK:
        real->read_unlock(lock);
        break;
    case POINT_WRITE_LOCK:
        real->write_lock(lock, lock_class);
        break;
    default:
        real->write_unlock(lock);
    }
    memory.window = window;
    if (!taken && run.remote == REMOTE_GATED)
        remote_fail(V_LOCK_MISUSE, "process", 0, 0, a->offset, a->pc,
                    "a free lock could not be taken: somebody outside the schedule has it");
    return taken;
}

/* The answer says something of a wait for work only. */
bool remote_wait(const struct access *a)
{
    return remote_ask(&(struct remote_call){ .what = ASK_WAIT, .access = *a });
}

void remote_sleeps(const char *where, u32 preempt_count, u64 pc)
{
    snprintf(mine->verdict.where, sizeof(mine->verdict.where), "%s", where);
    remote_ask(&(struct remote_call){ .what = ASK_SLEEPS, .number = preempt_count, .pc = pc });
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
    remote_ask(&(struct remote_call){ .what = ASK_FAIL });
    _longjmp(landing, 1);               /* nothing else comes of it */
}

/* Run the program as often as the scheduler says, until killed. */
_Noreturn void remote_serve(struct remote_slot *slot, u32 index, u64 window)
{
    struct sim_task *t = &run.task[index];

    mine = slot;
    t->index = index;
    run.running = t;
    mine->call = (struct remote_call){ .what = ASK_NONE };
    if (_setjmp(landing) == 0)
        hand_back();
    for (;;) {
        t->payload = t->special = 0;
        t->program_at = t->furthest = 0;
        if (_setjmp(landing) == 0) {
            sim_becomes(t);
            run.remote = REMOTE_GATED;
            memory.window = window;
            run.host.body(index);
            remote_ask(&(struct remote_call){ .what = ASK_DONE });
        }
        run.remote = REMOTE_NO;
        memory.window = 0;
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
    run.proxies = false;
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
        run.progress_step = run.steps;
    }
    t->payload = s->payload;
    t->low = s->low;
    t->high = s->high;
    t->known_race = s->known_race;
    t->special = (u8)((t->special & SPECIAL_MORTAL) | (s->special & SPECIAL_RACE));
}

_Noreturn static void fail(const struct sim_verdict *v)
{
    sim_fail((int)v->kind, v->where, v->page, v->handle, v->lock,
             v->kind == V_CRASH ? run.running->next.pc : v->pc, v->text);
}

/* What a simulated task would do at this place, but for the operation itself. */
static u64 answer(const struct remote_slot *s)
{
    const struct remote_call *c = &s->call;
    u32 *word = (u32 *)(memory.base + c->object);

    switch (c->what) {
    case ASK_ACCESS:
        return sim_memory_access(&c->access, c->compares ? &c->value : NULL, c->failure_order);
    case ASK_LOCK:
        return sim_lock_access(&c->access, (int)c->number, c->write);
    case ASK_WAIT:
        return sim_wait_access(&c->access);
    case ASK_FAULT:
        return sim_decide(c->number, c->pc);
    case ASK_REMEMBER:
        undo_word(c->object, 8);
        return 0;
    case ASK_INVOKE:
        return linear_invoke(run.running->index, c->number, c->write, c->value);
    case ASK_RESPOND:
        linear_respond(c->number, c->value);
        return 0;
    case ASK_HOLDS:
        return sim_holds(word);
    case ASK_SLEEPS:
        sim_might_sleep_at(s->verdict.where, c->number, c->pc);
        return 0;
    case ASK_NO_LOCKS_IN:
        sim_no_locks_in_at(c->object, c->size, c->pc);
        return 0;
    case ASK_TURNS:
        sim_turns();
        return 0;
    case ASK_ENTERS:
        sim_op_enter();
        return 0;
    case ASK_LEFT:
        sim_op_left_at(c->pc);
        return 0;
    case ASK_FAIL:
        fail(&s->verdict);
    default:
        sim_end(END_VERDICT);           /* ASK_LEAVES: what it has to say was said */
    }
}

/* The body of a task whose actor is a process. */
void remote_body(u32 index)
{
    struct remote_slot *s = &slots[index];

    if (index >= run.nr_tasks) {
        body_here(index);
        return;
    }
    let_run(index, COMMAND_START);
    for (u32 calls = 1;; calls++) {
        if ((calls & 4095) == 0)        /* a step of a process takes long: look at the clock */
            sim_ran_long();
        take_over(&run.task[index], s);
        if (s->call.what == ASK_DONE)
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
    for (u32 i = 0; i < run.nr_tasks; i++)
        if (!pids[i] && !run.host.replace(i)) {
            remote_trouble = (struct remote_trouble){ TROUBLE_NO_PROCESS, i, 0 };
            return false;
        }
    return true;
}
