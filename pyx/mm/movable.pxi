# Movable pages that are not on the kernel's own LRU: the mark, isolate_movable_page and
# putback_movable_pages of mm/migrate.c. Who owns the page is reached through three
# callbacks, as through address_space_operations.

cdef bint (*isolate_callback)(page_t *page) noexcept nogil
cdef int (*migrate_callback)(page_t *newpage, page_t *page) noexcept nogil
cdef void (*putback_callback)(page_t *page) noexcept nogil

# Told of each step of a page's isolation (Op, result); set by a checker, may be null.
cdef void (*migration_observer)(int step, page_t *page, page_t *newpage, int result) noexcept nogil


cdef inline void observe(int step, page_t *page, page_t *newpage, int result) noexcept nogil:
    if migration_observer != NULL:
        migration_observer(step, page, newpage, result)


cdef inline void SetPageMovable(page_t *page, u64 mapping) noexcept nogil:
    """mapping is the offset of a word that is non-zero while its owner exists."""
    if unlikely(not PageLocked(page)):
        verdict(V_LOCK_MISUSE, "SetPageMovable", page_address(page), 0,
                offset_of(&page.pg_lock), "the page is marked movable without its PG lock")
    store_release64(&page.mapping, mapping)


cdef inline void ClearPageMovable(page_t *page) noexcept nogil:
    if unlikely(not PageLocked(page)):
        verdict(V_LOCK_MISUSE, "ClearPageMovable", page_address(page), 0,
                offset_of(&page.pg_lock), "the movable mark is cleared without the PG lock")
    store_release64(&page.mapping, 0)


cdef inline bint PageMovable(page_t *page) noexcept nogil:
    cdef u64 mapping = load_acquire64(&page.mapping)
    if mapping == 0:
        return False
    if unlikely(read_once64(<u64 *>at(mapping)) == 0):
        verdict(V_USE_AFTER_FREE, "PageMovable", page_address(page), 0, 0,
                "the page is movable, but the mapping it refers to (0x%llx) is gone", mapping)
        return False
    return True


cdef const char *refusal_name(int why) noexcept nogil:
    if why == REFUSED_GONE:
        return "it is free"
    if why == REFUSED_NOT_MOVABLE:
        return "it is not movable"
    if why == REFUSED_PG_LOCK:
        return "its PG lock is taken"
    if why == REFUSED_ISOLATED:
        return "it is isolated"
    if why == REFUSED_HEADLESS:
        return "it is headless"
    if why == REFUSED_COMPACTING:
        return "a compaction of it is queued"
    if why == REFUSED_STALE:
        return "it is stale"
    if why == REFUSED_CLAIMED:
        return "it is claimed"
    if why == REFUSED_MAPPED:
        return "it is mapped"
    return "its pool is being destroyed"


cdef inline bint refuse(int why) noexcept nogil:
    current.refused = why
    current.refusals[why] += 1
    count(N_ISOLATE_REFUSED)
    return False


cdef bint isolate_movable_page(page_t *page) noexcept nogil:
    """Isolate a page onto this task's list; the answer no has its reason in current.refused."""
    cdef u32 why
    if not get_page_unless_zero(page):
        return refuse(REFUSED_GONE)
    if load_acquire64(&page.mapping) == 0:      # only a look: the mapping may be on its way out
        put_page(page)
        return refuse(REFUSED_NOT_MOVABLE)
    if not trylock_page(page):
        put_page(page)
        return refuse(REFUSED_PG_LOCK)
    if not PageMovable(page):
        why = REFUSED_NOT_MOVABLE
    elif PageIsolated(page):
        why = REFUSED_ISOLATED
    elif isolate_callback(page):
        page.tries = 0
        page.tries_of_call = 0
        page.isolated_by = me
        SetPageIsolated(page)
        unlock_page(page)
        list_add_tail(&page.lru, &current.isolated)
        count(N_ISOLATE)
        observe(OP_ISOLATE, page, NULL, 0)
        record(OP_ISOLATE, 0, page_address(page), 0, 0)
        return True
    else:
        why = current.refused
    unlock_page(page)
    put_page(page)
    return refuse(why)


cdef void putback_locked(page_t *page) noexcept nogil:
    """The putback callback, with the PG lock held; then the mark comes off."""
    if PageMovable(page):
        observe(OP_PUTBACK, page, NULL, 0)
        putback_callback(page)
        count(N_PUTBACK)
        record(OP_PUTBACK, 0, page_address(page), page.tries, 0)
    ClearPageIsolated(page)


cdef void putback_movable_pages(list_head *pages) noexcept nogil:
    """Put back whatever a caller of migrate_pages still has on its list."""
    cdef page_t *page
    while not list_empty(pages):
        page = lru_page(pages.next)
        list_del(&page.lru)
        lock_page(page)
        putback_locked(page)
        unlock_page(page)
        put_page(page)


cdef inline page_t *lru_page(u64 link) noexcept nogil:
    """The page whose lru link is at this offset."""
    cdef page_t *page = <page_t *>(A + link - <u64>&(<page_t *>0).lru)
    if unlikely(page < memmap or page >= memmap + H.geometry.frames):
        bug(V_LIST_CORRUPTION, "lru_page", 0, 0, 0,
            "a list of pages leads to 0x%llx, which is no page", link)
    return page
