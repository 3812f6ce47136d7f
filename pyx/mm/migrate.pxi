# migrate_pages() of mm/migrate.c as of v5.2, for pages that are not on the kernel's LRU:
# passes, errno rules, both putback routes, the page that its owner freed meanwhile.

from libc.errno cimport EAGAIN, EBUSY, EINVAL, EIO, ENOMEM, ENOSPC

cdef enum:
    ASYNC_PASSES = 3                    # of the batch, in newer cores

cdef struct migrate_control:
    bint sync                           # may block for the PG lock, after force_after passes
    bint in_reclaim                     # must not block, whatever the mode
    u32 passes
    u32 force_after
    bint keep_failed                    # newer cores: try permanent failures again, no putback
    u64 avoid_from                      # targets must lie outside these frames (offlining)
    u64 avoid_to


cdef inline void default_control(migrate_control *c) noexcept nogil:
    c.sync = True
    c.in_reclaim = False
    c.passes = 10
    c.force_after = 3
    c.keep_failed = False
    c.avoid_from = 0
    c.avoid_to = 0


cdef page_t *alloc_target(migrate_control *c) noexcept nogil:
    """A new page. Frames of the range to avoid are kept aside until the caller is done."""
    cdef page_t *page
    while True:
        page = alloc_page(GFP_ATOMIC, FAIL_TARGET)
        if page == NULL or not (c.avoid_from <= page_address(page) < c.avoid_to):
            return page
        list_add(&page.lru, &current.aside)


cdef void release_aside() noexcept nogil:
    cdef page_t *page
    while not list_empty(&current.aside):
        page = lru_page(current.aside.next)
        list_del_init(&page.lru)
        put_page(page)


cdef int move_to_new_page(page_t *newpage, page_t *page, bint force,
                          migrate_control *c) noexcept nogil:
    """One attempt, under both PG locks."""
    cdef int result
    if not trylock_page(page):
        if not force or not c.sync or c.in_reclaim:
            because(REASON_PG_LOCK_OLD)
            return -EAGAIN
        lock_page(page)
    if not trylock_page(newpage):
        unlock_page(page)
        because(REASON_PG_LOCK_NEW)
        return -EAGAIN
    if not PageMovable(page):
        ClearPageIsolated(page)         # its owner let it go: as good as moved
        result = 0
        count(N_FREED_WHILE_ISOLATED)
    else:
        observe(OP_MIGRATE_PAGES, page, newpage, 0)
        result = migrate_callback(newpage, page)
        observe(OP_MIGRATE, page, newpage, result)
        record(OP_MIGRATE, result, page_address(page), page_address(newpage), page.tries)
        if result == 0:
            ClearPageIsolated(page)
            count(N_MIGRATED)
            current.moved_to = page_address(newpage)
            current.moved_after[page.tries if page.tries < 15 else 15] += 1
    unlock_page(newpage)
    unlock_page(page)
    return result


cdef int unmap_and_move(page_t *page, bint force, migrate_control *c) noexcept nogil:
    cdef page_t *newpage = alloc_target(c)
    cdef int result
    if newpage == NULL:
        because(REASON_NO_TARGET)
        count(N_ENOMEM)
        return -ENOMEM
    if read_once32(&page.refcount) == 1:
        # The owner freed it after it was isolated: the reference left is ours.
        list_del(&page.lru)
        lock_page(page)
        ClearPageIsolated(page)
        unlock_page(page)
        put_page(page)
        put_page(newpage)
        count(N_FREED_WHILE_ISOLATED)
        return 0
    count(N_MIGRATE_ATTEMPT)
    result = move_to_new_page(newpage, page, force, c)
    if result == 0:
        list_del(&page.lru)
        put_page(newpage)               # the owner took a reference of its own
        put_page(page)                  # the reference of the isolation
        return 0
    put_page(newpage)
    if result == -EAGAIN:
        count(N_EAGAIN)
        page.tries += 1
        page.tries_of_call += 1
        if page.tries > counter(N_LONGEST_STREAK)[0]:
            counter(N_LONGEST_STREAK)[0] = page.tries
    elif c.keep_failed:
        count(N_EBUSY)
        list_del(&page.lru)
        list_add_tail(&page.lru, &current.failed)
    else:
        count(N_EBUSY)
        list_del(&page.lru)
        lock_page(page)
        putback_locked(page)
        unlock_page(page)
        put_page(page)
    return result


cdef int run_passes(list_head *pages, migrate_control *c, u32 first, u32 last) noexcept nogil:
    """Passes number first to last - 1, while the one before had a retry."""
    cdef u64 link, next_
    cdef page_t *page
    cdef u32 pass_ = first
    cdef int failed = 0
    cdef int retry = 1
    cdef int result
    while pass_ < last and retry:
        retry = 0
        link = pages.next
        while link != offset_of(pages):
            page = lru_page(link)
            next_ = page.lru.next
            result = unmap_and_move(page, pass_ >= c.force_after, c)
            if result == -ENOMEM:
                return -ENOMEM
            if result == -EAGAIN:
                retry += 1
            elif result != 0:
                failed += 1
            link = next_
        pass_ += 1
    return failed + retry


cdef inline void move_all(list_head *from_, list_head *to) noexcept nogil:
    cdef page_t *page
    while not list_empty(from_):
        page = lru_page(from_.next)
        list_del(&page.lru)
        list_add_tail(&page.lru, to)


cdef int migrate_twice(list_head *pages, migrate_control *c) noexcept nogil:
    """Newer cores: an asynchronous batch first; then what is left, one by one, synchronously,
    also what failed for good, in the state in which the batch left it: no putback between."""
    cdef migrate_control again = c[0]
    cdef u32 batch = ASYNC_PASSES if c.passes > ASYNC_PASSES else c.passes
    cdef int result, failed = 0
    cdef page_t *page
    cdef u32 left = 0
    cdef u64 link
    c.sync = False
    result = run_passes(pages, c, 0, batch)
    move_all(&current.failed, pages)
    if result <= 0 or batch == c.passes:
        return result
    again.keep_failed = False
    link = pages.next
    while link != offset_of(pages):
        left += 1
        link = lru_page(link).lru.next
    while left:
        left -= 1
        page = lru_page(pages.next)
        list_del(&page.lru)
        list_add(&page.lru, &current.single)
        result = run_passes(&current.single, &again, batch, again.passes)
        move_all(&current.single, pages)
        if result == -ENOMEM:
            return -ENOMEM
        failed += result
    return failed


cdef int migrate_pages(list_head *pages, migrate_control *c) noexcept nogil:
    """Number of pages that did not move, or -ENOMEM. The caller puts back what is left on
    the list: pages still in retry, and after -ENOMEM all others."""
    cdef u64 link = pages.next
    while link != offset_of(pages):
        lru_page(link).tries_of_call = 0        # a caller may come again with what was left
        link = lru_page(link).lru.next
    if c.keep_failed:
        return migrate_twice(pages, c)
    return run_passes(pages, c, 0, c.passes)
