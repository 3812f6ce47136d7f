# What the operations of a program on objects, pools and queues do: run_NAME for CODE_NAME.
#
# Objects are named by their number in the object table and handled by its protocol
# (client/object.pxi): an operation on an object that is not there does nothing, nor does one on a
# pool that is not there.


cdef inline pool_t *pool_of(const instruction *i) noexcept nogil:
    return pool_number(i.pool)


cdef inline bint pool_is_there(const instruction *i) noexcept nogil:
    return read_once32(&pool_of(i).state) != POOL_NONE


cdef map_t *my_map(object_t *o) noexcept nogil:
    """This task's map of an object; null when it has none. Its own note of it is all that it may
    look at: without a map it has no reference, and the rest of the object is others' to change."""
    cdef u32 i = current.nr_maps
    cdef u64 number = object_id(o) + 1
    while i:
        i -= 1
        if current.maps[i].object == number:
            return &current.maps[i]
    return NULL


cdef void alloc_named(pool_t *pool, object_t *o, u32 size, int gfp, bint fill) noexcept nogil:
    """Nobody else sees the object before it is filled, if it is to be."""
    cdef u32 operation
    if not claim_object(o):
        return
    if o.state == OBJECT_EMPTY:
        operation = history_invoke(object_id(o), True, fill)
        write_once32(&o.owner, me)
        o.size = size
        o.version = 0
        if client_alloc(pool, o, size, gfp) == 0:
            if fill:
                fill_object(pool, o)
            write_once32(&o.state, OBJECT_LIVE)
        else:
            write_once32(&o.owner, 0)
        history_respond(operation, fill)
    release_object(o)


cdef void fill_named(pool_t *pool, object_t *o) noexcept nogil:
    cdef u32 operation, version
    if not claim_object(o):
        return
    if o.state == OBJECT_LIVE:
        version = o.version + 1
        operation = history_invoke(object_id(o), True, version)
        fill_object(pool, o)
        history_respond(operation, version)
    release_object(o)


cdef map_t *map_named(pool_t *pool, object_t *o) noexcept nogil:
    """Holds a reference to the object until the unmap, as a load of zswap does. Null: it is not
    there, or this task has it mapped already."""
    if not get_object(o):
        return NULL
    if o.state == OBJECT_LIVE and client_map(pool, o.handle, object_id(o) + 1) != 0:
        return my_map(o)
    put_object(pool, o)
    return NULL


cdef void check_named(object_t *o) noexcept nogil:
    cdef map_t *m = my_map(o)
    if m != NULL and o.version != 0:
        check_object(o, m.address, "check")


cdef void unmap_named(pool_t *pool, object_t *o) noexcept nogil:
    if my_map(o) == NULL:
        return
    client_unmap(pool, o.handle)
    put_object(pool, o)


cdef void write_mapped(object_t *o, map_t *m) noexcept nogil:
    """A new version, written where others may be reading: ordering that is the program's duty."""
    cdef u32 version = fetch_add32(&o.version, 1) + 1
    cdef u32 operation = history_invoke(object_id(o), True, version)
    fill_pattern(m.address, object_id(o), me, o.size, version)
    history_respond(operation, version)


cdef void read_mapped(object_t *o, map_t *m) noexcept nogil:
    """Which version is there? One that is none, or a mix of two, is corruption."""
    cdef u32 operation, version = read_once32(&o.version)
    if version == 0:
        return
    operation = history_invoke(object_id(o), False, 0)
    while version and verify_pattern(<char *>at(m.address), object_id(o), o.size, version) >= 0:
        version -= 1
    if version == 0:
        verdict(V_CORRUPTION, "read", m.page, o.handle, 0,
                "object %llu holds no version that was written", object_id(o))
    history_respond(operation, version)


cdef void access_named(pool_t *pool, object_t *o, bint write) noexcept nogil:
    """Map, write or read, unmap; through the map that this task has, where it has one."""
    cdef map_t *own = my_map(o)
    cdef map_t *m = own if own != NULL else map_named(pool, o)
    if m == NULL:
        return
    if write:
        write_mapped(o, m)
    else:
        read_mapped(o, m)
    if own == NULL:
        unmap_named(pool, o)


cdef void run_or_wait(workqueue_t *wq) noexcept nogil:
    """Run one item, after whoever runs one now."""
    cdef u32 spins = 0
    cdef u64 running
    while not run_one_work(wq, -1):
        gate_peek(&wq.running, False)
        gate_look_away()
        running = wq.running
        gate_look_again()
        if not in_sim() or running == 0:
            return                      # another took the item
        relax_until_changed(&spins, &wq.running, running)


