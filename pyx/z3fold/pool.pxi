# z3fold_create_pool and z3fold_destroy_pool.


cdef inline pool_t *pool_number(u32 i) noexcept nogil:
    return <pool_t *>(A + H.pools) + i


cdef u64 alloc_percpu() noexcept nogil:
    """A block of per-CPU lists, or 0."""
    cdef u32 i
    for i in range(MAX_POOLS):
        if not fetch_or64(&H.percpu_used, <u64>1 << i) >> i & 1:
            return H.percpu + <u64>i * nr_cpus * TOTAL_CHUNKS * sizeof(list_head)
    return 0


cdef void free_percpu(u64 block) noexcept nogil:
    cdef u64 i = (block - H.percpu) // (<u64>nr_cpus * TOTAL_CHUNKS * sizeof(list_head))
    fetch_and64(&H.percpu_used, ~(<u64>1 << i))


cdef inline bint geometry_fits() noexcept nogil:
    """The header, and beside it at least one chunk (014284a0815f)."""
    return ZHDR_CHUNKS * CHUNK_SIZE >= <int>sizeof(z3fold_header) and NCHUNKS >= 1


cdef pool_t *free_pool(i32 number) noexcept nogil:
    """The pool of this number, or (-1) any, if it is free."""
    cdef u32 i
    for i in range(MAX_POOLS):
        if number >= 0 and i != <u32>number:
            continue
        if cas32(&pool_number(i).state, POOL_NONE, POOL_DESTROYING):
            pool_number(i).id = i
            return pool_number(i)
    return NULL


cdef int z3fold_create_pool(i32 number, u32 evicts, pool_t **created) noexcept nogil:
    """0, -EINVAL for a geometry that cannot work, -ENOMEM; unwinds in reverse. number: which,
    where a program names its pools; -1: any that is free."""
    cdef pool_t *pool
    cdef u32 cpu
    cdef int i
    if not geometry_fits() and sound(ALLOC_THRESHOLD_UNDERFLOW):
        return -EINVAL
    pool = free_pool(number)
    if pool == NULL:
        return -ENOMEM
    pool.cache = not should_fail(FAIL_CREATE)
    if not pool.cache:
        write_once32(&pool.state, POOL_NONE)
        return -ENOMEM
    pool.percpu = 0 if should_fail(FAIL_CREATE) else alloc_percpu()
    if pool.percpu == 0:
        pool.cache = 0
        write_once32(&pool.state, POOL_NONE)
        return -ENOMEM
    for cpu in range(nr_cpus):
        for i in range(TOTAL_CHUNKS):
            init_list_head(unbuddied_list(pool, cpu, i))
    spin_lock_init(&pool.lock)
    spin_lock_init(&pool.stale_lock)
    init_list_head(&pool.lru)
    init_list_head(&pool.stale)
    init_workqueue(&pool.compact_wq)
    init_workqueue(&pool.release_wq)
    if should_fail(FAIL_CREATE):        # the queues, the inode
        if sound(CREATE_ERROR_LEAK):
            free_percpu(pool.percpu)
        pool.percpu = 0
        pool.cache = 0
        write_once32(&pool.state, POOL_NONE)
        return -ENOMEM
    init_work(&pool.work, WORK_RELEASE)
    pool.pages_nr = 0
    pool.isolated = 0
    pool.slots_nr = 0
    pool.evicts = evicts
    pool.inode = 1
    store_release32(&pool.state, POOL_LIVE)
    created[0] = pool
    return 0


cdef i64 isolated_pages(pool_t *pool) noexcept nogil:
    """Read under the pool lock: who ends an isolation must have let go of the lock as well."""
    cdef i64 isolated
    spin_lock(&pool.lock, LC_POOL)
    isolated = pool.isolated
    spin_unlock(&pool.lock)
    return isolated


cdef void wait_for_isolated(pool_t *pool) noexcept nogil:
    """A page in the hands of the migration engine will queue work, or be released."""
    cdef u32 spins = 0
    cdef u64 turns = 0
    cdef i64 isolated
    might_sleep("z3fold_destroy_pool")
    isolated = isolated_pages(pool)
    while (isolated != 0) != defect(DESTROY_WAIT_INVERTED):
        relax_until_changed(&spins, <u64 *>&pool.isolated, <u64>isolated)
        check_company(spins, "z3fold_destroy_pool")
        isolated = isolated_pages(pool)
        turns += 1
        if defect(DESTROY_WAIT_INVERTED) and turns > 100000:
            bug(V_DEADLOCK, "z3fold_destroy_pool", 0, 0, 0,
                "waits for an isolated page, but isolation refuses while destroying: "
                "nobody can wake it")


cdef void destroy_cache(pool_t *pool) noexcept nogil:
    if unlikely(pool.slots_nr != 0):
        verdict(V_LEAK, "z3fold_destroy_pool", 0, 0, 0,
                "%lld slots objects are alive when their cache is destroyed", pool.slots_nr)
    pool.cache = 0


cdef void z3fold_destroy_pool(pool_t *pool) noexcept nogil:
    """No live handle may be left: the caller's duty."""
    if sound(DESTROY_VS_MIGRATE_QUEUE) or defect(DESTROY_WAIT_INVERTED):
        spin_lock(&pool.lock, LC_POOL)
        store_release32(&pool.state, POOL_DESTROYING)
        spin_unlock(&pool.lock)
        wait_for_isolated(pool)
    if defect(POOL_LOOKUP_THROUGH_FREED_SLOTS):
        destroy_cache(pool)             # as posted: slots went with the last handle
    if defect(DESTROY_UNREGISTER_BEFORE_DRAIN):
        write_once64(&pool.inode, 0)
    if defect(DESTROY_RELEASE_WQ_FIRST):
        destroy_workqueue(&pool.release_wq)
        destroy_workqueue(&pool.compact_wq)
    else:
        destroy_workqueue(&pool.compact_wq)
        destroy_workqueue(&pool.release_wq)
    if sound(POOL_LOOKUP_THROUGH_FREED_SLOTS):
        destroy_cache(pool)             # the release worker gave back the last of them
    if unlikely(pool.pages_nr != 0):
        verdict(V_LEAK, "z3fold_destroy_pool", 0, 0, 0,
                "%lld pages are left when their pool is destroyed", pool.pages_nr)
    write_once64(&pool.inode, 0)
    if sound(DESTROY_LEAKS_PERCPU_LISTS):
        free_percpu(pool.percpu)
    pool.percpu = 0
    store_release32(&pool.state, POOL_NONE)


cdef void init_subject() noexcept nogil:
    """Tell the layers below whose callbacks to call. Once a process."""
    global isolate_callback, migrate_callback, putback_callback
    isolate_callback = z3fold_page_isolate
    migrate_callback = z3fold_page_migrate
    putback_callback = z3fold_page_putback
    work_function[WORK_COMPACT] = compact_page_work
    work_function[WORK_RELEASE] = free_pages_work
