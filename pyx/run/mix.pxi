# What a worker of a soak does: random operations on random objects of the table.
#
# An empty object is allocated and filled; a live one is mapped and verified, or freed, or
# written anew; one that was evicted comes back from swap first. Any worker may take any
# object, so one frees what another allocated, and several map the same one.

cdef enum:
    HOT_OBJECTS = 8

cdef struct mix_t:
    u64 pool
    u64 operations                      # 0: until told to stop
    u32 alloc_below                     # of 2^32: an empty object is allocated
    u32 free_below                      # of 2^32: a live one is freed
    u32 rewrite_below                   # of 2^32: (after free_below) written anew
    u32 atomic_below                    # of 2^32: an allocation may not sleep
    u32 linger_below                    # of 2^32: a map is held while another is taken
    u32 hot_below                       # of 2^32: an object that everyone likes
    u32 nr_sizes
    const u16 *sizes


cdef inline u32 coin(u64 *r) noexcept nogil:
    """32 fresh bits."""
    r[0] = random64(current)
    return <u32>(r[0] >> 32)


cdef void fill_empty(pool_t *pool, object_t *o, const mix_t *m) noexcept nogil:
    cdef u64 r
    cdef u32 size
    cdef int gfp = GFP_ATOMIC if coin(&r) < m.atomic_below else GFP_KERNEL
    size = m.sizes[random_below(current, m.nr_sizes)]
    write_once32(&o.owner, me)
    o.size = size if size > MIN_PAYLOAD else MIN_PAYLOAD
    if client_alloc(pool, o, o.size, gfp) == 0:
        fill_object(pool, o)
        write_once32(&o.state, OBJECT_LIVE)
    else:
        write_once32(&o.owner, 0)


cdef void swap_in(pool_t *pool, object_t *o) noexcept nogil:
    cdef u64 address, slot = o.swap
    if client_alloc(pool, o, o.size, GFP_KERNEL) != 0:
        return
    address = client_map(pool, o.handle)
    memcpy(at(address), swap_page(slot), o.size)
    client_unmap(pool, o.handle)
    op_enter(OP_FREE, 0, object_id(o))
    o.swap = 0
    swap_free(slot)
    op_leave()
    write_once32(&o.state, OBJECT_LIVE)
    count(N_SWAP_IN)


cdef void change_object(pool_t *pool, object_t *o, const mix_t *m, u32 dice) noexcept nogil:
    """What needs the object for oneself."""
    if not claim_object(o):
        return
    if o.state == OBJECT_EMPTY:
        fill_empty(pool, o, m)
    elif o.state == OBJECT_SWAPPED:
        swap_in(pool, o)
    elif dice < m.free_below:
        if o.owner != me:
            count(N_HANDED_OVER)
        free_claimed_object(pool, o)
        return
    else:
        fill_object(pool, o)
        count(N_REWRITE)
    release_object(o)


cdef void read_object(pool_t *pool, object_t *o, const mix_t *m, bint linger) noexcept nogil:
    """Map and verify; now and then hold the map while another object is mapped."""
    cdef u64 address, r
    if not get_object(o):
        return
    if o.state == OBJECT_LIVE:
        address = client_map(pool, o.handle)
        if address:
            check_object(o, address, "map")
            count(N_VERIFIED)
            if linger and current.nr_maps < MAX_MAPS - 2:
                read_object(pool, random_object(m), m,
                            coin(&r) < m.linger_below)
                check_object(o, address, "map held")
        client_unmap(pool, o.handle)
    put_object(pool, o)


cdef inline object_t *random_object(const mix_t *m) noexcept nogil:
    cdef u64 r
    if coin(&r) < m.hot_below:
        return object_at(<u32>r & (HOT_OBJECTS - 1))
    return object_at(<u32>((<u64><u32>r * H.geometry.objects) >> 32))


cdef void random_operation(pool_t *pool, const mix_t *m) noexcept nogil:
    cdef u64 r
    cdef u32 dice = coin(&r)
    cdef object_t *o = random_object(m)
    cdef u32 state = read_once32(&o.state)
    if state == OBJECT_EMPTY:
        if dice < m.alloc_below:
            change_object(pool, o, m, dice)
    elif state == OBJECT_LIVE:
        if dice < m.free_below and read_once64(&o.word) != 0:
            if free_object(pool, o) and read_once32(&o.owner) != me:
                count(N_HANDED_OVER)
        elif dice < m.rewrite_below:
            change_object(pool, o, m, dice)
        else:
            read_object(pool, o, m, coin(&r) < m.linger_below)
    else:
        change_object(pool, o, m, dice)


cdef void park(u32 level) noexcept nogil:
    """A quiet point: stay outside while the pause is of this level, or a higher one. Who has said that it runs looks once
    more: the next quiet point may have begun, and taken it for parked."""
    while True:
        store_release32(&current.state, TASK_PARKED)
        while read_once32(&H.pause) >= level and not read_once32(&H.stop):
            nap(200000)
        cas32(&current.state, TASK_PARKED, TASK_RUNNING)    # a full barrier before the look
        if read_once32(&H.pause) < level or read_once32(&H.stop):
            return


cdef void worker_loop(void *argument) noexcept nogil:
    cdef const mix_t *m = <const mix_t *>argument
    cdef pool_t *pool = pool_at(m.pool)
    cdef u64 done = 0
    while not read_once32(&H.stop):
        if unlikely(read_once32(&H.pause) != 0):
            park(1)
        random_operation(pool, m)
        done += 1
        if unlikely(done & 4095 == 0):
            current.cpu = random_below(current, nr_cpus)    # as a scheduler would move it
        if unlikely(done == m.operations):
            break
