# The audit's first part: walk every list, note of each frame where it was met.
#
# Trusts nothing: a broken link ends a walk, it never leads it astray.

from libc.stdlib cimport calloc, free as libc_free

cdef struct finding_t:
    u32 rule
    u32 kind
    u64 page
    u64 handle
    char text[168]

cdef struct frame_note_t:               # what the walks learned of a frame
    u16 unbuddied                       # lists it is on
    u16 lru
    u16 stale
    u16 works
    u16 isolated
    u16 maps
    u16 middle_maps
    u16 words                           # slots that name it
    i16 cpu                             # of the unbuddied list
    i32 index
    u32 pool                            # 1 + the number of the pool whose lists it is on

cdef struct audit_t:
    finding_t *findings
    u32 nr
    u32 max
    frame_note_t *frame
    u8 *owners                          # pages that name a slots object, an entry each
    u64 words                           # live slots words
    u64 headless                        # headless pages that are not freed
    i64 pages[MAX_POOLS]
    i64 slots[MAX_POOLS]
    i64 isolated[MAX_POOLS]
    u32 allocated


cdef void find(audit_t *a, u32 rule, u32 kind, u64 page, u64 handle, const char *text,
               u64 x=0, u64 y=0, u64 z=0) noexcept nogil:
    cdef finding_t *f
    if a.nr < a.max:
        f = &a.findings[a.nr]
        f.rule = rule
        f.kind = kind
        f.page = page
        f.handle = handle
        snprintf(f.text, sizeof(f.text), text, x, y, z)
    a.nr += 1


cdef inline frame_note_t *note(audit_t *a, u64 page) noexcept nogil:
    return &a.frame[(page - frames_start) >> PAGE_SHIFT]


cdef u64 next_entry(audit_t *a, u64 link, u64 head, u32 *steps, const char *what) noexcept nogil:
    """The entry after this one; 0 at the end of the list, or where it is torn."""
    cdef u64 next_ = node(link).next
    if bad_link(next_) or next_ > last_link or node(next_).prev != link:
        find(a, 15, V_LIST_CORRUPTION, page_of_address(link), 0,
             what, link, next_, node(next_).prev if not bad_link(next_) else 0)
        return 0
    steps[0] += 1
    if steps[0] > 2 * H.geometry.frames + 64:
        find(a, 15, V_LIST_CORRUPTION, page_of_address(link), 0,
             "the list at 0x%llx does not come back to its head", head)
        return 0
    return 0 if next_ == head else next_


cdef inline bint is_alone(const list_head *head) noexcept nogil:
    """An empty list, as most are: read unseen, for there are many, and nobody else runs."""
    cdef u64 here = offset_of(head)
    return own_word(&head.next) == here and own_word(&head.prev) == here


cdef void walk_headers(audit_t *a, list_head *head, u32 pool, i32 cpu, i32 index) noexcept nogil:
    """An unbuddied list (cpu >= 0) or a stale list."""
    cdef u32 steps = 0
    cdef frame_note_t *n
    cdef u64 at_ = next_entry(a, offset_of(head), offset_of(head), &steps,
                              "page list: 0x%llx says next 0x%llx, which says prev 0x%llx")
    while at_:
        if not is_frame(at_):
            find(a, 15, V_LIST_CORRUPTION, page_of_address(at_), 0,
                 "a page list leads to 0x%llx, which is no page header", at_)
            return
        n = note(a, at_)
        n.pool = pool + 1
        if cpu < 0:
            n.stale += 1
        else:
            n.unbuddied += 1
            n.cpu = <i16>cpu
            n.index = index
        at_ = next_entry(a, at_, offset_of(head), &steps,
                         "page list: 0x%llx says next 0x%llx, which says prev 0x%llx")


