# The gate of the live world: what happens at a synchronisation operation besides the
# operation itself. Here that is only what a run asks for: dawdling, to hold windows open
# that are nanoseconds wide, and injected failures. Off, it costs one test.


cdef void dawdle() noexcept nogil:
    """Lose some time, now and then: the config says how often and how long."""
    cdef u64 r = random64(current)
    cdef u64 until
    if <u32>(r >> 32) >= H.config.delay_rate:
        return
    if r & 1:
        sched_yield()
        return
    until = now_ns() + ((r & 0xffff) * H.config.delay_ns >> 16)
    while now_ns() < until:
        pause()


cdef inline void gate() noexcept nogil:
    if unlikely(gated):
        dawdle()


cdef bint decide_to_fail(int fault) noexcept nogil:
    if <u32>(random64(current) >> 32) >= H.config.fault[fault]:
        return False
    count(N_INJECTED)
    return True


cdef inline bint should_fail(int fault) noexcept nogil:
    """Whether to fail here on purpose, as the kernel's fault injection asks."""
    return unlikely(gated) and H.config.fault[fault] != 0 and decide_to_fail(fault)


cdef inline void relax(u32 *spins) noexcept nogil:
    """A step of a loop that retries: spin a little, then yield; ends when the run is over."""
    spins[0] += 1
    if spins[0] & 31:
        pause()
    else:
        give_up_if_over()
        sched_yield()
