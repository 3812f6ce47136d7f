# What a run asks for at lock operations: dawdling, to hold windows open that are nanoseconds
# wide, and injected failures. Real processes only; the sim world chooses both itself.


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


cdef bint decide_to_fail(int fault) noexcept nogil:
    if <u32>(random64(current) >> 32) >= H.config.fault[fault]:
        return False
    count(N_INJECTED)
    return True


cdef inline void gate() noexcept nogil:
    if unlikely(gated):
        dawdle()


cdef inline bint should_fail(int fault) noexcept nogil:
    """Whether to fail here on purpose, as the kernel's fault injection asks."""
    if in_sim():
        return gate_should_fail(fault)
    return unlikely(gated) and H.config.fault[fault] != 0 and decide_to_fail(fault)
