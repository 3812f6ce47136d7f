/* Signals that come while executions run: a wild address of the subject is a verdict of its
 * execution; a request to stop is noted, so that executions end, and left to whoever handles it.
 * Nothing is caught outside of executions. */
#include "sim.h"
#include "signals.h"

#include <signal.h>
#include <stdio.h>

/* --- a wild address --- */

static struct sigaction before_segv, before_bus;
static char signal_stack[32768];
static stack_t outer_stack;

_Noreturn static void crashed(int signal, void *address)
{
    char text[120];

    if (fiber_on_guard(address))
        snprintf(text, sizeof(text), "the task's stack overflowed");
    else if ((u64)((char *)address - memory.base) + (1u << 30) < memory.size + (2u << 30))
        snprintf(text, sizeof(text), "signal %d: the subject followed a wild offset, %lld",
                 signal, (long long)((char *)address - memory.base));
    else
        snprintf(text, sizeof(text), "signal %d: the subject followed a wild address", signal);
    /* Leaves the signal stack for good: SA_NODEFER, and the next signal starts it anew. */
    sim_fail(V_CRASH, "signal", 0, 0, 0, run.remote ? 0 : run.running->next.pc, text);
}

static void on_crash(int signal, siginfo_t *info, void *context)
{
    (void)context;
    if (!sim_in_fiber()) {              /* not the subject's */
        sigaction(SIGSEGV, &before_segv, NULL);
        sigaction(SIGBUS, &before_bus, NULL);
        return;
    }
    crashed(signal, info->si_addr);
}

static int catch_crashes(void)
{
    struct sigaction action = { 0 };
    stack_t stack = { .ss_sp = signal_stack, .ss_size = sizeof(signal_stack) };

    if (sigaltstack(&stack, &outer_stack))
        return -1;
    action.sa_sigaction = on_crash;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigaction(SIGSEGV, &action, &before_segv);
    sigaction(SIGBUS, &action, &before_bus);
    return 0;
}

/* --- asked to stop --- */

static volatile sig_atomic_t stop_asked; /* a signal came that somebody handles */
static const int stop_signals[] = { SIGINT, SIGTERM, SIGHUP };

enum { STOP_SIGNALS = sizeof(stop_signals) / sizeof(stop_signals[0]) };

static struct sigaction before_stop[STOP_SIGNALS];

/* Whoever handles it goes on doing so; but an interpreter does only when this has returned. */
static void on_stop(int signal, siginfo_t *info, void *context)
{
    stop_asked = 1;
    for (u32 i = 0; i < STOP_SIGNALS; i++) {
        if (stop_signals[i] != signal)
            continue;
        if (before_stop[i].sa_flags & SA_SIGINFO)
            before_stop[i].sa_sigaction(signal, info, context);
        else
            before_stop[i].sa_handler(signal);
    }
}

static bool is_handled(const struct sigaction *action)
{
    return action->sa_flags & SA_SIGINFO
        || (action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN);
}

static void notice_stops(void)
{
    struct sigaction action = { .sa_sigaction = on_stop, .sa_flags = SA_SIGINFO | SA_ONSTACK };

    stop_asked = 0;
    for (u32 i = 0; i < STOP_SIGNALS; i++) {
        sigaction(stop_signals[i], NULL, &before_stop[i]);
        if (is_handled(&before_stop[i]))
            sigaction(stop_signals[i], &action, NULL);
    }
}

static void leave_stops_alone(void)
{
    for (u32 i = 0; i < STOP_SIGNALS; i++)
        if (is_handled(&before_stop[i]))
            sigaction(stop_signals[i], &before_stop[i], NULL);
}

bool sim_stop_asked(void)
{
    return stop_asked;
}

int signals_catch(void)
{
    if (catch_crashes())
        return -1;
    notice_stops();
    return 0;
}

void signals_leave(void)
{
    leave_stops_alone();
    sigaction(SIGSEGV, &before_segv, NULL);
    sigaction(SIGBUS, &before_bus, NULL);
    sigaltstack(&outer_stack, NULL);
}
