# The audit's second part: each frame against what the walks noted of it.

cdef void audit_layout(audit_t *a, z3fold_header *zhdr, u64 page) noexcept nogil:
    """Rule 1: objects inside the page, disjoint."""
    cdef int first_end = ZHDR_CHUNKS + zhdr.first_chunks
    cdef int last_start = TOTAL_CHUNKS - <int>zhdr.last_chunks
    cdef int middle_end = zhdr.start_middle + zhdr.middle_chunks
    if first_end > last_start:
        find(a, 1, V_INVARIANT, page, 0, "first ends at chunk %llu, last starts at %llu",
             first_end, last_start)
    if zhdr.middle_chunks and (zhdr.start_middle < first_end or middle_end > last_start):
        find(a, 1, V_INVARIANT, page, 0,
             "the middle takes chunks %llu up to %llu, over the first or the last "
             "(room from %llu)", zhdr.start_middle, middle_end, first_end)


cdef inline int objects_of(z3fold_header *zhdr) noexcept nogil:
    return ((zhdr.first_chunks != 0) + (zhdr.middle_chunks != 0) + (zhdr.last_chunks != 0))


cdef void audit_header_pointers(audit_t *a, z3fold_header *zhdr, u64 page,
                                frame_note_t *n) noexcept nogil:
    """Rule 6: into its own page, its pool, its slots."""
    cdef u32 i
    cdef bint live = False
    cdef z3fold_buddy_slots *slots
    for i in range(MAX_POOLS):
        if zhdr.pool == offset_of(pool_number(i)) and pool_number(i).state != POOL_NONE:
            live = True
    if not live:
        find(a, 6, V_INVARIANT, page, 0, "the header names pool 0x%llx, which is none", zhdr.pool)
    if n.unbuddied + n.stale == 0 and (zhdr.buddy.next != page or zhdr.buddy.prev != page):
        find(a, 6, V_LIST_CORRUPTION, page, 0,
             "on no list, but its link says next 0x%llx, prev 0x%llx",
             zhdr.buddy.next, zhdr.buddy.prev)
    if zhdr.work.func != WORK_COMPACT or (n.works == 0 and work_pending(&zhdr.work)):
        find(a, 6, V_INVARIANT, page, 0, "its work item names function %llu, and is pending: %llu",
             zhdr.work.func, work_pending(&zhdr.work))
    if not is_slots(zhdr.slots):
        find(a, 6, V_INVARIANT, page, 0, "the header names slots 0x%llx, which are none",
             zhdr.slots)
        return
    slots = <z3fold_buddy_slots *>at(zhdr.slots)
    if slots.state != SLOTS_ALLOCATED or slots.pool != zhdr.pool:
        find(a, 5, V_USE_AFTER_FREE, page, zhdr.slots,
             "the page's slots object 0x%llx was freed, or is another pool's", zhdr.slots)


cdef inline int room_of(z3fold_header *zhdr) noexcept nogil:
    """The free chunks, counted anew: not with the subject's own function."""
    cdef int first_end = ZHDR_CHUNKS + zhdr.first_chunks
    cdef int last_start = TOTAL_CHUNKS - <int>zhdr.last_chunks
    cdef int before, after
    if zhdr.middle_chunks == 0:
        return last_start - first_end
    before = 0 if zhdr.first_chunks else zhdr.start_middle - first_end
    after = 0 if zhdr.last_chunks else last_start - zhdr.start_middle - zhdr.middle_chunks
    return before if before > after else after


