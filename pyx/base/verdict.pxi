# Verdicts: what a check says when it fails, recorded once, in the arena.
#
# A verdict never aborts. verdict() notes it and asks all tasks to end at their next
# operation; bug() is for where going on would be wild: it leaves the operation at once,
# locks and all, and tells waiters to give up as well.

from libc.stdio cimport snprintf
from libc.string cimport strcmp, strncpy

cdef extern from *:
    """
    #include <setjmp.h>
    #include <stdlib.h>
    #include <string.h>
    /* One landing for the operation that runs now. Bodies own nothing but arena state,
       so leaving them without unwinding loses nothing. */
    static jmp_buf z3f_landing;
    static int z3f_landing_set;
    static int z3f_guarded(void (*body)(void *), void *argument) {
        jmp_buf outer;                  /* guards nest: an eviction callback may call again */
        volatile int left = 1;
        int outer_set = z3f_landing_set;
        memcpy(&outer, &z3f_landing, sizeof(jmp_buf));
        if (_setjmp(z3f_landing) == 0) {
            z3f_landing_set = 1;
            body(argument);
            left = 0;
        }
        memcpy(&z3f_landing, &outer, sizeof(jmp_buf));
        z3f_landing_set = outer_set;
        return left;
    }
    #if defined(Z3F_SIM)
    void sim_leave_operation(void);
    #else
    #define sim_leave_operation() ((void)0)
    #endif
    static void z3f_leave(void) {
        sim_leave_operation();          /* a simulated task is dropped, stack and all */
        if (z3f_landing_set)
            _longjmp(z3f_landing, 1);
        abort();                        /* not reached: every entry is guarded */
    }
    """
    bint guarded "z3f_guarded"(void (*body)(void *) noexcept nogil, void *argument) noexcept nogil
    void leave_operation "z3f_leave"() noexcept nogil


cdef void fail_in_sim(int kind, const char *where, u64 page, u64 handle, u64 lock, u64 pc,
                      const char *text, u64 a, u64 b, u64 c) noexcept nogil:
    """A simulated execution ends at its first failed check."""
    cdef char[184] told
    snprintf(told, sizeof(told), text, a, b, c)
    sim_fail(kind, where, page, handle, lock, pc, told)


cdef void verdict(int kind, const char *where, u64 page, u64 handle, u64 lock,
                  const char *text, u64 a=0, u64 b=0, u64 c=0) noexcept nogil:
    """Record a failed check. text is a printf format for a, b, c (%llu, %lld, %llx)."""
    cdef u32 i, n
    cdef verdict_t *v
    if simulated():
        fail_in_sim(kind, where, page, handle, lock, here(), text, a, b, c)
        return
    n = read_once32(&H.nr_verdicts)
    for i in range(n if n < MAX_VERDICTS else MAX_VERDICTS):
        v = &H.verdicts[i]
        if v.kind == <u32>kind and strcmp(v.where, where) == 0:
            return                      # the same failure again: once is enough
    n = fetch_add32(&H.nr_verdicts, 1)
    if n < MAX_VERDICTS:
        v = &H.verdicts[n]
        v.kind = kind
        v.task = me
        v.op = current.ops[current.depth - 1].op if 0 < current.depth <= MAX_DEPTH else OP_NONE
        v.page = page
        v.handle = handle
        v.lock = lock
        v.ticks = clock_ticks()
        strncpy(v.where, where, sizeof(v.where) - 1)
        snprintf(v.text, sizeof(v.text), text, a, b, c)
        store_release32(&v.ready, 1)
    if not H.config.keep_going:
        cas32(&H.stop, 0, 1)


cdef void bug(int kind, const char *where, u64 page, u64 handle, u64 lock,
              const char *text, u64 a=0, u64 b=0, u64 c=0) noexcept nogil:
    """Record a failed check after which this operation cannot go on, and leave it."""
    if simulated():
        fail_in_sim(kind, where, page, handle, lock, here(), text, a, b, c)
    verdict(kind, where, page, handle, lock, text, a, b, c)
    if gate_stays():
        return                          # a debugger is to find it where it waits
    store_release32(&H.stop, 2)
    leave_operation()


cdef inline void give_up_if_over() noexcept nogil:
    """For waits: nobody will come any more once an operation was left with its locks held."""
    if read_once32(&H.stop) == 2:
        leave_operation()
