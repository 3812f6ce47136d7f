# z3fold_free.


cdef void free_handle(pool_t *pool, u64 handle) noexcept nogil:
    """Clear the slot. As posted, the slots object goes with its last handle."""
    cdef z3fold_buddy_slots *slots = <z3fold_buddy_slots *>at(handle_to_slots(handle))
    cdef int i
    if unlikely(slot_word(handle) == 0):
        verdict(V_DOUBLE_FREE, "free_handle", 0, handle, 0, "the handle is freed a second time")
    write_once64(<u64 *>at(handle), 0)
    if sound(POOL_LOOKUP_THROUGH_FREED_SLOTS):
        return
    for i in range(4):
        if slots.slot[i] != 0:
            return
    kmem_cache_free(pool, offset_of(slots))


cdef void free_headless(pool_t *pool, page_t *page) noexcept nogil:
    """A claimed page is left to reclaim, with a note that nobody else will free it."""
    spin_lock(&pool.lock, LC_POOL)
    if test_and_set_bit(PAGE_CLAIMED, &page.private):
        if test_and_set_bit(PAGE_FREED, &page.private):
            verdict(V_DOUBLE_FREE, "free_headless", page_address(page), page_address(page) | 1, 0,
                    "the headless page is freed a second time")
        spin_unlock(&pool.lock)
        return
    list_del(&page.lru)
    spin_unlock(&pool.lock)
    free_z3fold_page(page, True)
    fetch_add_i64(&pool.pages_nr, -1)


cdef void free_and_compact_now(pool_t *pool, z3fold_header *zhdr) noexcept nogil:
    """On no CPU's list: there is no queue to wait for. The page lock is held."""
    cdef page_t *page = header_page(zhdr)
    cdef bint claimed = False
    spin_lock(&pool.lock, LC_POOL)
    list_del_init(&zhdr.buddy)
    spin_unlock(&pool.lock)
    zhdr.cpu = -1
    if sound(COMPACT_VS_FREE_NO_REF):
        kref_get(&zhdr.refcount)
    if defect(FREE_HOLDS_CLAIM_OVER_COMPACTION):
        claimed = not test_and_set_bit(PAGE_CLAIMED, &page.private)
    do_compact_page(zhdr, True)
    if claimed:
        clear_bit(PAGE_CLAIMED, &page.private)


cdef void z3fold_free(pool_t *pool, u64 handle) noexcept nogil:
    cdef z3fold_header *zhdr
    cdef page_t *page
    cdef u64 word
    cdef int buddy
    if handle & 1:
        free_headless(pool, headless_page(pool, handle, "z3fold_free"))
        return
    zhdr = get_z3fold_header(pool, handle, "z3fold_free")
    page = header_page(zhdr)
    word = slot_word(handle)
    buddy = handle_to_buddy(zhdr, word)
    if buddy == FIRST:
        zhdr.first_chunks = 0
    elif buddy == MIDDLE:
        zhdr.middle_chunks = 0
    elif buddy == LAST:
        zhdr.last_chunks = 0
    else:
        verdict(V_STALE_HANDLE, "z3fold_free", header_address(zhdr), handle, 0,
                "slot word 0x%llx names no buddy", word)
        z3fold_page_unlock(zhdr)
        return
    free_handle(pool, handle)
    if kref_put(&zhdr.refcount):
        spin_lock(&pool.lock, LC_POOL)
        list_del_init(&zhdr.buddy)
        spin_unlock(&pool.lock)
        release_z3fold_page(zhdr, True)
        fetch_add_i64(&pool.pages_nr, -1)
        return
    if defect(ISOLATE_IGNORES_CLAIM) and (test_bit(PAGE_CLAIMED, &page.private)
                                          or PageIsolated(page)):
        z3fold_page_unlock(zhdr)        # as posted: whoever has the page compacts it, or nobody
        return
    if test_and_set_bit(NEEDS_COMPACTING, &page.private):
        z3fold_page_unlock(zhdr)
        return
    if zhdr.cpu < 0 or <u32>zhdr.cpu >= nr_cpus:
        free_and_compact_now(pool, zhdr)
        return
    if sound(COMPACT_VS_FREE_NO_REF):
        kref_get(&zhdr.refcount)
    queue_work_on(<u32>zhdr.cpu, &pool.compact_wq, &zhdr.work)
    z3fold_page_unlock(zhdr)
