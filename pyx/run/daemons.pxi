# The other tasks of a soak: kworkers, the migrator, the reclaimer, the churner.
#
# A kworker naps when its queue is empty instead of being woken: a wake-up would cost the
# one who queues more than the whole operation.

cdef enum:
    CHURNED_OBJECTS = 48

cdef struct daemon_t:
    u64 pool
    u32 interval_us                     # pause between two rounds
    u32 offline                         # 0: never offline a range
    u32 low_frames                      # the reclaimer works harder below this


cdef void kworker_loop(void *argument) noexcept nogil:
    cdef daemon_t *d = <daemon_t *>argument
    cdef pool_t *pool = pool_at(d.pool)
    cdef workqueue_t *wq = &pool.compact_wq
    cdef u64 idle = 0
    if current.role == ROLE_KWORKER_RELEASE:
        wq = &pool.release_wq
    store_release32(&wq.worker, me)
    while not read_once32(&H.stop):
        if run_one_work(wq, -1):
            idle = 0
            continue
        if unlikely(read_once32(&H.pause) == 2):
            park(2)                     # the queues are emptied first, while others are parked
        idle += 1
        if idle < 4:
            sched_yield()
        else:
            nap(50000 if idle < 64 else 500000)
        current.progress += 1
    store_release32(&wq.worker, 0)


cdef void migrator_loop(void *argument) noexcept nogil:
    cdef daemon_t *d = <daemon_t *>argument
    cdef u32 dice, i, first
    while not read_once32(&H.stop):
        if unlikely(read_once32(&H.pause) != 0):
            park(1)
        dice = random_below(current, 16)
        first = random_below(current, H.geometry.frames)
        if dice < 10:
            for i in range(16):
                migrate_random_page()
        elif dice < 15 or not d.offline:
            compact_memory(first, 256)
        else:
            offline_range(first, 32, 4)
        if d.interval_us:
            nap(<u64>d.interval_us * 1000)
        current.progress += 1


cdef void reclaimer_loop(void *argument) noexcept nogil:
    cdef daemon_t *d = <daemon_t *>argument
    cdef pool_t *pool = pool_at(d.pool)
    cdef int result
    while not read_once32(&H.stop):
        if unlikely(read_once32(&H.pause) != 0):
            park(1)
        op_enter(OP_RECLAIM, 0, 0)
        result = z3fold_reclaim_page(pool, 8)
        op_leave()
        count(N_RECLAIM if result == 0 else N_RECLAIM_FAILED)
        record(OP_RECLAIM, result, 0, 0, 0)
        if read_once_i64(&H.frames_free) > <i64>d.low_frames or result != 0:
            nap(<u64>d.interval_us * 1000 if d.interval_us else 1000)
        current.progress += 1


cdef void churn_pool() noexcept nogil:
    """A short life: create a pool, fill it, free all, destroy it with its work still queued,
    while the migrators find its pages like any others."""
    cdef u64[CHURNED_OBJECTS] handles
    cdef pool_t *pool = NULL
    cdef u32 i, n = 1 + random_below(current, CHURNED_OBJECTS)
    if z3fold_create_pool(-1, 0, &pool) != 0:
        return
    for i in range(n):
        if z3fold_alloc(pool, 1 + random_below(current, PAGE_SIZE), GFP_KERNEL, &handles[i]) != 0:
            handles[i] = 0
        if i & 7 == 7:
            sched_yield()
    for i in range(n):
        if handles[i] != 0:
            z3fold_free(pool, handles[i])
    z3fold_destroy_pool(pool)
    count(N_POOLS)


cdef void churner_loop(void *argument) noexcept nogil:
    cdef daemon_t *d = <daemon_t *>argument
    while not read_once32(&H.stop):
        if unlikely(read_once32(&H.pause) != 0):
            park(1)
        op_enter(OP_DESTROY_POOL, 0, 0)
        churn_pool()
        op_leave()
        record(OP_DESTROY_POOL, 0, 0, 0, 0)
        nap(<u64>d.interval_us * 1000 if d.interval_us else 1000)
