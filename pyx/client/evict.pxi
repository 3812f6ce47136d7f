# The eviction callback, as zswap's writeback: learn the object's number from the payload,
# look it up, write the payload to the swap area, free the handle unless its owner does.


cdef u64 peek_object_id(u64 address) noexcept nogil:
    """The owner may be writing the payload at this moment: the number is only a guess, and is
    checked with a reference to the object taken."""
    data_race(RACE_OBJECT_ID)
    return (<u64 *>at(address))[0]


cdef i64 read_object_id(pool_t *pool, u64 handle) noexcept nogil:
    """The number at the start of the payload, which may be that of an object just freed, or
    of one not yet filled; -1 when it is no object's."""
    cdef u64 address = client_map(pool, handle)
    cdef u64 head = peek_object_id(address) if address else <u64>-1
    client_unmap(pool, handle)
    return <i64><u32>head if <u32>head < H.geometry.objects else -1


cdef int write_back(pool_t *pool, object_t *o) noexcept nogil:
    """Copy the payload of a referenced object to swap and free its handle; 0 or errno."""
    cdef u64 slot = swap_alloc()
    cdef u64 address
    cdef i64 wrong
    if slot == 0:
        return -ENOMEM
    address = client_map(pool, o.handle)
    gate()                              # writing back takes time
    memcpy(swap_page(slot), at(address), o.size)
    client_unmap(pool, o.handle)
    wrong = -1
    if o.version != 0:
        wrong = verify_pattern(swap_page(slot), object_id(o), o.size, o.version)
    if unlikely(wrong >= 0):
        corrupt_payload(o, o.handle, address, (<u64 *>(swap_page(slot) + (wrong & ~7)))[0], wrong,
                        "write_back")
    if not cas64(&o.word, my_reference(), OBJECT_EXCLUSIVE | my_reference()):
        swap_free(slot)                 # others read it, or its owner let it go meanwhile
        return -EAGAIN
    write_once32(&o.state, OBJECT_FREEING)
    client_free(pool, o)
    o.swap = slot
    write_once32(&o.state, OBJECT_SWAPPED)
    release_object(o)
    return 0


cdef int evict_object(pool_t *pool, object_t *o) noexcept nogil:
    cdef int result
    cdef u32 state
    if not get_object(o):
        # Whoever makes or frees it has it out of the table; a rewrite has it for itself.
        state = read_once32(&o.state)
        if read_once64(&o.word) & OBJECT_DYING or state != OBJECT_LIVE:
            return 0
        return -EAGAIN
    if o.state != OBJECT_LIVE:
        put_object(pool, o)
        return 0
    result = write_back(pool, o)
    if result != 0:
        put_object(pool, o)
    return result


cdef int client_evict(pool_t *pool, u64 handle) noexcept nogil:
    """0: the object is gone from the table, or was when we looked. Else it stays."""
    cdef i64 id
    cdef int result
    op_enter(OP_EVICT, handle, 0)
    id = read_object_id(pool, handle)
    if current.refuses_evictions or should_fail(FAIL_EVICT):
        result = -EIO
    elif id < 0:
        result = 0
    else:
        result = evict_object(pool, object_at(<u32>id))
    op_leave()
    count(N_EVICT if result == 0 else N_EVICT_FAILED)
    record(OP_EVICT, result, page_of_handle(handle), handle, <u64>id)
    return result