cdef void audit_live_page(audit_t *a, page_t *p, u64 page, frame_note_t *n) noexcept nogil:
    cdef z3fold_header *zhdr = header_at(page)
    cdef bint compacting = test_bit(NEEDS_COMPACTING, &p.private)
    cdef bint claimed = test_bit(PAGE_CLAIMED, &p.private)
    cdef u32 expected = objects_of(zhdr) + compacting + n.isolated
    cdef int free_chunks
    audit_layout(a, zhdr, page)
    audit_header_pointers(a, zhdr, page, n)
    free_lock(a, &zhdr.page_lock, "the page lock 0x%llx is held by task %llu")
    if zhdr.refcount == 0:
        find(a, 9, V_INVARIANT, page, 0, "no references are left, and the page is not stale")
    if n.pool and n.pool != 1 + (zhdr.pool - H.pools) // sizeof(pool_t):
        find(a, 18, V_INVARIANT, page, 0, "on the lists of pool %llu, but its header names 0x%llx",
             n.pool - 1, zhdr.pool)
    if n.works == 0 and zhdr.work.entry.next != offset_of(&zhdr.work.entry):
        find(a, 6, V_LIST_CORRUPTION, page, 0,
             "no work is queued, but the work item's link says next 0x%llx", zhdr.work.entry.next)
    if zhdr.refcount != expected:
        find(a, 7, V_REFCOUNT, page, 0,
             "%llu references, but %llu can be found (objects, compaction, isolation)",
             zhdr.refcount, expected)
    if compacting != (n.works != 0) or n.works > 1:
        find(a, 10, V_INVARIANT, page, 0,
             "NEEDS_COMPACTING is %llu, and %llu compactions are queued", compacting, n.works)
    if claimed and not n.isolated:
        find(a, 11, V_INVARIANT, page, 0, "the page is claimed, and nobody has it")
    if n.isolated and not claimed and not defect(ISOLATE_IGNORES_CLAIM):
        find(a, 11, V_INVARIANT, page, 0, "the page is isolated, and not claimed")
    if test_bit(PAGE_HEADLESS, &p.private) or test_bit(PAGE_FREED, &p.private):
        find(a, 11, V_INVARIANT, page, 0, "the page has a header, and a headless page's mark")
    if p.mapping != zhdr.pool + <u64>&(<pool_t *>0).inode:
        find(a, 22, V_INVARIANT, page, 0,
             "the page is not marked movable as its pool's (mapping 0x%llx): it will never move",
             p.mapping)
    if zhdr.mapped_count != n.maps:
        find(a, 13, V_INVARIANT, page, 0, "mapped_count is %llu, and %llu maps are known",
             zhdr.mapped_count, n.maps)
    if test_bit(MIDDLE_CHUNK_MAPPED, &p.private) != (n.middle_maps != 0):
        find(a, 13, V_INVARIANT, page, 0,
             "MIDDLE_CHUNK_MAPPED is %llu, and %llu maps of the middle are known",
             test_bit(MIDDLE_CHUNK_MAPPED, &p.private), n.middle_maps)
    elif zhdr.middle_maps != n.middle_maps and not defect(MIDDLE_MAPPED_ONE_BIT):
        find(a, 13, V_INVARIANT, page, 0, "middle_maps is %llu, and %llu maps of it are known",
             zhdr.middle_maps, n.middle_maps)
    free_chunks = room_of(zhdr)
    if n.unbuddied:
        if not has_room(zhdr) or n.isolated or claimed:
            find(a, 16, V_INVARIANT, page, 0,
                 "listed as having room, but it is full, isolated (%llu) or claimed (%llu)",
                 n.isolated, claimed)
        if n.cpu != zhdr.cpu:
            find(a, 16, V_INVARIANT, page, 0, "on the list of CPU %lld, but it says %lld",
                 n.cpu, zhdr.cpu)
        if not compacting and n.index != free_chunks:
            find(a, 2, V_INVARIANT, page, 0, "listed with %lld free chunks, but has %lld",
                 n.index, free_chunks)
    elif has_room(zhdr) and not compacting and not n.isolated and not claimed:
        find(a, 17, V_LOST_PAGE, page, 0,
             "%lld chunks are free, but the page is on no list: its room is lost", free_chunks)
    if n.isolated == 0 and n.lru != 1 and not claimed:
        find(a, 18, V_LOST_PAGE, page, 0, "on the LRU %llu times", n.lru)


