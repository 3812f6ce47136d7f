# z3fold_reclaim_page: take the oldest page and ask the owner of its objects to evict them.
#
# The callback runs with no lock of ours held, because it maps, unmaps and frees. It gets
# handles of reclaim's own, in a private slots object: the owners may free theirs meanwhile.
# Only a free gives a page up. Reclaim defers that (a reference, or for a headless page the
# FREED note), and mends the lists of a page that outlived it.

cdef int (*evict_callback)(pool_t *pool, u64 handle) noexcept nogil


cdef inline z3fold_buddy_slots *private_slots() noexcept nogil:
    """This task's own slots object: 64-byte aligned, for handles are found by that."""
    cdef u64 offset = round_up(offset_of(&current.private_slots[0]), CACHE_LINE)
    if defect(STACK_SLOTS_MISALIGNED):
        offset += CACHE_LINE // 2
    return <z3fold_buddy_slots *>at(offset)


cdef inline void name_headless(page_t *page, z3fold_header **zhdr) noexcept nogil:
    """Patch 4/4 moved the assignment behind the headless test: null in the first round, and
    whatever the round before left in the others."""
    if sound(RECLAIM_HEADLESS_NULL_HEADER) and (sound(RECLAIM_STALE_HEADER_ON_RETRY)
                                                or zhdr[0] == NULL):
        zhdr[0] = header_at(page_address(page))


cdef bint claim_as_posted(page_t *page, z3fold_header **zhdr) noexcept nogil:
    """Claim first, look later; who is passed over stays claimed."""
    if test_and_set_bit(PAGE_CLAIMED, &page.private):
        return False
    if PageIsolated(page):
        return False
    if test_bit(PAGE_HEADLESS, &page.private):
        name_headless(page, zhdr)
        return True
    zhdr[0] = header_at(page_address(page))
    if not z3fold_page_trylock(zhdr[0]):
        zhdr[0] = NULL
        return False
    kref_get(&zhdr[0].refcount)
    return True


cdef bint claim_page(pool_t *pool, page_t *page, z3fold_header **zhdr) noexcept nogil:
    """Make the page ours, its page lock held unless headless. The pool lock is held."""
    cdef z3fold_header *candidate = header_at(page_address(page))
    if defect(RECLAIM_CLAIM_LEAK):
        return claim_as_posted(page, zhdr)
    if test_bit(PAGE_HEADLESS, &page.private):
        if sound(HEADLESS_CLAIM_DROPPED) and test_and_set_bit(PAGE_CLAIMED, &page.private):
            return False
        name_headless(page, zhdr)
        return True
    if defect(RECLAIM_REF_BEFORE_PAGE_LOCK) and not kref_get_unless_zero(&candidate.refcount):
        return False
    if not z3fold_page_trylock(candidate):
        if defect(RECLAIM_REF_BEFORE_PAGE_LOCK) and kref_put(&candidate.refcount):
            release_z3fold_page(candidate, False)
            fetch_add_i64(&pool.pages_nr, -1)
        return False
    # Under the page lock: a claim is seen by a compaction, which then lists nothing.
    if PageIsolated(page) or test_bit(PAGE_STALE, &page.private) \
            or test_and_set_bit(PAGE_CLAIMED, &page.private):
        if defect(RECLAIM_REF_BEFORE_PAGE_LOCK):
            kref_put(&candidate.refcount)
        z3fold_page_unlock(candidate)
        return False
    if sound(RECLAIM_REF_BEFORE_PAGE_LOCK):
        kref_get(&candidate.refcount)
    zhdr[0] = candidate
    return True


cdef page_t *find_victim(pool_t *pool, z3fold_header **zhdr) noexcept nogil:
    """Walk the LRU from its tail. Pool lock held. As posted, zhdr may not belong to the page."""
    cdef u64 link = pool.lru.prev
    cdef page_t *page = NULL
    while link != offset_of(&pool.lru):
        page = lru_page(link)
        link = page.lru.prev
        if claim_page(pool, page, zhdr):
            if not test_bit(PAGE_HEADLESS, &page.private):
                list_del_init(&zhdr[0].buddy)
                zhdr[0].cpu = -1
            return page
    return page if defect(RECLAIM_STALE_HEADER_ON_RETRY) else NULL


