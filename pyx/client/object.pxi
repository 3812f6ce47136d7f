# The object table: what the allocator's caller knows. After zswap's tree: an object has
# references; who drops the last one of a dying object frees it.
#
# Everything a task does here is readable after its death. References are a bit a task, an
# allocation writes the handle into the table inside the operation's bracket, and what a
# dead task had can be given back by another (recover_task).

cdef u64 OBJECT_DYING = <u64>1 << 62    # who drops the last reference frees it
cdef u64 OBJECT_EXCLUSIVE = <u64>1 << 63
cdef u64 OBJECT_REFERENCES = (<u64>1 << 60) - 1


cdef inline object_t *object_at(u32 id) noexcept nogil:
    return <object_t *>(A + H.objects) + id


cdef inline u32 object_id(object_t *o) noexcept nogil:
    return <u32>(o - object_at(0))


cdef inline u64 my_reference() noexcept nogil:
    return <u64>1 << (me - 1)


cdef inline bint get_object(object_t *o) noexcept nogil:
    """Take a reference; false for one that is dying or in somebody's exclusive use, and for
    one that this task refers to already: it has a single bit to do so."""
    cdef u64 word = read_once64(&o.word)
    while word & (OBJECT_DYING | OBJECT_EXCLUSIVE | my_reference()) == 0:
        if cas64(&o.word, word, word | my_reference()):
            return True
        word = read_once64(&o.word)
    return False


cdef inline bint claim_object(object_t *o) noexcept nogil:
    return read_once64(&o.word) == 0 and cas64(&o.word, 0, OBJECT_EXCLUSIVE | my_reference())


cdef inline void release_object(object_t *o) noexcept nogil:
    store_release64(&o.word, 0)


cdef void put_object(pool_t *pool, object_t *o) noexcept nogil:
    cdef u64 left = fetch_and64(&o.word, ~my_reference()) & ~my_reference()
    if left == OBJECT_DYING and claim_dying(o):
        free_claimed_object(pool, o)


cdef inline bint claim_dying(object_t *o) noexcept nogil:
    """A dying object whose last holder was killed before it could free it."""
    return (read_once64(&o.word) == OBJECT_DYING
            and cas64(&o.word, OBJECT_DYING, OBJECT_EXCLUSIVE | my_reference()))


cdef inline u64 page_of_handle(u64 handle) noexcept nogil:
    """Where a handle leads now, for records only: read without a lock."""
    if in_sim():
        return 0                        # a look that nobody needs, and others would be blamed for
    if handle & 1:
        return page_of_address(handle)
    if handle < H.slots or handle >= H.size or handle & 7:
        return 0
    return page_of_address(own_word(at(handle)))


cdef u32 swap_alloc() noexcept nogil:
    return free_list_pop(&H.free_swap[0], A + H.swapmap, sizeof(u64))


cdef void swap_free(u64 slot) noexcept nogil:
    free_list_push(&H.free_swap[0], A + H.swapmap, sizeof(u64), <u32>slot)


cdef inline char *swap_page(u64 slot) noexcept nogil:
    return A + H.swap + (slot - 1) * PAGE_SIZE


cdef inline u64 client_map(pool_t *pool, u64 handle, u64 object_=0) noexcept nogil:
    """Map inside the bracket, and note it where a recovery finds it, with the object (its number
    + 1) that a program will ask for."""
    cdef u64 address
    cdef map_t *m = &current.maps[current.nr_maps & (MAX_MAPS - 1)]
    op_enter(OP_MAP, handle, 0)
    address = z3fold_map(pool, handle)
    m.object = object_
    m.handle = handle
    m.page = page_of_address(address)
    m.address = address
    barrier()
    current.nr_maps += 1
    op_leave()
    count(N_MAP)
    record(OP_MAP, 0, m.page, handle, address)
    return address


cdef inline void client_unmap(pool_t *pool, u64 handle) noexcept nogil:
    cdef u32 i = current.nr_maps
    op_enter(OP_UNMAP, handle, 0)
    z3fold_unmap(pool, handle)
    while i:
        i -= 1
        if current.maps[i].handle == handle:
            current.nr_maps -= 1
            current.maps[i] = current.maps[current.nr_maps]
            break
    op_leave()
    record(OP_UNMAP, 0, 0, handle, 0)


cdef inline int client_alloc(pool_t *pool, object_t *o, u32 size, int gfp) noexcept nogil:
    """Allocate for a claimed object; its handle is in the table before the bracket ends."""
    cdef int result
    write_once64(&o.pool, offset_of(pool))
    op_enter(OP_ALLOC, size, object_id(o))
    if gfp == GFP_ATOMIC:
        preempt_disable()
    result = z3fold_alloc(pool, size, gfp, &o.handle)
    if gfp == GFP_ATOMIC:
        preempt_enable()
    op_leave()
    if result == 0:
        count(N_ALLOC)
        if o.handle & 1:
            count(N_ALLOC_HEADLESS)
        record(OP_ALLOC, 0, page_of_handle(o.handle), o.handle, size)
    else:
        count(N_ALLOC_FAILED)
        record(OP_ALLOC, result, 0, 0, size)
    return result


