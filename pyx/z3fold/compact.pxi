# Compaction within a page: the middle object moves towards what is left beside it, so that
# the free room is one piece. Runs from the compaction queue, or at once from free.

cdef enum:
    BIG_CHUNK_GAP = 3                   # chunks that a move must gain


cdef inline bint is_owned(page_t *page) noexcept nogil:
    """Whether reclaim or an isolation has the page: its lists are theirs to mend."""
    if defect(COMPACT_IGNORES_CLAIM) or defect(ISOLATE_IGNORES_CLAIM):
        if PageIsolated(page):          # as posted: the core's mark, set late, cleared late
            return True
        if defect(COMPACT_IGNORES_CLAIM):
            return False
    return test_bit(PAGE_CLAIMED, &page.private)


cdef inline void move_middle(z3fold_header *zhdr, int to_chunk) noexcept nogil:
    cdef char *base = <char *>zhdr
    memmove(base + (to_chunk << CHUNK_SHIFT), base + (zhdr.start_middle << CHUNK_SHIFT),
            <u64>zhdr.middle_chunks << CHUNK_SHIFT)
    zhdr.start_middle = to_chunk
    count(N_COMPACT_MOVED)


cdef void z3fold_compact_page(z3fold_header *zhdr) noexcept nogil:
    """The page lock is held."""
    cdef page_t *page = header_page(zhdr)
    if test_bit(MIDDLE_CHUNK_MAPPED, &page.private):
        return
    if defect(ISOLATE_IGNORES_CLAIM) and PageIsolated(page):
        return
    if zhdr.middle_chunks == 0:
        return
    if zhdr.first_chunks == 0 and zhdr.last_chunks == 0:
        # Alone: it becomes first, and the numbering rotates so that its handle stays good.
        move_middle(zhdr, ZHDR_CHUNKS)
        zhdr.first_chunks = zhdr.middle_chunks
        zhdr.middle_chunks = 0
        zhdr.start_middle = 0
        zhdr.first_num = (zhdr.first_num + 1) & BUDDY_MASK
    elif (zhdr.first_chunks != 0 and zhdr.last_chunks == 0
            and zhdr.start_middle - (zhdr.first_chunks + ZHDR_CHUNKS) >= BIG_CHUNK_GAP):
        move_middle(zhdr, zhdr.first_chunks + ZHDR_CHUNKS)
    elif (zhdr.last_chunks != 0 and zhdr.first_chunks == 0
            and TOTAL_CHUNKS - (zhdr.last_chunks + zhdr.start_middle + zhdr.middle_chunks)
            >= BIG_CHUNK_GAP):
        move_middle(zhdr, TOTAL_CHUNKS - zhdr.last_chunks - zhdr.middle_chunks)


cdef void settle(pool_t *pool, z3fold_header *zhdr) noexcept nogil:
    """The page's owner gives it back: do what frees left undone meanwhile. Page lock held."""
    if test_bit(NEEDS_COMPACTING, &header_page(zhdr).private):
        return                          # a queued compaction will, after us
    z3fold_compact_page(zhdr)
    add_to_unbuddied(pool, zhdr)


cdef void do_compact_page(z3fold_header *zhdr, bint locked) noexcept nogil:
    """Drop the reference that NEEDS_COMPACTING stands for, compact, list again."""
    cdef page_t *page = header_page(zhdr)
    cdef pool_t *pool
    if not locked:
        z3fold_page_lock(zhdr)
    if unlikely(not test_and_clear_bit(NEEDS_COMPACTING, &page.private)):
        verdict(V_INVARIANT, "do_compact_page", header_address(zhdr), 0, 0,
                "a compaction ran on a page that does not need it")
        z3fold_page_unlock(zhdr)
        return
    count(N_COMPACT)
    pool = zhdr_to_pool(zhdr)
    spin_lock(&pool.lock, LC_POOL)
    list_del_init(&zhdr.buddy)
    spin_unlock(&pool.lock)
    if sound(COMPACT_VS_FREE_NO_REF) and put_z3fold_page(pool, zhdr):
        return
    if is_owned(page) or test_bit(PAGE_STALE, &page.private):
        z3fold_page_unlock(zhdr)
        return
    z3fold_compact_page(zhdr)
    add_to_unbuddied(pool, zhdr)
    z3fold_page_unlock(zhdr)


cdef void compact_page_work(u64 work) noexcept nogil:
    cdef u64 address = page_of_address(work)
    if unlikely(address == 0 or virt_to_page(address).state != FRAME_ALLOCATED):
        bug(V_USE_AFTER_FREE, "compact_page_work", address, 0, 0,
            "the compaction's work item 0x%llx lies in a page that was freed", work)
    do_compact_page(header_at(address), False)
