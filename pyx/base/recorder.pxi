# Who does what: the bracket around each operation, and the flight recorder.
#
# The bracket (current.depth > 0) tells, also after a SIGKILL, whether a task died inside
# the allocator. The recorder writes one 32-byte event at the end of an operation, stamped
# with the cycle counter, to the task's own ring: no shared line, no ordering added.


cdef inline void op_enter(u32 op, u64 a, u64 b) noexcept nogil:
    cdef task_t *t = current
    cdef u32 depth = t.depth
    cdef op_t *o = &t.ops[depth & (MAX_DEPTH - 1)]
    o.op = op
    o.a = a
    o.b = b
    barrier()
    t.depth = depth + 1
    barrier()
    if depth == 0:
        gate_enter()


cdef inline void op_leave() noexcept nogil:
    cdef task_t *t = current
    cdef u32 depth = t.depth - 1
    barrier()
    t.depth = depth
    if depth == 0:
        t.progress += 1
        if in_sim():
            gate_left()
        elif unlikely(t.nr_held | t.preempt_count):
            returned_with_locks()


cdef void returned_with_locks() noexcept nogil:
    cdef u64 lock = current.held[0].lock if current.nr_held else 0
    verdict(V_LOCK_MISUSE, "op_leave", 0, 0, lock,
            "an operation returned with %llu locks held and preemption off %llu times",
            current.nr_held, current.preempt_count)
    current.nr_held = 0
    current.preempt_count = 0


cdef inline void record(u32 op, i32 ret, u64 page, u64 a, u64 b) noexcept nogil:
    """Write an event; page is the offset of a frame, or 0."""
    if unlikely(recording):
        write_event(op, ret, page, a, b)


cdef void write_event(u32 op, i32 ret, u64 page, u64 a, u64 b) noexcept nogil:
    cdef task_t *t = current
    cdef u64 head = t.ring_head
    cdef event_t *e = &ring[head & ring_mask]
    prefetch(&ring[(head + 8) & ring_mask])     # or the next lock would wait for this store
    e.ticks = clock_ticks()
    e.op = op
    e.ret = ret
    e.page = <u32>((page - frames_start) >> PAGE_SHIFT) if page else <u32>-1
    e.a = a
    e.b = b
    barrier()
    t.ring_head = head + 1


cdef inline void count(int counter) noexcept nogil:
    current.count[counter] += 1


cdef inline u64 *counter(int which) noexcept nogil:
    return &current.count[which]


cdef inline void because(int reason) noexcept nogil:
    """Count why a migration attempt failed (Reason)."""
    current.reasons[reason] += 1
    current.reason = reason


cdef inline lockstat_t *lockstat(int lock_class) noexcept nogil:
    return &current.lockstat[lock_class]
