# The gate of the sim world: every operation that orders tasks goes to the scheduler (gate.h).
#
# The same vocabulary as sync/gate.pxi. Outside an execution (no window) the subject runs as in
# the live world: one task at a time, or as one of several real processes (watch.c). Where in the subject an operation is, is the address that
# they return to: those of spinlocks are inlined into the subject, the others never are.

cdef extern from "sim/remote.h":
    """
    static inline int z3f_simulated(void) {
        uint64_t window;
        Z3F_READ(window, memory.window);
        return window != 0;
    }
    #define z3f_in_sim() __builtin_expect(z3f_simulated(), 1)
    #define z3f_stays() (run.remote == REMOTE_REAL)
    #define z3f_here() ((uint64_t)__builtin_return_address(0) - memory.module)
    /* The interpreter tells where it is, at each instruction. Further than ever is progress. */
    static inline void z3f_progress(uint32_t at) {
        struct sim_task *t;
        uint32_t furthest, steps;
        uint8_t keeping;
        if (!z3f_in_sim())
            return;
        Z3F_READ(t, run.running);
        Z3F_READ(furthest, t->furthest);
        Z3F_READ(keeping, config.recording);
        Z3F_WRITE(t->program_at, at);
        if (at > furthest) {
            Z3F_READ(steps, run.steps);
            Z3F_WRITE(t->furthest, at);
            Z3F_WRITE(run.progress_step, steps);
        }
        if (__builtin_expect(keeping > 1, 0))
            trace_event(EVENT_OP_BEGIN, 0, 0, 0);
    }
    #define z3f_yes() 1
    #define z3f_gate_read_lock(l, c) sim_read_lock((l), (c), z3f_here())
    #define z3f_gate_read_unlock(l) sim_read_unlock((l), z3f_here())
    #define z3f_gate_write_lock(l, c) sim_write_lock((l), (c), z3f_here())
    #define z3f_gate_write_unlock(l) sim_write_unlock((l), z3f_here())
    """
    bint in_sim "z3f_in_sim"() noexcept nogil
    bint simulated "sim_in_fiber"() noexcept nogil
    u64 here "z3f_here"() noexcept nogil
    void gate_lock "sim_gate_lock"(u32 *lock, int lock_class) noexcept nogil
    bint gate_trylock "sim_gate_trylock"(u32 *lock, int lock_class) noexcept nogil
    bint gate_trylock_bare "sim_gate_trylock_bare"(u32 *lock, int lock_class) noexcept nogil
    void gate_unlock "sim_gate_unlock"(u32 *lock) noexcept nogil
    void gate_read_lock "z3f_gate_read_lock"(u32 *lock, int lock_class) noexcept nogil
    void gate_read_unlock "z3f_gate_read_unlock"(u32 *lock) noexcept nogil
    void gate_write_lock "z3f_gate_write_lock"(u32 *lock, int lock_class) noexcept nogil
    void gate_write_unlock "z3f_gate_write_unlock"(u32 *lock) noexcept nogil
    void gate_wait_free "sim_gate_wait_free"(u32 *lock) noexcept nogil
    void gate_wait_change "sim_gate_wait_change"(u64 *word, u64 seen) noexcept nogil
    void gate_wait_while "sim_gate_wait_while"(u64 *word, u64 value) noexcept nogil
    void gate_wait_equal "sim_gate_wait_equal"(u64 *word, u64 value) noexcept nogil
    bint gate_wait_work "sim_gate_wait_work"(void *items) noexcept nogil
    void gate_yield "sim_gate_yield"() noexcept nogil
    void gate_progress "z3f_progress"(u32 at) noexcept nogil
    void gate_turn "sim_turn"() noexcept nogil
    void gate_look_away "sim_look_away"() noexcept nogil
    void gate_look_again "sim_look_again"() noexcept nogil
    void gate_peek "sim_peek"(const u64 *word, bint writes) noexcept nogil
    void gate_remember "sim_remember"(u64 *word) noexcept nogil
    void data_race "sim_data_race"(int reason) noexcept nogil
    bint accesses_seen "z3f_yes"() noexcept nogil   # by whoever looks for races
    bint gate_should_fail "sim_gate_should_fail"(int fault) noexcept nogil
    void gate_birth "sim_birth"(u64 offset) noexcept nogil
    void gate_death "sim_death"(u64 offset) noexcept nogil
    bint gate_died "sim_died"(u32 task) noexcept nogil
    void payload_begin "sim_payload_begin"(u64 low, u64 high) noexcept nogil
    void payload_end "sim_payload_end"() noexcept nogil
    void gate_might_sleep "sim_might_sleep"(const char *where, u32 preempt_count) noexcept nogil
    void gate_no_locks_in "sim_no_locks_in"(u64 start, u64 size) noexcept nogil
    bint gate_holds "sim_holds"(u32 *lock) noexcept nogil
    void gate_enter "sim_op_enter"() noexcept nogil
    void gate_left "sim_op_left"() noexcept nogil
    bint gate_stays "z3f_stays"() noexcept nogil    # shown to a debugger: a wait does not end
    u32 history_invoke "sim_history_invoke"(u32 object, bint write, u64 value) noexcept nogil
    void history_respond "linear_respond"(u32 operation, u64 value) noexcept nogil
    void sim_fail(int kind, const char *where, u64 page, u64 handle, u64 lock, u64 pc,
                  const char *text) noexcept nogil

cdef extern from "sim/watch.h":
    void gate_arena_gone "watch_stop"(const char *base) noexcept nogil


cdef inline void relax(u32 *spins) noexcept nogil:
    """A step of a loop that retries."""
    if in_sim():
        gate_yield()
    else:
        spins[0] += 1                   # as in the live world: whoever waits long looks around
        give_up_if_over()
        sched_yield()


cdef inline void relax_until_changed(u32 *spins, u64 *word, u64 seen) noexcept nogil:
    """As relax, by who can go on once the word is no longer what it saw."""
    if in_sim():
        gate_wait_change(word, seen)
    else:
        relax(spins)


cdef inline void relax_until_free(u32 *spins, u64 lock) noexcept nogil:
    """As relax, by who can go on once the lock at this offset (if it is one) is free."""
    if not in_sim():
        relax(spins)
    elif lock & 3 == 0:
        gate_wait_free(<u32 *>at(lock))
