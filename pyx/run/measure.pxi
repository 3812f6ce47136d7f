# Loops whose speed is the measure of this machine: free and alloc, map and unmap, a hot lock.

cdef struct measure_t:
    u64 pool
    u64 rounds
    u64 nanoseconds                     # of the measured loop
    u64 operations
    u64 worst_wait                      # clock ticks
    u64 *handles                        # of the live objects: only this is the caller's memory
    u32 nr_handles
    u32 from_size
    u32 to_size
    u32 inside                          # steps with the lock held
    u32 outside


cdef inline u64 a_size(measure_t *m) noexcept nogil:
    return m.from_size + random_below(current, m.to_size - m.from_size + 1)


cdef void fill_up(pool_t *pool, measure_t *m) noexcept nogil:
    """Objects of uniform sizes for all handles that are not live yet."""
    cdef u32 i
    for i in range(m.nr_handles):
        if m.handles[i] == 0 and z3fold_alloc(pool, a_size(m), GFP_KERNEL, &m.handles[i]) != 0:
            m.nr_handles = i
            break
    run_pending_work()


cdef void measure_free_alloc(void *argument) noexcept nogil:
    """Free a random object, allocate another; queued work runs in between, as it must."""
    cdef measure_t *m = <measure_t *>argument
    cdef pool_t *pool = pool_at(m.pool)
    cdef u64 i, began, size
    cdef u64 *handle
    cdef int result
    fill_up(pool, m)
    began = now_ns()
    for i in range(m.rounds):
        handle = &m.handles[random_below(current, m.nr_handles)]
        op_enter(OP_FREE, handle[0], 0)
        z3fold_free(pool, handle[0])
        op_leave()
        record(OP_FREE, 0, 0, handle[0], 0)
        handle[0] = 0
        size = a_size(m)
        op_enter(OP_ALLOC, size, 0)
        result = z3fold_alloc(pool, size, GFP_KERNEL, handle)
        op_leave()
        if result != 0:
            break
        record(OP_ALLOC, 0, 0, handle[0], size)
        m.operations += 1
        if i & 31 == 31:
            while run_one_work(&pool.compact_wq, -1):
                pass
            while run_one_work(&pool.release_wq, -1):
                pass
    m.nanoseconds = now_ns() - began


cdef void measure_map_unmap(void *argument) noexcept nogil:
    cdef measure_t *m = <measure_t *>argument
    cdef pool_t *pool = pool_at(m.pool)
    cdef u64 i, handle, address, began
    fill_up(pool, m)
    began = now_ns()
    for i in range(m.rounds):
        handle = m.handles[random_below(current, m.nr_handles)]
        op_enter(OP_MAP, handle, 0)
        address = z3fold_map(pool, handle)
        op_leave()
        record(OP_MAP, 0, 0, handle, address)
        op_enter(OP_UNMAP, handle, 0)
        z3fold_unmap(pool, handle)
        op_leave()
        record(OP_UNMAP, 0, 0, handle, 0)
        m.operations += address != 0
    m.nanoseconds = now_ns() - began


cdef void measure_lock(void *argument) noexcept nogil:
    """One hot lock, a short critical section; m.nanoseconds is how long to go on."""
    cdef measure_t *m = <measure_t *>argument
    cdef u32 *word = <u32 *>&H.scratch[0]
    cdef u64 *shared = &H.scratch[8]
    cdef u64 x = me
    cdef u32 k
    cdef u64 began
    while read_once64(&H.scratch[16]) == 0:     # all start together
        sched_yield()
    began = now_ns()
    while m.operations & 255 or now_ns() - began < m.nanoseconds:
        spin_lock(word, LC_RAW)
        for k in range(m.inside):
            shared[0] = shared[0] * 3 + 1
        spin_unlock(word)
        for k in range(m.outside):
            x = splitmix64(x)
        m.operations += 1
    shared[1] = x                       # the work outside must not be optimised away
    m.nanoseconds = now_ns() - began
    m.worst_wait = lockstat(LC_RAW).wait_max
