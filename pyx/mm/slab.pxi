# The cache of slots objects. One for all pools, as slab merging makes it in the kernel: a
# freed object may come back in another pool. Counts the live objects of each pool.


cdef u64 kmem_cache_alloc(pool_t *pool, int gfp) noexcept nogil:
    """A zeroed slots object of this pool (its offset), or 0."""
    cdef u32 index
    cdef int i
    cdef z3fold_buddy_slots *slots
    if gfp & GFP_KERNEL:
        might_sleep("kmem_cache_alloc")
    if should_fail(FAIL_SLOTS):
        return 0
    slots = <z3fold_buddy_slots *>at(slots_start)
    index = free_list_pop(&H.free_slots[0], <char *>&slots.next_free, sizeof(z3fold_buddy_slots))
    if index == 0:
        return 0
    fetch_add_i64(&H.slots_free, -1)
    slots += index - 1
    gate_birth(offset_of(slots))
    if unlikely(slots.state != SLOTS_FREE):
        bug(V_DOUBLE_FREE, "kmem_cache_alloc", 0, offset_of(slots), 0,
            "a live slots object is on the free list")
    if slots.generation != 0:
        for i in range(4):
            if unlikely(slots.slot[i] != POISON):
                verdict(V_USE_AFTER_FREE, "kmem_cache_alloc", 0, offset_of(slots), 0,
                        "slot %llu was written to after its object was freed: 0x%llx",
                        i, slots.slot[i])
    for i in range(4):
        slots.slot[i] = 0
    slots.pool = offset_of(pool)
    slots.lock = 0
    slots.state = SLOTS_ALLOCATED
    fetch_add_i64(&pool.slots_nr, 1)
    return offset_of(slots)


cdef inline bint is_slots(u64 offset) noexcept nogil:
    return slots_start <= offset < slots_end and offset & (CACHE_LINE - 1) == 0


cdef void kmem_cache_free(pool_t *pool, u64 offset) noexcept nogil:
    cdef z3fold_buddy_slots *slots = <z3fold_buddy_slots *>at(offset)
    if unlikely(not is_slots(offset)):
        bug(V_STALE_HANDLE, "kmem_cache_free", 0, offset, 0,
            "0x%llx is not a slots object of the cache", offset)
    if unlikely(slots.state != SLOTS_ALLOCATED):
        bug(V_DOUBLE_FREE, "kmem_cache_free", 0, offset, 0,
            "slots object 0x%llx is freed a second time", offset)
    check_no_locks_in(offset, sizeof(z3fold_buddy_slots))
    gate_death(offset)
    poison_memory(&slots.slot[0], POISON_BYTE, sizeof(slots.slot))
    poison_memory(&slots.lock, POISON_BYTE, sizeof(slots.lock))     # the pool stays, as in a slab
    slots.state = SLOTS_FREE
    slots.generation += 1
    fetch_add_i64(&pool.slots_nr, -1)
    fetch_add_i64(&H.slots_free, 1)
    slots = <z3fold_buddy_slots *>at(slots_start)
    free_list_push(&H.free_slots[0], <char *>&slots.next_free, sizeof(z3fold_buddy_slots),
                   <u32>((offset - slots_start) // sizeof(z3fold_buddy_slots)) + 1)