cdef void audit_headless(audit_t *a, page_t *p, u64 page, frame_note_t *n) noexcept nogil:
    a.headless += 1
    if n.unbuddied or n.works or n.stale:
        find(a, 12, V_INVARIANT, page, page | 1, "a headless page is on a list of headers")
    if test_bit(PAGE_CLAIMED, &p.private) or test_bit(PAGE_FREED, &p.private):
        find(a, 11, V_LEAK, page, page | 1,
             "a headless page is claimed (freed: %llu), and nobody has it: it is leaked",
             test_bit(PAGE_FREED, &p.private))
    if p.mapping != 0:
        find(a, 22, V_INVARIANT, page, page | 1, "a headless page is marked movable")
    if n.lru != 1 and not test_bit(PAGE_CLAIMED, &p.private):
        find(a, 18, V_LOST_PAGE, page, page | 1, "on the LRU %llu times", n.lru)


cdef void audit_frame(audit_t *a, page_t *p) noexcept nogil:
    cdef u64 page = page_address(p)
    cdef frame_note_t *n = note(a, page)
    free_lock(a, &p.pg_lock, "the PG lock 0x%llx is held by task %llu")
    if p.state == FRAME_FREE:
        if n.unbuddied or n.lru or n.stale or n.works or n.isolated:
            find(a, 15, V_USE_AFTER_FREE, page, 0, "a freed page is on a list")
        return
    a.allocated += 1
    if p.refcount != 1 + n.isolated:
        find(a, 8, V_REFCOUNT, page, 0, "%llu page references, %llu expected",
             p.refcount, 1 + n.isolated)
    if n.isolated > 1 or (n.isolated and n.lru) or PageIsolated(p) != (n.isolated != 0):
        find(a, 12, V_INVARIANT, page, 0,
             "isolated on %llu lists, PG_isolated %llu, on the LRU %llu times",
             n.isolated, PageIsolated(p), n.lru)
    if test_bit(PAGE_HEADLESS, &p.private):
        if n.pool:
            a.pages[n.pool - 1] += 1
        audit_headless(a, p, page, n)
        return
    if p.mapping == 0 and n.pool == 0 and n.isolated == 0:
        find(a, 21, V_LEAK, page, 0, "the frame is allocated, and nobody knows it")
        return
    if p.mapping and (bad_link(p.mapping) or read_once64(<u64 *>at(p.mapping)) == 0):
        find(a, 25, V_USE_AFTER_FREE, page, 0, "the page is movable, but its mapping is gone")
        return
    if test_bit(PAGE_STALE, &p.private) or n.stale:
        if header_at(page).refcount != 0 or n.stale != 1 or not test_bit(PAGE_STALE, &p.private):
            find(a, 9, V_INVARIANT, page, 0,
                 "%llu references, stale %llu, on stale lists %llu times",
                 header_at(page).refcount, test_bit(PAGE_STALE, &p.private), n.stale)
        free_lock(a, &header_at(page).page_lock, "the page lock 0x%llx of a stale page is held "
                  "by task %llu")
        if n.isolated:
            find(a, 12, V_INVARIANT, page, 0, "a stale page is isolated")
        if n.lru:
            find(a, 18, V_LOST_PAGE, page, 0, "a stale page is on the LRU")
        if n.works:
            find(a, 10, V_INVARIANT, page, 0, "a compaction of a stale page is queued")
        return
    count_page(a, header_at(page).pool, n.isolated)
    audit_live_page(a, p, page, n)


cdef void count_page(audit_t *a, u64 pool, u32 isolated) noexcept nogil:
    cdef u64 i = (pool - H.pools) // sizeof(pool_t)
    if pool >= H.pools and i < MAX_POOLS:
        a.pages[i] += 1
        a.isolated[i] += isolated