cdef inline void client_free(pool_t *pool, object_t *o) noexcept nogil:
    cdef u64 handle = o.handle
    cdef u64 page = page_of_handle(handle) if recording else 0
    op_enter(OP_FREE, handle, object_id(o))
    z3fold_free(pool, handle)
    o.handle = 0
    op_leave()
    count(N_FREE)
    record(OP_FREE, 0, page, handle, object_id(o))


cdef void free_claimed_object(pool_t *pool, object_t *o) noexcept nogil:
    """Free an object that is ours alone, wherever its contents are, and let go of it."""
    cdef u64 slot
    if o.handle != 0:
        write_once32(&o.state, OBJECT_FREEING)
        client_free(pool, o)
    if o.swap != 0:
        op_enter(OP_FREE, 0, object_id(o))
        slot = o.swap
        o.swap = 0
        swap_free(slot)
        op_leave()
    write_once32(&o.state, OBJECT_EMPTY)
    write_once32(&o.owner, 0)
    release_object(o)


cdef bint free_object(pool_t *pool, object_t *o) noexcept nogil:
    """Free, or where others hold references, leave it to the last of them. False: busy."""
    cdef u64 word
    if claim_object(o):
        free_claimed_object(pool, o)
        return True
    word = read_once64(&o.word)
    return (word != 0 and word & (OBJECT_DYING | OBJECT_EXCLUSIVE) == 0
            and cas64(&o.word, word, word | OBJECT_DYING))


cdef void corrupt_payload(object_t *o, u64 handle, u64 address, u64 value, i64 byte,
                          const char *where) noexcept nogil:
    if value == POISON:
        verdict(V_USE_AFTER_FREE, where, page_of_address(address), handle, 0,
                "object %llu: byte %llu of %llu is freed memory", object_id(o), byte, o.size)
    else:
        verdict(V_CORRUPTION, where, page_of_address(address), handle, 0,
                "object %llu: byte %llu holds 0x%llx, which is not what was written",
                object_id(o), byte, value)


cdef void enter_payload(u64 handle) noexcept nogil:
    """What follows touches this object only: the chunks that its page's header gives to it now.
    In the live world nobody watches."""
    cdef z3fold_header *zhdr
    cdef u64 word, page, low, high
    cdef int buddy
    if not accesses_seen():
        return
    gate_look_away()
    page = page_of_address(handle) if handle & 1 else page_of_address(slot_word(handle))
    low = page
    high = page + PAGE_SIZE
    if not handle & 1:
        zhdr = header_at(page)
        word = slot_word(handle)
        buddy = handle_to_buddy(zhdr, word)
        if buddy == FIRST:
            low += <u64>ZHDR_CHUNKS << CHUNK_SHIFT
            high = low + (<u64>zhdr.first_chunks << CHUNK_SHIFT)
        elif buddy == MIDDLE:
            low += <u64>zhdr.start_middle << CHUNK_SHIFT
            high = low + (<u64>zhdr.middle_chunks << CHUNK_SHIFT)
        else:
            low = high - (handle_to_chunks(word) << CHUNK_SHIFT)
    gate_look_again()
    payload_begin(low, high)


cdef bint check_object(object_t *o, u64 address, const char *where) noexcept nogil:
    """Verify the payload of a mapped object; a difference is a verdict."""
    cdef i64 wrong
    cdef u64 value = 0
    enter_payload(o.handle)
    wrong = verify_pattern(<char *>at(address), object_id(o), o.size, o.version)
    payload_end()
    counter(N_VERIFIED_BYTES)[0] += o.size
    if not unlikely(wrong >= 0):
        return True
    memcpy(&value, at(address + wrong), 8 if wrong + 8 <= o.size else o.size - wrong)
    corrupt_payload(o, o.handle, address, value, wrong, where)
    return False


cdef void fill_object(pool_t *pool, object_t *o) noexcept nogil:
    """Write a new version of a claimed object's payload."""
    cdef u64 address = client_map(pool, o.handle)
    if address:
        o.version += 1
        enter_payload(o.handle)
        fill_pattern(address, object_id(o), me, o.size, o.version)
        payload_end()
    client_unmap(pool, o.handle)


cdef void recover_task(pool_t *pool, u32 dead) noexcept nogil:
    """Give back what a task had when it died outside every operation: its maps, its
    references, its half-made objects, and the objects it owned."""
    cdef task_t *t = task_at(dead)
    cdef u64 bit = <u64>1 << (dead - 1)
    cdef u64 word
    cdef object_t *o
    cdef u32 i
    op_enter(OP_RECOVER, dead, 0)
    while t.nr_maps:
        z3fold_unmap(pool, t.maps[t.nr_maps - 1].handle)
        t.nr_maps -= 1
    op_leave()
    for i in range(H.geometry.objects):
        o = object_at(i)
        word = read_once64(&o.word)
        if word & bit:
            if word & OBJECT_EXCLUSIVE:
                free_claimed_object(pool, o)
                continue
            fetch_and64(&o.word, ~bit)
        if claim_dying(o):
            free_claimed_object(pool, o)
            continue
        if read_once32(&o.owner) == dead and read_once32(&o.state) != OBJECT_EMPTY:
            free_object(pool, o)
