# The three callbacks of page migration: isolate, migrate, putback. All run under the PG
# lock of the page; migrate under that of the new page as well.
#
# An isolated page is claimed: reclaim and compaction leave its lists alone, and who ends
# the isolation mends them. The old page stays locked until every slot names the new one, so
# that no lookup can lock a page that is being left.


cdef inline bint refuse_locked(z3fold_header *zhdr, int why) noexcept nogil:
    z3fold_page_unlock(zhdr)
    current.refused = why
    return False


cdef bint z3fold_page_isolate(page_t *page) noexcept nogil:
    """Take the page out of use: off the lists, claimed, with a reference. False: not now."""
    cdef z3fold_header *zhdr = header_at(page_address(page))
    cdef pool_t *pool
    if test_bit(PAGE_HEADLESS, &page.private):
        current.refused = REFUSED_HEADLESS
        return False
    z3fold_page_lock(zhdr)
    if test_bit(NEEDS_COMPACTING, &page.private):
        return refuse_locked(zhdr, REFUSED_COMPACTING)
    if test_bit(PAGE_STALE, &page.private):
        return refuse_locked(zhdr, REFUSED_STALE)
    if sound(ISOLATE_IGNORES_CLAIM) and test_bit(PAGE_CLAIMED, &page.private):
        return refuse_locked(zhdr, REFUSED_CLAIMED)
    if zhdr.mapped_count != 0:
        return refuse_locked(zhdr, REFUSED_MAPPED)
    pool = zhdr_to_pool(zhdr)
    if defect(ISOLATE_UNLINKS_OUTSIDE_POOL_LOCK) and not list_empty(&zhdr.buddy):
        list_del_init(&zhdr.buddy)
    spin_lock(&pool.lock, LC_POOL)
    if pool.state != POOL_LIVE and sound(DESTROY_VS_MIGRATE_QUEUE):
        spin_unlock(&pool.lock)
        return refuse_locked(zhdr, REFUSED_DESTROYING)
    kref_get(&zhdr.refcount)
    pool.isolated += 1
    if not list_empty(&zhdr.buddy):
        list_del_init(&zhdr.buddy)
    if not list_empty(&page.lru):
        list_del(&page.lru)
    spin_unlock(&pool.lock)
    if sound(ISOLATE_IGNORES_CLAIM):
        set_bit(PAGE_CLAIMED, &page.private)
    z3fold_page_unlock(zhdr)
    return True


cdef void end_isolation(pool_t *pool) noexcept nogil:
    """The last touch of the pool: its destruction waits for this."""
    spin_lock(&pool.lock, LC_POOL)
    pool.isolated -= 1
    spin_unlock(&pool.lock)


cdef void rename_slots(z3fold_header *new_zhdr) noexcept nogil:
    """Point the slot of each live object at the new page. Its page lock is held."""
    cdef z3fold_buddy_slots *slots = <z3fold_buddy_slots *>at(new_zhdr.slots)
    if new_zhdr.first_chunks:
        encode_handle(new_zhdr, slots, FIRST)
    if new_zhdr.last_chunks:
        encode_handle(new_zhdr, slots, LAST)
    if new_zhdr.middle_chunks:
        encode_handle(new_zhdr, slots, MIDDLE)


