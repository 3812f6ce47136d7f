# Loops whose speed is the measure of this machine: free and alloc, map and unmap, a hot lock.

cdef struct measure_t:
    u64 pool
    u64 rounds
    u64 nanoseconds                     # of the measured loop
    u64 operations
    u64 worst_wait                      # clock ticks
    u32 from_size
    u32 to_size
    u32 inside                          # steps with the lock held
    u32 outside


cdef u32 prefill(pool_t *pool, measure_t *m) noexcept nogil:
    """Objects of uniform sizes into the whole table."""
    cdef u32 i, filled = 0
    for i in range(H.geometry.objects):
        if object_at(i).handle == 0:
            object_at(i).size = m.from_size + random_below(current, m.to_size - m.from_size + 1)
            if z3fold_alloc(pool, object_at(i).size, GFP_KERNEL, &object_at(i).handle) != 0:
                break
        filled += 1
    run_pending_work()
    return filled


cdef void measure_free_alloc(void *argument) noexcept nogil:
    """Free a random object, allocate another; queued work runs in between, as it must."""
    cdef measure_t *m = <measure_t *>argument
    cdef pool_t *pool = pool_at(m.pool)
    cdef u32 objects = prefill(pool, m)
    cdef u64 i, began
    cdef object_t *o
    began = now_ns()
    for i in range(m.rounds):
        o = object_at(random_below(current, objects))
        op_enter(OP_FREE, o.handle, 0)
        z3fold_free(pool, o.handle)
        op_leave()
        record(OP_FREE, 0, 0, o.handle, 0)
        o.size = m.from_size + random_below(current, m.to_size - m.from_size + 1)
        op_enter(OP_ALLOC, o.size, 0)
        if z3fold_alloc(pool, o.size, GFP_KERNEL, &o.handle) == 0:
            m.operations += 1
        op_leave()
        record(OP_ALLOC, 0, 0, o.handle, o.size)
        if i & 31 == 31:
            while run_one_work(&pool.compact_wq, -1):
                pass
            while run_one_work(&pool.release_wq, -1):
                pass
    m.nanoseconds = now_ns() - began


cdef void measure_map_unmap(void *argument) noexcept nogil:
    cdef measure_t *m = <measure_t *>argument
    cdef pool_t *pool = pool_at(m.pool)
    cdef u32 objects = prefill(pool, m)
    cdef u64 i, handle, address, began
    began = now_ns()
    for i in range(m.rounds):
        handle = object_at(random_below(current, objects)).handle
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