cdef void reclaim_handles(pool_t *pool, page_t *page, z3fold_header *zhdr,
                          u64 *handles) noexcept nogil:
    """Handles of the page's objects, middle, first, last; drops the page lock."""
    cdef z3fold_buddy_slots *slots
    cdef int i
    handles[0] = handles[1] = handles[2] = 0
    if test_bit(PAGE_HEADLESS, &page.private):
        handles[1] = header_address(zhdr) | 1
        return
    if defect(RECLAIM_HANDLES_IN_SHARED_SLOTS):
        slots = <z3fold_buddy_slots *>at(zhdr.slots)
    else:
        slots = private_slots()
        for i in range(4):
            slots.slot[i] = 0
        slots.pool = offset_of(pool) if sound(STACK_SLOTS_MISALIGNED) else 0
        slots.lock = 0
        slots.state = SLOTS_PRIVATE
    if zhdr.middle_chunks:
        handles[0] = encode_handle(zhdr, slots, MIDDLE)
    if zhdr.first_chunks:
        handles[1] = encode_handle(zhdr, slots, FIRST)
    if zhdr.last_chunks:
        handles[2] = encode_handle(zhdr, slots, LAST)
    z3fold_page_unlock(zhdr)


cdef bint finish_headless(pool_t *pool, page_t *page, int result) noexcept nogil:
    """True: the page is gone. False: it is back on the LRU, and the pool lock is held."""
    cdef bint freed
    spin_lock(&pool.lock, LC_POOL)
    freed = test_bit(PAGE_FREED, &page.private)
    if result == 0 and (defect(HEADLESS_EVICT_FREES_FOR_OWNER) or defect(HEADLESS_CLAIM_DROPPED)):
        freed = True                    # as posted: the callback's word for it
    if result != 0 and defect(HEADLESS_FREE_FORGOTTEN):
        freed = False
    if freed:
        spin_unlock(&pool.lock)
        free_z3fold_page(page, True)
        fetch_add_i64(&pool.pages_nr, -1)
        return True
    list_add(&page.lru, &pool.lru)
    if sound(HEADLESS_CLAIM_NOT_CLEARED):
        clear_bit(PAGE_CLAIMED, &page.private)
    return False


cdef bint finish_page(pool_t *pool, page_t *page, z3fold_header *zhdr) noexcept nogil:
    """As finish_headless, for a page with a header."""
    if defect(RECLAIM_READDS_RELEASED_PAGE):
        clear_bit(PAGE_CLAIMED, &page.private)
        if kref_put(&zhdr.refcount):
            z3fold_page_lock(zhdr)
            release_z3fold_page(zhdr, True)
            fetch_add_i64(&pool.pages_nr, -1)
            return True
        z3fold_page_lock(zhdr)
    else:
        z3fold_page_lock(zhdr)
        clear_bit(PAGE_CLAIMED, &page.private)
        if kref_put(&zhdr.refcount):
            release_z3fold_page(zhdr, sound(RELEASE_UNLOCKED_VARIANT_ON_LOCKED_PAGE))
            fetch_add_i64(&pool.pages_nr, -1)
            return True
    if sound(RECLAIM_FAIL_FORGETS_UNBUDDIED):
        settle(pool, zhdr)
    spin_lock(&pool.lock, LC_POOL)
    list_add(&page.lru, &pool.lru)
    spin_unlock(&pool.lock)
    z3fold_page_unlock(zhdr)
    spin_lock(&pool.lock, LC_POOL)
    return False


cdef int z3fold_reclaim_page(pool_t *pool, u32 retries) noexcept nogil:
    """0 when a page was emptied and given up; -EINVAL, or -EAGAIN when none could be."""
    cdef z3fold_header *zhdr = NULL
    cdef page_t *page
    cdef u64[3] handles
    cdef int i, result = 0
    cdef bint gone
    spin_lock(&pool.lock, LC_POOL)
    if not pool.evicts or retries == 0:
        spin_unlock(&pool.lock)
        return -EINVAL
    while retries:
        retries -= 1
        if list_empty(&pool.lru):
            spin_unlock(&pool.lock)
            return -EINVAL
        if sound(RECLAIM_STALE_HEADER_ON_RETRY):
            zhdr = NULL
        page = find_victim(pool, &zhdr)
        if zhdr == NULL or page == NULL:
            break
        list_del_init(&page.lru)
        spin_unlock(&pool.lock)
        reclaim_handles(pool, page, zhdr, handles)
        result = 0
        for i in range(3):
            if handles[i] and result == 0:
                result = evict_callback(pool, handles[i])
        if test_bit(PAGE_HEADLESS, &page.private):
            gone = finish_headless(pool, page, result)
        else:
            gone = finish_page(pool, page, zhdr)
        if gone:
            return 0
    spin_unlock(&pool.lock)
    return -EAGAIN
