# One operation, as data: what the Python API asks for, done without the GIL, in a bracket.

cpdef enum Call:
    CALL_ALLOC
    CALL_FREE
    CALL_MAP
    CALL_UNMAP
    CALL_ISOLATE
    CALL_MIGRATE
    CALL_PUTBACK
    CALL_MIGRATE_PAGES
    CALL_COMPACT_MEMORY
    CALL_OFFLINE
    CALL_RECLAIM
    CALL_DRAIN
    CALL_CREATE_POOL
    CALL_DESTROY_POOL
    CALL_RECOVER
    CALL_RELEASE_OBJECTS
    CALL_PROBE
    CALL_LOCK
    CALL_TRYLOCK
    CALL_UNLOCK
    CALL_READ_LOCK
    CALL_READ_UNLOCK
    CALL_WRITE_LOCK
    CALL_WRITE_UNLOCK
    CALL_LOCK_PAGE
    CALL_TRYLOCK_PAGE
    CALL_UNLOCK_PAGE
    CALL_LOCK_HEADER
    CALL_UNLOCK_HEADER
    CALL_GET_PAGE
    CALL_PUT_PAGE
    CALL_ALLOC_PAGE
    CALL_QUEUE_WORK
    CALL_CANCEL_WORK
    CALL_RUN_WORK
    CALL_FLUSH
    CALL_KREF_GET
    CALL_KREF_PUT
    CALL_MIGHT_SLEEP

cdef struct call_t:
    u32 call
    u64 pool
    u64 a
    u64 b
    u64 c
    i64 result


cdef inline u64 pfn_to_address(u64 pfn) noexcept nogil:
    return frames_start + (pfn << PAGE_SHIFT)


cdef void perform_allocator(call_t *c) noexcept nogil:
    """Operations of z3fold's users."""
    cdef pool_t *pool = pool_at(c.pool)
    cdef u64 page
    if c.call == CALL_ALLOC:
        op_enter(OP_ALLOC, c.a, 0)
        if c.b == GFP_ATOMIC:
            preempt_disable()
        c.result = z3fold_alloc(pool, c.a, <int>c.b, &c.c)
        if c.b == GFP_ATOMIC:
            preempt_enable()
        op_leave()
        record(OP_ALLOC, <i32>c.result, page_of_handle(c.c) if c.result == 0 else 0, c.c, c.a)
    elif c.call == CALL_FREE:
        page = page_of_handle(c.a)
        op_enter(OP_FREE, c.a, 0)
        z3fold_free(pool, c.a)
        op_leave()
        record(OP_FREE, 0, page, c.a, 0)
    elif c.call == CALL_MAP:
        c.result = <i64>client_map(pool, c.a)
    elif c.call == CALL_UNMAP:
        client_unmap(pool, c.a)
    elif c.call == CALL_RECLAIM:
        op_enter(OP_RECLAIM, c.a, 0)
        c.result = z3fold_reclaim_page(pool, <u32>c.a)
        op_leave()
        record(OP_RECLAIM, <i32>c.result, 0, 0, 0)
    elif c.call == CALL_DRAIN:
        # Compaction first, then release, until both are empty; on this CPU, or (-1) on the
        # one that each item was queued for.
        c.result = 1
        while c.result:
            c.result = 0
            while run_one_work(&pool.compact_wq, <i32>c.a):
                c.result = 1
            while run_one_work(&pool.release_wq, <i32>c.a):
                c.result = 1
    elif c.call == CALL_CREATE_POOL:
        op_enter(OP_CREATE_POOL, 0, 0)
        c.result = z3fold_create_pool(-1, <u32>c.a, &pool)
        c.b = offset_of(pool)
        op_leave()
    elif c.call == CALL_DESTROY_POOL:
        op_enter(OP_DESTROY_POOL, 0, 0)
        z3fold_destroy_pool(pool)
        op_leave()


cdef void free_all_objects(pool_t *pool) noexcept nogil:
    """The end of a run: every object of the pool is given back."""
    cdef u32 i
    cdef object_t *o
    for i in range(H.geometry.objects):
        o = object_at(i)
        if (read_once32(&o.state) == OBJECT_EMPTY or read_once64(&o.pool) != offset_of(pool)
                or not (claim_object(o) or claim_dying(o))):
            continue
        if o.state == OBJECT_EMPTY:     # its owner was quicker
            release_object(o)
        else:
            free_claimed_object(pool_at(o.pool), o)


cdef int migrate_one(page_t *page, migrate_control *c) noexcept nogil:
    """A single attempt on an isolated page of ours; on failure it stays isolated."""
    cdef int result
    c.keep_failed = True
    page.tries_of_call = 0
    result = unmap_and_move(page, False, c)
    move_all(&current.failed, &current.isolated)
    return result