cdef void walk_pages(audit_t *a, list_head *head, u32 pool, u32 isolated_by) noexcept nogil:
    """A list of page descriptors: an LRU, or the pages that a task has isolated."""
    cdef u32 steps = 0
    cdef u64 at_ = next_entry(a, offset_of(head), offset_of(head), &steps,
                              "LRU: 0x%llx says next 0x%llx, which says prev 0x%llx")
    cdef u64 first = H.memmap + <u64>&(<page_t *>0).lru
    cdef u64 pfn
    while at_:
        pfn = (at_ - first) // sizeof(page_t)
        if at_ < first or pfn >= H.geometry.frames or (at_ - first) % sizeof(page_t) != 0:
            find(a, 15, V_LIST_CORRUPTION, 0, 0,
                 "a list of pages leads to 0x%llx, which is no page", at_)
            return
        if isolated_by == 0:
            a.frame[pfn].lru += 1
            a.frame[pfn].pool = pool + 1
        else:
            a.frame[pfn].isolated += 1
            if memmap[pfn].isolated_by != isolated_by:
                find(a, 12, V_INVARIANT, page_address(memmap + pfn), 0,
                     "task %llu has the page isolated, but task %llu is noted", isolated_by,
                     memmap[pfn].isolated_by)
        at_ = next_entry(a, at_, offset_of(head), &steps,
                         "LRU: 0x%llx says next 0x%llx, which says prev 0x%llx")


cdef void walk_queue(audit_t *a, pool_t *pool, workqueue_t *wq) noexcept nogil:
    cdef u32 steps = 0
    cdef bint release = wq != &pool.release_wq
    cdef u64 page
    cdef u64 at_ = next_entry(a, offset_of(&wq.items), offset_of(&wq.items), &steps,
                              "work queue: 0x%llx says next 0x%llx, which says prev 0x%llx")
    while at_:
        page = page_of_address(at_)
        if page:
            note(a, page).works += 1
            if virt_to_page(page).state != FRAME_ALLOCATED:
                find(a, 10, V_USE_AFTER_FREE, page, 0, "a queued work item lies in a freed page")
                return
        elif at_ != offset_of(&pool.work.entry):
            find(a, 10, V_LIST_CORRUPTION, 0, 0,
                 "a work queue leads to 0x%llx, which is no work item", at_)
            return
        if not (<u64 *>at(at_ - sizeof(u64)))[0] & WORK_PENDING:
            find(a, 10, V_INVARIANT, page, 0, "work 0x%llx is queued, and not marked as pending",
                 at_ - sizeof(u64))
        release |= at_ == offset_of(&pool.work.entry)
        at_ = next_entry(a, at_, offset_of(&wq.items), &steps,
                         "work queue: 0x%llx says next 0x%llx, which says prev 0x%llx")
    if wq.finished + <i64>(steps - 1 if steps else 0) != wq.queued:
        find(a, 10, V_INVARIANT, 0, 0,
             "of %lld work items %lld are finished or cancelled, and %lld wait",
             wq.queued, wq.finished, steps - 1 if steps else 0)
    if not release and work_pending(&pool.work):
        find(a, 10, V_INVARIANT, 0, 0, "the release work is marked as pending, and not queued")
    if not list_empty(&pool.stale) and not release:
        find(a, 9, V_LEAK, page_of_address(pool.stale.next), 0,
             "pages are on the stale list, and no work that would free them is queued")
    if wq.running != 0:
        find(a, 10, V_INVARIANT, page_of_address(wq.running), 0,
             "work 0x%llx is marked as running, and nobody runs it", wq.running)


cdef void free_lock(audit_t *a, u32 *lock, const char *text) noexcept nogil:
    if lock_owner(lock[0]) != 0:
        find(a, 19, V_LOCK_MISUSE, page_of_address(offset_of(lock)), 0, text,
             offset_of(lock), lock_owner(lock[0]))


cdef void walk_remains(audit_t *a, pool_t *pool, u32 number) noexcept nogil:
    """Rule 25: a pool that is gone, or was never there, leads to nothing."""
    if pool.inode != 0 or pool.cache != 0:
        find(a, 25, V_LEAK, 0, 0, "pool %llu is gone, and its inode (%llu) or cache (%llu) is not",
             number, pool.inode, pool.cache)
    if pool.compact_wq.items.next == 0:
        return                          # never there
    if not list_empty(&pool.compact_wq.items) or not list_empty(&pool.release_wq.items):
        find(a, 25, V_USE_AFTER_FREE, 0, 0, "work is queued for pool %llu, which is gone", number)
    if not list_empty(&pool.lru) or not list_empty(&pool.stale):
        find(a, 25, V_USE_AFTER_FREE, 0, 0, "pages are on the lists of pool %llu, which is gone",
             number)


