# Questions that only a quiet arena can answer by doing (rules 22 and 23 of the audit): does a
# page that nobody uses move at the first attempt, does reclaim get on, and is a page usable
# again after both, and after an eviction that failed? The audit that follows tells the rest.

cdef enum:
    SWAP_FOR_A_PAGE = 4                 # objects of a page, and one to spare


cdef u32 run_pending_work() noexcept nogil:
    """Run all queued work of all pools here. The kworkers are parked."""
    cdef u32 i, done = 1, total = 0
    cdef pool_t *pool
    while done:
        done = 0
        for i in range(MAX_POOLS):
            pool = pool_number(i)
            if pool.state == POOL_LIVE:
                while run_one_work(&pool.compact_wq, -1):
                    done += 1
                while run_one_work(&pool.release_wq, -1):
                    done += 1
        total += done
    return total


cdef void no_isolation(page_t *page) noexcept nogil:
    """A probe could not isolate it: why not?"""
    cdef char[120] text
    if current.refused != REFUSED_MAPPED:
        snprintf(text, sizeof(text), "nobody else is at work, and the page cannot be "
                 "isolated: %s", refusal_name(current.refused))
        verdict(V_EAGAIN_CONTRACT, "probe_migration", page_address(page), 0, 0, text)
    elif header_at(page_address(page)).mapped_count != 0 and not mapped_by_anyone(page):
        verdict(V_EAGAIN_CONTRACT, "probe_migration", page_address(page), 0, 0,
                "the page cannot be isolated: its mapped_count is %llu, and nobody maps it",
                header_at(page_address(page)).mapped_count)


cdef bint probe_page(page_t *page) noexcept nogil:
    """Migrate it in one pass, with nobody in the way; true when it moved."""
    cdef migrate_control c
    cdef int result = -EBUSY
    cdef u64 moved = counter(N_MIGRATED)[0]
    default_control(&c)
    c.passes = 1
    op_enter(OP_MIGRATE_PAGES, page_to_pfn(page), 0)
    if isolate_movable_page(page):
        result = migrate_pages(&current.isolated, &c)
        putback_movable_pages(&current.isolated)
        if result > 0:
            verdict(V_EAGAIN_CONTRACT, "probe_migration", page_address(page), 0, 0,
                    "nobody else is at work, and the page does not move")
    else:
        no_isolation(page)
    op_leave()
    run_pending_work()                  # a page that moved is compacted, and usable again
    return counter(N_MIGRATED)[0] != moved


cdef object_t *object_in(page_t *page) noexcept nogil:
    """An object that lives in this page, or null."""
    cdef u32 i
    cdef object_t *o
    for i in range(H.geometry.objects):
        o = object_at(i)
        if (o.state == OBJECT_LIVE and o.handle & 1 == 0 and is_slots(handle_to_slots(o.handle))
                and slot_word(o.handle) & ~<u64>PAGE_MASK_BITS == page_address(page)):
            return o
    return NULL


cdef void probe_mapped(page_t *page) noexcept nogil:
    """A page that is mapped after its isolation is refused for good, at the first attempt."""
    cdef migrate_control c
    cdef object_t *o = object_in(page)
    cdef u64 refused = counter(N_EBUSY)[0]
    cdef int result
    if o == NULL or header_at(page_address(page)).mapped_count != 0:
        return
    default_control(&c)
    op_enter(OP_MIGRATE_PAGES, page_to_pfn(page), 0)
    if isolate_movable_page(page):
        client_map(pool_at(o.pool), o.handle)
        c.passes = 1
        result = migrate_pages(&current.isolated, &c)
        if result != -ENOMEM and (result != 1 or counter(N_EBUSY)[0] != refused + 1):
            verdict(V_EAGAIN_CONTRACT, "probe_migration", page_address(page), 0, 0,
                    "the page is mapped, which no retry will change, and migrate does not say "
                    "-EBUSY (%lld pages did not move)", result)
        client_unmap(pool_at(o.pool), o.handle)
        putback_movable_pages(&current.isolated)
    op_leave()
    run_pending_work()


cdef int probe_migration(u32 pages) noexcept nogil:
    """Ask so many random frames: a page with a header is refused while it is mapped, moves when
    it is not, and moves again. Returns how many moved."""
    cdef page_t *page
    cdef u32 i
    cdef int moved = 0
    cdef bint asked = False
    run_pending_work()
    for i in range(pages):
        page = memmap + random_below(current, H.geometry.frames)
        if page.mapping == 0:
            continue
        if not asked:
            asked = True
            probe_mapped(page)
            if page.mapping == 0:       # it may have been compacted away with its last object
                continue
        if not probe_page(page):
            continue
        moved += 1
        page = virt_to_page(current.moved_to)
        if page.state == FRAME_ALLOCATED and not test_bit(PAGE_STALE, &page.private):
            moved += probe_page(page)
    return moved


cdef bint mapped_by_anyone(page_t *page) noexcept nogil:
    cdef u32 i, m
    cdef task_t *t
    for i in range(1, H.geometry.tasks + 1):
        t = task_at(i)
        for m in range(t.nr_maps):
            if t.maps[m].page == page_address(page):
                return True
    return False


cdef bint swap_has_room() noexcept nogil:
    cdef u32 slot = <u32>H.free_swap[0]
    cdef u32 i
    for i in range(SWAP_FOR_A_PAGE):
        if slot == 0:
            return False
        slot = <u32>(<u64 *>(A + H.swapmap))[slot - 1]
    return True


cdef void probe_reclaim(pool_t *pool) noexcept nogil:
    """Reclaim once with evictions that fail, once for real."""
    cdef int result
    if pool.evicts != EVICTS_BY_TABLE or list_empty(&pool.lru) or not swap_has_room():
        return
    op_enter(OP_RECLAIM, 0, 0)
    current.refuses_evictions = 1
    result = z3fold_reclaim_page(pool, 3)
    current.refuses_evictions = 0
    if result != -EAGAIN:
        verdict(V_INVARIANT, "probe_reclaim", 0, 0, 0,
                "every eviction failed, and reclaim says %lld", result)
    result = z3fold_reclaim_page(pool, 1)
    if result != 0:
        verdict(V_LIVELOCK, "probe_reclaim", 0, 0, 0,
                "nobody else is at work, and reclaim cannot empty a page (%lld)", result)
    op_leave()
    run_pending_work()