cdef void perform_migration(call_t *c) noexcept nogil:
    """Operations of the migration engine."""
    cdef migrate_control control
    cdef page_t *page = memmap + c.a
    default_control(&control)
    if c.call == CALL_COMPACT_MEMORY:
        c.result = compact_memory(<u32>c.a, <u32>c.b)
        return
    if c.call == CALL_OFFLINE:
        c.result = offline_range(<u32>c.a, <u32>c.b, <u32>c.c)
        return
    if c.call == CALL_PROBE:
        c.result = probe_migration(<u32>c.a)
        probe_reclaim(pool_at(c.pool))
        return
    op_enter(OP_MIGRATE_PAGES, c.a, 0)
    if c.call == CALL_ISOLATE:
        c.result = isolate_movable_page(page)
    elif c.call == CALL_MIGRATE:
        c.result = migrate_one(page, &control)
    elif c.call == CALL_PUTBACK:
        list_del(&page.lru)
        lock_page(page)
        putback_locked(page)
        unlock_page(page)
        put_page(page)
    elif c.call == CALL_MIGRATE_PAGES:
        # All pages that this task has isolated. a: sync | in_reclaim << 1 | keep_failed << 2
        # | no putback by the caller << 3; b: passes.
        control.sync = c.a & 1
        control.in_reclaim = c.a >> 1 & 1
        control.keep_failed = c.a >> 2 & 1
        control.passes = <u32>c.b
        c.result = migrate_pages(&current.isolated, &control)
        if not c.a >> 3 & 1:
            putback_movable_pages(&current.isolated)
    op_leave()


cdef void perform_sync(call_t *c) noexcept nogil:
    """Locks, references and work items by themselves, for tests of locking. Their holds
    outlive the call, so there is no bracket to close."""
    cdef u32 *word = <u32 *>&H.scratch[8 * (c.a & (NR_SCRATCH - 1))]
    cdef page_t *page = memmap + c.a
    cdef z3fold_header *zhdr = header_at(pfn_to_address(c.a))
    cdef pool_t *pool = pool_at(c.pool)
    if c.call == CALL_LOCK:
        spin_lock(word, LC_RAW)
    elif c.call == CALL_TRYLOCK:
        c.result = spin_trylock(word, LC_RAW)
    elif c.call == CALL_UNLOCK:
        spin_unlock(word)
    elif c.call == CALL_READ_LOCK:
        read_lock(word, LC_RAW)
    elif c.call == CALL_READ_UNLOCK:
        read_unlock(word)
    elif c.call == CALL_WRITE_LOCK:
        write_lock(word, LC_RAW)
    elif c.call == CALL_WRITE_UNLOCK:
        write_unlock(word)
    elif c.call == CALL_LOCK_PAGE:
        lock_page(page)
    elif c.call == CALL_TRYLOCK_PAGE:
        c.result = trylock_page(page)
    elif c.call == CALL_UNLOCK_PAGE:
        unlock_page(page)
    elif c.call == CALL_LOCK_HEADER:
        z3fold_page_lock(zhdr)
    elif c.call == CALL_UNLOCK_HEADER:
        z3fold_page_unlock(zhdr)
    elif c.call == CALL_GET_PAGE:
        c.result = get_page_unless_zero(page)
    elif c.call == CALL_PUT_PAGE:
        put_page(page)
    elif c.call == CALL_ALLOC_PAGE:
        page = alloc_page(GFP_ATOMIC, FAIL_PAGE)
        c.result = page_to_pfn(page) if page != NULL else -ENOMEM
    elif c.call == CALL_QUEUE_WORK:
        c.result = queue_work_on(current.cpu, &pool.release_wq, &pool.work)
    elif c.call == CALL_CANCEL_WORK:
        c.result = cancel_work_sync(&pool.release_wq, &pool.work)
    elif c.call == CALL_RUN_WORK:
        c.result = run_one_work(&pool.release_wq, -1)
    elif c.call == CALL_FLUSH:
        flush_workqueue(&pool.release_wq)
    elif c.call == CALL_KREF_GET:
        kref_get(word)
    elif c.call == CALL_KREF_PUT:
        c.result = kref_put(word)
    elif c.call == CALL_MIGHT_SLEEP:
        might_sleep("might_sleep")


cdef void perform(void *argument) noexcept nogil:
    cdef call_t *c = <call_t *>argument
    if CALL_LOCK <= c.call:
        perform_sync(c)
    elif CALL_ISOLATE <= c.call <= CALL_OFFLINE or c.call == CALL_PROBE:
        perform_migration(c)
    elif c.call == CALL_RECOVER:
        recover_task(pool_at(c.pool), <u32>c.a)
    elif c.call == CALL_RELEASE_OBJECTS:
        free_all_objects(pool_at(c.pool))
    else:
        perform_allocator(c)