cdef void work_once(workqueue_t *wq) noexcept nogil:
    """One item of a queue; in the sim world, when there is one (or none can come). The queue of
    a pool that is gone, or not there yet, is empty."""
    if not in_sim() or gate_wait_work(&wq.items):
        run_or_wait(wq)


cdef void run_create_pool(const instruction *i) noexcept nogil:
    cdef pool_t *pool = pool_of(i)
    op_enter(OP_CREATE_POOL, 0, 0)
    z3fold_create_pool(i.pool, EVICTS_BY_TABLE if i.a else 0, &pool)
    op_leave()


cdef void run_destroy_pool(const instruction *i) noexcept nogil:
    if pool_is_there(i):
        op_enter(OP_DESTROY_POOL, 0, 0)
        z3fold_destroy_pool(pool_of(i))
        op_leave()


cdef void run_compact_work(const instruction *i) noexcept nogil:
    work_once(&pool_of(i).compact_wq)


cdef void run_release_work(const instruction *i) noexcept nogil:
    work_once(&pool_of(i).release_wq)


cdef void run_drain(const instruction *i) noexcept nogil:
    cdef pool_t *pool = pool_of(i)
    if pool_is_there(i):
        while run_one_work(&pool.compact_wq, -1) or run_one_work(&pool.release_wq, -1):
            pass


cdef void run_queue_work(const instruction *i) noexcept nogil:
    if pool_is_there(i):
        queue_work_on(current.cpu, &pool_of(i).release_wq, &pool_of(i).work)


cdef void run_cancel_work(const instruction *i) noexcept nogil:
    if pool_is_there(i):
        cancel_work_sync(&pool_of(i).release_wq, &pool_of(i).work)


cdef void run_flush_work(const instruction *i) noexcept nogil:
    if pool_is_there(i):
        flush_workqueue(&pool_of(i).release_wq)


cdef void run_alloc(const instruction *i) noexcept nogil:
    if pool_is_there(i):
        alloc_named(pool_of(i), object_at(<u32>i.a), <u32>i.b,
                    GFP_ATOMIC if i.flags & FLAG_ATOMIC else GFP_KERNEL,
                    (i.flags & FLAG_FILL) != 0)


cdef void run_free(const instruction *i) noexcept nogil:
    if pool_is_there(i):
        free_object(pool_of(i), object_at(<u32>i.a))


cdef void run_fill(const instruction *i) noexcept nogil:
    if pool_is_there(i):
        fill_named(pool_of(i), object_at(<u32>i.a))


cdef void run_map(const instruction *i) noexcept nogil:
    if pool_is_there(i):
        map_named(pool_of(i), object_at(<u32>i.a))


cdef void run_check(const instruction *i) noexcept nogil:
    if pool_is_there(i):
        check_named(object_at(<u32>i.a))


cdef void run_unmap(const instruction *i) noexcept nogil:
    if pool_is_there(i):
        unmap_named(pool_of(i), object_at(<u32>i.a))


cdef void run_write(const instruction *i) noexcept nogil:
    if pool_is_there(i):
        access_named(pool_of(i), object_at(<u32>i.a), True)


cdef void run_read(const instruction *i) noexcept nogil:
    if pool_is_there(i):
        access_named(pool_of(i), object_at(<u32>i.a), False)


cdef void run_reclaim(const instruction *i) noexcept nogil:
    if pool_is_there(i):
        op_enter(OP_RECLAIM, i.a, 0)
        z3fold_reclaim_page(pool_of(i), <u32>i.a)
        op_leave()


cdef void run_free_all(const instruction *i) noexcept nogil:
    if pool_is_there(i):
        free_all_objects(pool_of(i))


cdef void run_probe(const instruction *i) noexcept nogil:
    if pool_is_there(i):
        probe_migration(<u32>i.a)
        probe_reclaim(pool_of(i))


cdef void run_audit(const instruction *i) noexcept nogil:
    """A quiet point within a program: whoever wrote it knows that nobody else is inside."""
    cdef finding_t first
    cdef int nr
    gate_look_away()
    nr = audit_arena(&first, 1, -1)
    gate_look_again()
    if nr > 0:
        verdict(<int>first.kind, "audit", first.page, first.handle, 0, first.text)