cdef void walk_pools(audit_t *a) noexcept nogil:
    cdef u32 i, cpu
    cdef int index
    cdef pool_t *pool
    cdef list_head *lists
    for i in range(MAX_POOLS):
        pool = pool_number(i)
        if pool.state == POOL_NONE:
            walk_remains(a, pool, i)
            continue
        if pool.percpu < H.percpu or pool.percpu >= H.memmap:
            find(a, 15, V_LIST_CORRUPTION, 0, 0,
                 "the per-CPU lists of pool %llu are at 0x%llx, where there are none",
                 i, pool.percpu)
            continue
        for cpu in range(nr_cpus):
            lists = unbuddied_list(pool, cpu, 0)
            for index in range(TOTAL_CHUNKS):
                if not is_alone(lists + index):
                    walk_headers(a, lists + index, i, cpu, index)
        walk_headers(a, &pool.stale, i, -1, 0)
        walk_pages(a, &pool.lru, i, 0)
        walk_queue(a, pool, &pool.compact_wq)
        walk_queue(a, pool, &pool.release_wq)
        free_lock(a, &pool.lock, "the pool lock 0x%llx is held by task %llu")
        free_lock(a, &pool.stale_lock, "the stale lock 0x%llx is held by task %llu")
        free_lock(a, &pool.compact_wq.lock, "a queue's lock 0x%llx is held by task %llu")
        free_lock(a, &pool.release_wq.lock, "a queue's lock 0x%llx is held by task %llu")


cdef u64 address_of(z3fold_header *zhdr, u64 word) noexcept nogil:
    """Where the object that a slot names is: not by the subject's own function."""
    cdef u64 page = header_address(zhdr)
    cdef int buddy = handle_to_buddy(zhdr, word)
    if buddy == FIRST:
        return page + (<u64>ZHDR_CHUNKS << CHUNK_SHIFT)
    if buddy == MIDDLE:
        return page + (<u64>zhdr.start_middle << CHUNK_SHIFT)
    return page + PAGE_SIZE - (handle_to_chunks(word) << CHUNK_SHIFT)


cdef void audit_map(audit_t *a, map_t *m, u32 task) noexcept nogil:
    cdef z3fold_header *zhdr
    cdef u64 page, where
    if m.handle & 1 or m.page == 0:
        return
    if not is_frame(m.page):
        find(a, 14, V_INVARIANT, 0, m.handle, "task %llu has 0x%llx mapped, which is no page",
             task, m.page)
        return
    note(a, m.page).maps += 1
    zhdr = header_at(m.page)
    where = address_of(zhdr, slot_word(m.handle)) if is_slots(handle_to_slots(m.handle)) else 0
    if zhdr.middle_chunks and m.address == m.page + (<u64>zhdr.start_middle << CHUNK_SHIFT):
        note(a, m.page).middle_maps += 1
    page = page_of_handle(m.handle)
    if page != m.page:
        find(a, 14, V_CORRUPTION, m.page, m.handle,
             "task %llu has the object mapped in this page, but it is now in 0x%llx", task, page)
    elif where != m.address:
        find(a, 14, V_CORRUPTION, m.page, m.handle,
             "task %llu has the object mapped at 0x%llx, but it is now at 0x%llx", task,
             m.address, where)


cdef void walk_tasks(audit_t *a) noexcept nogil:
    cdef u32 i, k
    cdef task_t *t
    cdef list_head *lists[4]
    for i in range(1, H.geometry.tasks + 1):
        t = task_at(i)
        if t.state == TASK_FREE:
            continue
        lists[0], lists[1], lists[2], lists[3] = &t.isolated, &t.failed, &t.single, &t.batch
        if t.depth != 0 and i != me:
            find(a, 20, V_INVARIANT, 0, 0,
                 "task %llu is inside operation %llu: the arena is not quiet",
                 i, t.ops[(t.depth - 1) & (MAX_DEPTH - 1)].op)
        if t.nr_held != 0 and i != me:
            find(a, 20, V_LOCK_MISUSE, 0, 0, "task %llu holds %llu locks, the first is 0x%llx",
                 i, t.nr_held, t.held[0].lock)
        if t.preempt_count != 0 and i != me:
            find(a, 20, V_LOCK_MISUSE, 0, 0, "task %llu has preemption disabled %llu times",
                 i, t.preempt_count)
        for k in range(4):
            if not is_alone(lists[k]):
                walk_pages(a, lists[k], 0, i)
        for k in range(t.nr_maps if t.nr_maps < MAX_MAPS else MAX_MAPS):
            audit_map(a, &t.maps[k], i)
