# z3fold_alloc: an object into a listed page with room, else into a new page.


cdef bint init_z3fold_page(page_t *page, bint headless, pool_t *pool, int gfp) noexcept nogil:
    """Make a header of a frame with undefined contents; false when there are no slots."""
    cdef z3fold_header *zhdr = header_at(page_address(page))
    cdef u64 slots = 0
    init_list_head(&page.lru)
    clear_bit(PAGE_HEADLESS, &page.private)
    clear_bit(MIDDLE_CHUNK_MAPPED, &page.private)
    clear_bit(NEEDS_COMPACTING, &page.private)
    clear_bit(PAGE_CLAIMED, &page.private)
    clear_bit(PAGE_FREED, &page.private)
    clear_bit(PAGE_STALE, &page.private)
    if headless and sound(HEADLESS_SLOTS_LEAK):
        set_bit(PAGE_HEADLESS, &page.private)
        return True
    if sound(SLEEP_UNDER_PAGE_LOCK) or headless:
        slots = kmem_cache_alloc(pool, gfp if sound(ATOMIC_ALLOC_SLEEPS) else GFP_KERNEL)
        if slots == 0 and sound(ALLOC_NULL_SLOTS):
            return False
    if headless:
        set_bit(PAGE_HEADLESS, &page.private)
    spin_lock_init(&zhdr.page_lock)
    kref_init(&zhdr.refcount)
    zhdr.first_chunks = 0
    zhdr.middle_chunks = 0
    zhdr.last_chunks = 0
    zhdr.first_num = 0
    zhdr.start_middle = 0
    if sound(MAPPED_COUNT_UNINITIALISED):
        zhdr.mapped_count = 0
    else:
        zhdr.mapped_count &= 3          # two bits of whatever the recycled page contained
    zhdr.middle_maps = 0
    zhdr.cpu = -1
    zhdr.slots = slots
    zhdr.pool = offset_of(pool)
    init_list_head(&zhdr.buddy)
    init_work(&zhdr.work, WORK_COMPACT)
    return True


cdef page_t *take_stale_page(pool_t *pool) noexcept nogil:
    """A page that waits for the release worker, or null. May sleep."""
    cdef z3fold_header *zhdr
    cdef page_t *page
    spin_lock(&pool.stale_lock, LC_STALE)
    if list_empty(&pool.stale):
        spin_unlock(&pool.stale_lock)
        return NULL
    zhdr = <z3fold_header *>at(pool.stale.next)
    list_del(&zhdr.buddy)
    spin_unlock(&pool.stale_lock)
    if sound(STALE_ALLOC_WITHOUT_CANCEL):
        cancel_work_sync(&pool.compact_wq, &zhdr.work)
    page = header_page(zhdr)
    if sound(STALE_REUSE_STAYS_MOVABLE):
        # Until the header is whole again nobody may isolate it; a headless page never.
        lock_page(page)
        ClearPageMovable(page)
        unlock_page(page)
    return page


cdef void lock_new_page(page_t *page, z3fold_header *zhdr, pool_t *pool, int gfp) noexcept nogil:
    """Lock a fresh page, and mark it movable: who isolates it waits for the page lock."""
    cdef u64 mapping = offset_of(&pool.inode)
    if defect(MOVABLE_WITHOUT_PAGE_LOCK):
        SetPageMovable(page, mapping)
        z3fold_page_lock(zhdr)
        return
    if defect(MOVABLE_TRYLOCK_INVERTED):
        if not trylock_page(page):
            SetPageMovable(page, mapping)
            unlock_page(page)
        z3fold_page_lock(zhdr)
        return
    # A stale page may still be looked at by a scanner that saw its old mark: wait for that.
    # Who may not sleep gets no stale page, and a fresh one is nobody's business: the try
    # cannot fail.
    if gfp & GFP_KERNEL:
        lock_page(page)
    elif unlikely(not try_page_lock(page)):
        verdict(V_LOCK_MISUSE, "lock_new_page", page_address(page), 0, offset_of(&page.pg_lock),
                "the PG lock of a fresh page is taken (lock word 0x%llx)",
                read_once32(&page.pg_lock))
        z3fold_page_lock(zhdr)
        return
    z3fold_page_lock(zhdr)
    SetPageMovable(page, mapping)
    unlock_page(page)


