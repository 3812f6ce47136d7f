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


cdef int probe_migration(u32 pages) noexcept nogil:
    """Isolate some pages, migrate each in one pass. Returns how many moved."""
    cdef migrate_control c
    cdef page_t *page
    cdef u64 moved = counter(N_MIGRATED)[0]
    cdef u32 i, pfn
    cdef int result
    cdef char[120] text
    default_control(&c)
    c.passes = 1
    run_pending_work()
    for i in range(pages):
        pfn = random_below(current, H.geometry.frames)
        page = memmap + pfn
        if page.mapping == 0:
            continue
        op_enter(OP_MIGRATE_PAGES, pfn, 0)
        if isolate_movable_page(page):
            result = migrate_pages(&current.isolated, &c)
            putback_movable_pages(&current.isolated)
            if result > 0:
                verdict(V_EAGAIN_CONTRACT, "probe_migration", page_address(page), 0, 0,
                        "nobody else is at work, and the page does not move")
        elif current.refused != REFUSED_MAPPED:
            snprintf(text, sizeof(text), "nobody else is at work, and the page cannot be "
                     "isolated: %s", refusal_name(current.refused))
            verdict(V_EAGAIN_CONTRACT, "probe_migration", page_address(page), 0, 0, text)
        elif header_at(page_address(page)).mapped_count != 0 and not mapped_by_anyone(page):
            verdict(V_EAGAIN_CONTRACT, "probe_migration", page_address(page), 0, 0,
                    "the page cannot be isolated: its mapped_count is %llu, and nobody maps it",
                    header_at(page_address(page)).mapped_count)
        op_leave()
        run_pending_work()              # a page that moved is compacted, and usable again
    return <int>(counter(N_MIGRATED)[0] - moved)


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