cdef int z3fold_page_migrate(page_t *newpage, page_t *page) noexcept nogil:
    """0, or -EAGAIN (somebody is at work on the page) or -EBUSY (it is mapped)."""
    cdef z3fold_header *zhdr = header_at(page_address(page))
    cdef z3fold_header *new_zhdr = header_at(page_address(newpage))
    cdef pool_t *pool
    cdef u64 mapping
    cdef bint early = defect(MIGRATED_PAGE_STILL_LOCKABLE)
    if defect(MIGRATE_DOUBLE_PAGE_LOCK) and not trylock_page(page):
        because(REASON_PG_LOCK_TWICE)
        return -EAGAIN
    if not z3fold_page_trylock(zhdr):
        because(REASON_PAGE_LOCK)
        return -EAGAIN
    if test_bit(NEEDS_COMPACTING, &page.private) and sound(MIGRATE_WITHOUT_WORK_CANCEL):
        z3fold_page_unlock(zhdr)        # a free queued it after the isolation: let it run
        because(REASON_COMPACTING)
        return -EAGAIN
    if zhdr.mapped_count != 0:
        z3fold_page_unlock(zhdr)
        because(REASON_MAPPED)
        return -EAGAIN if defect(MIGRATE_MAPPED_SAYS_EAGAIN) else -EBUSY
    pool = zhdr_to_pool(zhdr)
    mapping = page.mapping
    memcpy(new_zhdr, zhdr, PAGE_SIZE)
    newpage.private = page.private
    if early:
        page.private = 0
        z3fold_page_unlock(zhdr)
    spin_lock_init(&new_zhdr.page_lock)
    if sound(MIGRATE_COPIES_LIVE_HEADER):
        init_list_head(&new_zhdr.buddy)
    if sound(MIGRATE_WITHOUT_WORK_CANCEL):
        init_work(&new_zhdr.work, WORK_COMPACT)
    ClearPageMovable(page)
    get_page(newpage)
    spin_lock(&new_zhdr.page_lock, LC_PAGE_NEW)
    if new_zhdr.first_chunks or new_zhdr.middle_chunks or new_zhdr.last_chunks:
        if sound(SLOT_READ_BEFORE_PAGE_LOCK):
            spin_lock(&(<z3fold_buddy_slots *>at(new_zhdr.slots)).lock, LC_SLOTS)
        rename_slots(new_zhdr)
        if sound(SLOT_READ_BEFORE_PAGE_LOCK):
            spin_unlock(&(<z3fold_buddy_slots *>at(new_zhdr.slots)).lock)
    if sound(ISOLATE_IGNORES_CLAIM):
        clear_bit(PAGE_CLAIMED, &newpage.private)
    set_bit(NEEDS_COMPACTING, &newpage.private)     # takes over the isolation's reference
    if defect(COMPACT_VS_FREE_NO_REF):
        kref_put(&new_zhdr.refcount)
    new_zhdr.cpu = <i16>current.cpu
    spin_lock(&pool.lock, LC_POOL)
    list_add(&newpage.lru, &pool.lru)
    spin_unlock(&pool.lock)
    if sound(MIGRATE_FORGETS_MOVABLE):
        SetPageMovable(newpage, mapping)
    z3fold_page_unlock(new_zhdr)
    if not early:
        page.private = 0
        z3fold_page_unlock(zhdr)
    queue_work_on(current.cpu, &pool.compact_wq, &new_zhdr.work)
    end_isolation(pool)
    if defect(MIGRATE_DOUBLE_PAGE_LOCK):
        unlock_page(page)
    put_page(page)
    return 0


cdef void z3fold_page_putback(page_t *page) noexcept nogil:
    """Migration failed for good: undo the isolation."""
    cdef z3fold_header *zhdr = header_at(page_address(page))
    cdef pool_t *pool
    z3fold_page_lock(zhdr)
    pool = zhdr_to_pool(zhdr)
    if sound(ISOLATE_IGNORES_CLAIM):
        clear_bit(PAGE_CLAIMED, &page.private)
    if defect(ISOLATE_UNLINKS_OUTSIDE_POOL_LOCK) and not list_empty(&zhdr.buddy):
        list_del_init(&zhdr.buddy)
    init_list_head(&page.lru)
    if put_z3fold_page(pool, zhdr):
        end_isolation(pool)
        return
    if sound(PUTBACK_FORGETS_UNBUDDIED):
        settle(pool, zhdr)
    spin_lock(&pool.lock, LC_POOL)
    list_add(&page.lru, &pool.lru)
    spin_unlock(&pool.lock)
    z3fold_page_unlock(zhdr)
    end_isolation(pool)
