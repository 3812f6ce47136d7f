# The gate of the live world: what happens at a synchronisation operation besides the
# operation itself. Here that is only what a run asks for (injection.pxi): off, it costs one test.
#
# The sim world has a gate of its own (sim/gate.pxi); what the two have in common is the
# vocabulary. Here nobody simulates, and all of that is gone when this is compiled.

cdef extern from *:
    """
    #define z3f_in_sim() 0
    #define z3f_nothing(...) ((void)0)
    #define z3f_unused(a, b) ((void)(a), (void)(b))
    #define z3f_no(...) 0
    """
    bint in_sim "z3f_in_sim"() noexcept nogil
    bint simulated "z3f_in_sim"() noexcept nogil    # also while a checker looks away
    u64 here "z3f_no"() noexcept nogil
    void sim_fail "z3f_nothing"(int kind, const char *where, u64 page, u64 handle, u64 lock,
                                u64 pc, const char *text) noexcept nogil
    void gate_lock "z3f_nothing"(u32 *lock, int lock_class) noexcept nogil
    bint gate_trylock "z3f_no"(u32 *lock, int lock_class) noexcept nogil
    bint gate_trylock_bare "z3f_no"(u32 *lock, int lock_class) noexcept nogil
    void gate_unlock "z3f_nothing"(u32 *lock) noexcept nogil
    void gate_read_lock "z3f_nothing"(u32 *lock, int lock_class) noexcept nogil
    void gate_read_unlock "z3f_nothing"(u32 *lock) noexcept nogil
    void gate_write_lock "z3f_nothing"(u32 *lock, int lock_class) noexcept nogil
    void gate_write_unlock "z3f_nothing"(u32 *lock) noexcept nogil
    void gate_wait_free "z3f_nothing"(u32 *lock) noexcept nogil
    void gate_wait_change "z3f_nothing"(u64 *word, u64 seen) noexcept nogil
    void gate_wait_while "z3f_nothing"(u64 *word, u64 value) noexcept nogil
    void gate_wait_equal "z3f_nothing"(u64 *word, u64 value) noexcept nogil
    bint gate_wait_work "z3f_no"(list_head *items) noexcept nogil
    void gate_yield "z3f_nothing"() noexcept nogil
    void gate_progress "z3f_nothing"(u32 at) noexcept nogil
    void gate_turn "z3f_nothing"() noexcept nogil
    void gate_look_away "z3f_nothing"() noexcept nogil
    void gate_look_again "z3f_nothing"() noexcept nogil
    void gate_peek "z3f_nothing"(const u64 *word, bint writes) noexcept nogil
    void gate_remember "z3f_nothing"(u64 *word) noexcept nogil
    void data_race "z3f_nothing"(int reason) noexcept nogil
    bint accesses_seen "z3f_no"() noexcept nogil    # by whoever looks for races
    void gate_arena_gone "z3f_nothing"(const char *base) noexcept nogil
    bint gate_should_fail "z3f_no"(int fault) noexcept nogil
    void gate_birth "z3f_nothing"(u64 offset) noexcept nogil
    void gate_death "z3f_nothing"(u64 offset) noexcept nogil
    bint gate_died "z3f_no"(u32 task) noexcept nogil
    void payload_begin "z3f_nothing"(u64 low, u64 high) noexcept nogil
    void payload_end "z3f_nothing"() noexcept nogil
    void gate_might_sleep "z3f_nothing"(const char *where, u32 preempt_count) noexcept nogil
    void gate_no_locks_in "z3f_nothing"(u64 start, u64 size) noexcept nogil
    bint gate_holds "z3f_no"(u32 *lock) noexcept nogil
    void gate_enter "z3f_nothing"() noexcept nogil
    void gate_left "z3f_nothing"() noexcept nogil
    bint gate_stays "z3f_no"() noexcept nogil
    u32 history_invoke "z3f_no"(u32 object, bint write, u64 value) noexcept nogil
    void history_respond "z3f_unused"(u32 operation, u64 value) noexcept nogil


cdef inline void relax(u32 *spins) noexcept nogil:
    """A step of a loop that retries: spin a little, then yield; ends when the run is over."""
    if in_sim():
        gate_yield()
        return
    spins[0] += 1
    if spins[0] & 31:
        pause()
    else:
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
