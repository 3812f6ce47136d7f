# The end of a page: the last reference puts it on the stale list, the release worker frees
# it from there. It may still be looked at until then (cancel_work_sync, isolation).


cdef inline pool_t *zhdr_to_pool(z3fold_header *zhdr) noexcept nogil:
    cdef z3fold_buddy_slots *slots
    if sound(POOL_LOOKUP_THROUGH_FREED_SLOTS):
        return pool_at(zhdr.pool)
    if unlikely(not is_slots(zhdr.slots)):
        bug(V_USE_AFTER_FREE, "zhdr_to_pool", header_address(zhdr), zhdr.slots, 0,
            "the pool is looked up through 0x%llx, which is no slots object", zhdr.slots)
    slots = <z3fold_buddy_slots *>at(zhdr.slots)
    if slots.state != SLOTS_ALLOCATED:
        verdict(V_USE_AFTER_FREE, "zhdr_to_pool", header_address(zhdr), zhdr.slots, 0,
                "the pool is looked up through slots object 0x%llx, which was freed", zhdr.slots)
    return pool_at(slots.pool)


cdef inline bint sound(int bit) noexcept nogil:
    return not unlikely(defect(bit))


cdef void release_z3fold_page(z3fold_header *zhdr, bint locked) noexcept nogil:
    """The last reference is gone. The page lock, held on entry, is dropped (if locked)."""
    cdef page_t *page = header_page(zhdr)
    cdef pool_t *pool = zhdr_to_pool(zhdr)
    if unlikely(not list_empty(&zhdr.buddy)):
        verdict(V_LIST_CORRUPTION, "release_z3fold_page", header_address(zhdr), 0, 0,
                "the page is released while it is still listed")
    set_bit(PAGE_STALE, &page.private)
    if sound(STALE_FLAG_ON_WRONG_PAGE):
        clear_bit(NEEDS_COMPACTING, &page.private)
    spin_lock(&pool.lock, LC_POOL)
    if not list_empty(&page.lru):
        list_del_init(&page.lru)
    spin_unlock(&pool.lock)
    if sound(POOL_LOOKUP_THROUGH_FREED_SLOTS):
        # As posted the last free of a handle did this, with references to the page left.
        kmem_cache_free(pool, zhdr.slots)
        zhdr.slots = 0
    if locked:
        z3fold_page_unlock(zhdr)
    spin_lock(&pool.stale_lock, LC_STALE)
    list_add(&zhdr.buddy, &pool.stale)
    queue_work_on(current.cpu, &pool.release_wq, &pool.work)
    spin_unlock(&pool.stale_lock)
    count(N_RELEASE)


cdef inline bint put_z3fold_page(pool_t *pool, z3fold_header *zhdr) noexcept nogil:
    """Drop a reference with the page lock held; true: it was the last, and the page lock is gone."""
    if not kref_put(&zhdr.refcount):
        return False
    release_z3fold_page(zhdr, True)
    fetch_add_i64(&pool.pages_nr, -1)
    return True


cdef void free_z3fold_page(page_t *page, bint headless) noexcept nogil:
    """Give the frame back. Its movable mark goes first, under the PG lock."""
    if not headless:
        lock_page(page)
        ClearPageMovable(page)
        unlock_page(page)
    put_page(page)


cdef void free_pages_work(u64 work) noexcept nogil:
    """The release worker: frees whatever is on the stale list."""
    cdef pool_t *pool = <pool_t *>(A + work - <u64>&(<pool_t *>0).work)
    cdef z3fold_header *zhdr
    cdef page_t *page
    spin_lock(&pool.stale_lock, LC_STALE)
    while not list_empty(&pool.stale):
        zhdr = <z3fold_header *>at(pool.stale.next)
        page = header_page(zhdr)
        list_del(&zhdr.buddy)
        if unlikely(not test_bit(PAGE_STALE, &page.private)):
            verdict(V_INVARIANT, "free_pages_work", header_address(zhdr), 0, 0,
                    "a page on the stale list is not stale")
            continue
        spin_unlock(&pool.stale_lock)
        cancel_work_sync(&pool.compact_wq, &zhdr.work)
        free_z3fold_page(page, False)
        spin_lock(&pool.stale_lock, LC_STALE)
    spin_unlock(&pool.stale_lock)
