# What the operations of a program on pages do: migration, and the locks of a page. run_NAME for
# CODE_NAME.


cdef u64 peek_page(object_t *o) noexcept nogil:
    """The page that an object is in at this moment, as its handle and slot say; 0: in none."""
    cdef u64 handle, page
    gate_peek(&o.handle, False)
    gate_look_away()
    handle = o.handle
    gate_look_again()
    if handle == 0:
        return 0
    if not handle & 1:
        gate_peek(<u64 *>at(handle), False)
    gate_look_away()
    page = page_of_handle(handle)
    gate_look_again()
    return page if is_frame(page) else 0        # the slots may be freed between the two looks


cdef u32 frame_of(const instruction *i) noexcept nogil:
    """The frame that a migration operation is about: given by number, or where an object is
    now, or was last. A scanner finds pages by number: it takes no lock to learn it."""
    cdef object_t *o
    cdef u64 page, known
    if not i.flags & FLAG_PAGE_OF:
        return <u32>i.a
    o = object_at(<u32>i.a)
    page = peek_page(o)
    if page == 0:
        gate_peek(&o.last_page, False)
    gate_look_away()
    known = o.last_page
    gate_look_again()
    if page and page != known:
        gate_peek(&o.last_page, True)
        gate_look_away()
        o.last_page = page
        gate_look_again()
    page = page if page else known
    return page_to_pfn(virt_to_page(page)) if page else <u32>-1


cdef void migrate_named(const instruction *i, page_t *page) noexcept nogil:
    cdef migrate_control c
    default_control(&c)
    c.sync = not i.flags & FLAG_ASYNC
    c.in_reclaim = (i.flags & FLAG_IN_RECLAIM) != 0
    c.keep_failed = (i.flags & FLAG_KEEP_FAILED) != 0
    c.passes = <u32>i.b
    if not isolate_movable_page(page):
        return
    list_del(&page.lru)                 # this one: others may have been isolated, and tried, before
    list_add_tail(&page.lru, &current.batch)
    migrate_pages(&current.batch, &c)
    if i.flags & FLAG_NO_PUTBACK:
        move_all(&current.batch, &current.isolated)
    else:
        putback_movable_pages(&current.batch)


cdef bint isolated_by_me(page_t *page) noexcept nogil:
    """The program's own knowledge: nobody's access."""
    cdef bint mine
    gate_look_away()
    mine = page.isolated_by == me and PageIsolated(page)
    gate_look_again()
    return mine


cdef page_t *isolated_page(const instruction *i, page_t *page) noexcept nogil:
    """The page to migrate or put back: this one, if this task has it isolated. The object may
    have moved since, or have been freed: then the page that was isolated last. Null: none."""
    if isolated_by_me(page):
        return page
    if not i.flags & FLAG_PAGE_OF or current.isolated.prev == offset_of(&current.isolated):
        return NULL
    return lru_page(current.isolated.prev)


cdef page_t *page_named(const instruction *i) noexcept nogil:
    """Null: there is no such frame, or the object has no page."""
    cdef u32 pfn = frame_of(i)
    return memmap + pfn if pfn < H.geometry.frames else NULL


cdef void run_isolate(const instruction *i) noexcept nogil:
    cdef page_t *page = page_named(i)
    if page != NULL:
        op_enter(OP_MIGRATE_PAGES, page_to_pfn(page), 0)
        isolate_movable_page(page)
        op_leave()


cdef void run_migrate_pages(const instruction *i) noexcept nogil:
    cdef page_t *page = page_named(i)
    if page != NULL:
        op_enter(OP_MIGRATE_PAGES, page_to_pfn(page), 0)
        migrate_named(i, page)
        op_leave()


cdef void run_migrate(const instruction *i) noexcept nogil:
    cdef migrate_control c
    cdef page_t *page = page_named(i)
    if page == NULL:
        return
    op_enter(OP_MIGRATE_PAGES, page_to_pfn(page), 0)
    page = isolated_page(i, page)
    if page != NULL:
        default_control(&c)
        migrate_one(page, &c)
    op_leave()


cdef void run_putback(const instruction *i) noexcept nogil:
    cdef page_t *page = page_named(i)
    if page == NULL:
        return
    op_enter(OP_MIGRATE_PAGES, page_to_pfn(page), 0)
    page = isolated_page(i, page)
    if page != NULL:
        list_del(&page.lru)
        lock_page(page)
        putback_locked(page)
        unlock_page(page)
        put_page(page)
    op_leave()


cdef void run_compact_memory(const instruction *i) noexcept nogil:
    compact_memory(<u32>i.a, <u32>i.b)


cdef void run_offline(const instruction *i) noexcept nogil:
    offline_range(<u32>i.a, <u32>i.b, <u32>i.c)


# Locks by themselves outlive the instruction: there is no bracket to close.


cdef void run_lock_page(const instruction *i) noexcept nogil:
    cdef page_t *page = page_named(i)
    if page != NULL:
        lock_page(page)


cdef i64 trylock_page_named(const instruction *i) noexcept nogil:
    cdef page_t *page = page_named(i)
    return trylock_page(page) if page != NULL else 0


cdef void run_unlock_page(const instruction *i) noexcept nogil:
    cdef page_t *page = page_named(i)
    if page != NULL:
        unlock_page(page)


cdef void run_lock_header(const instruction *i) noexcept nogil:
    cdef page_t *page = page_named(i)
    if page != NULL:
        z3fold_page_lock(header_at(page_address(page)))


cdef void run_unlock_header(const instruction *i) noexcept nogil:
    cdef page_t *page = page_named(i)
    if page != NULL:
        z3fold_page_unlock(header_at(page_address(page)))