cdef inline int choose_buddy(z3fold_header *zhdr, int chunks) noexcept nogil:
    """Where a page taken off its list has room for this many chunks; 0: nowhere."""
    cdef int before
    if zhdr.first_chunks == 0:
        before = zhdr.start_middle
        if sound(FIRST_FIT_IGNORES_HEADER_CHUNKS):
            before = zhdr.start_middle - ZHDR_CHUNKS + 1
        return LAST if zhdr.middle_chunks != 0 and chunks >= before else FIRST
    if zhdr.last_chunks == 0:
        return LAST
    if zhdr.middle_chunks == 0:
        return MIDDLE
    return HEADLESS


cdef inline void place(z3fold_header *zhdr, int buddy, int chunks) noexcept nogil:
    if buddy == FIRST:
        zhdr.first_chunks = chunks
    elif buddy == LAST:
        zhdr.last_chunks = chunks
    else:
        zhdr.middle_chunks = chunks
        zhdr.start_middle = zhdr.first_chunks + ZHDR_CHUNKS


cdef inline u64 headless_threshold() noexcept nogil:
    """Larger objects get a page of their own. Underflows where a header fills the page."""
    return <u64>PAGE_SIZE - <u64>ZHDR_CHUNKS * CHUNK_SIZE - CHUNK_SIZE


cdef void move_to_lru_head(pool_t *pool, page_t *page) noexcept nogil:
    prefetch_linked(&page.lru.next)
    prefetch_linked(&page.lru.prev)
    spin_lock(&pool.lock, LC_POOL)
    if not list_empty(&page.lru):
        list_del(&page.lru)
    list_add(&page.lru, &pool.lru)
    spin_unlock(&pool.lock)


cdef int z3fold_alloc(pool_t *pool, u64 size, int gfp, u64 *handle) noexcept nogil:
    """0 and a handle, or -EINVAL, -ENOSPC, -ENOMEM; a failure leaves *handle alone."""
    cdef z3fold_header *zhdr = NULL
    cdef page_t *page = NULL
    cdef int buddy = FIRST
    cdef int chunks = 0
    if size == 0 or gfp & GFP_HIGHMEM:
        return -EINVAL
    if size > PAGE_SIZE:
        return -ENOSPC
    if size > headless_threshold():
        buddy = HEADLESS
    else:
        chunks = <int>size_to_chunks(size)
        zhdr = search_unbuddied(pool, chunks)
        while zhdr != NULL:
            buddy = choose_buddy(zhdr, chunks)
            if buddy != HEADLESS:
                break
            verdict(V_INVARIANT, "z3fold_alloc", header_address(zhdr), 0, 0,
                    "no free chunks in an unbuddied page")
            if not put_z3fold_page(pool, zhdr):
                z3fold_page_unlock(zhdr)
            buddy = FIRST
            zhdr = search_unbuddied(pool, chunks)
    if zhdr == NULL:
        if gfp & GFP_KERNEL:
            page = take_stale_page(pool)
        if page == NULL:
            page = alloc_page(gfp, FAIL_PAGE)
        if page == NULL:
            return -ENOMEM
        if not init_z3fold_page(page, buddy == HEADLESS, pool, gfp):
            put_page(page)
            return -ENOMEM
        fetch_add_i64(&pool.pages_nr, 1)
        if buddy == HEADLESS:
            move_to_lru_head(pool, page)
            handle[0] = page_address(page) | 1
            return 0
        zhdr = header_at(page_address(page))
        lock_new_page(page, zhdr, pool, gfp)
        if defect(SLEEP_UNDER_PAGE_LOCK):
            zhdr.slots = kmem_cache_alloc(pool, GFP_KERNEL)
    else:
        page = header_page(zhdr)
    place(zhdr, buddy, chunks)
    add_to_unbuddied(pool, zhdr)
    move_to_lru_head(pool, page)
    handle[0] = encode_handle(zhdr, <z3fold_buddy_slots *>at(zhdr.slots), buddy)
    z3fold_page_unlock(zhdr)
    return 0
