/* Coroutines with C stacks: mapped once, guarded, used again by every execution.
 *
 * A switch (fiber.h) saves what the compiler says is in use, and jumps. A task that is given up is
 * dropped; nothing on its stack owns anything. */
#include "sim.h"

#include <sys/mman.h>

enum { STACK = 128 * 1024, GUARD = 4096 };

static char *stacks;
static u32 nr_stacks;

#if defined(__x86_64__)

void *fiber_new(u32 index, void (*entry)(void))
{
    u64 *sp = (u64 *)(stacks + (u64)(index + 1) * (STACK + GUARD));

    *--sp = 0;                          /* where entry would return to; rsp % 16 is 8, as after a call */
    *--sp = (u64)entry;
    *--sp = 0;                          /* rbp */
    return sp;
}

#else

#include <ucontext.h>

static ucontext_t contexts[SIM_TASKS + 1];
static ucontext_t main_context;

void *fiber_new(u32 index, void (*entry)(void))
{
    ucontext_t *c = &contexts[index];

    getcontext(c);
    c->uc_stack.ss_sp = stacks + (u64)index * (STACK + GUARD) + GUARD;
    c->uc_stack.ss_size = STACK;
    c->uc_link = NULL;
    makecontext(c, entry, 0);
    return c;
}

void fiber_switch(void **save, void *const *to)
{
    /* The slow way, one system call a switch, for machines without a switch of our own. */
    ucontext_t *from = &main_context;

    for (u32 i = 0; i < nr_stacks; i++)
        if (save == &run.task[i].sp)
            from = &contexts[i];
    *save = from;
    if (*to != from)
        swapcontext(from, (ucontext_t *)*to);
}

#endif

int fiber_stacks(u32 n)
{
    if (n <= nr_stacks)
        return 0;
    if (stacks)
        munmap(stacks, (u64)nr_stacks * (STACK + GUARD));
    stacks = mmap(NULL, (u64)n * (STACK + GUARD), PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stacks == MAP_FAILED) {
        stacks = NULL;
        nr_stacks = 0;
        return -1;
    }
    for (u32 i = 0; i < n; i++)
        mprotect(stacks + (u64)i * (STACK + GUARD), GUARD, PROT_NONE);
    nr_stacks = n;
    return 0;
}

/* Where the stack of this fiber begins: it grows down from here. */
const char *fiber_top(u32 index)
{
    return stacks + (u64)(index + 1) * (STACK + GUARD);
}

bool fiber_on_guard(const void *address)
{
    u64 at = (u64)((const char *)address - stacks);

    return stacks && at < (u64)nr_stacks * (STACK + GUARD) && at % (STACK + GUARD) < GUARD;
}
