# Page frames: alloc_page, get_page, put_page. Freed frames are poisoned and checked when
# they go out again; a frame that is freed in a bad state is a verdict (the kernel's bad_page).


cdef inline bint PageIsolated(page_t *page) noexcept nogil:
    return read_once32(&page.flags) & PG_ISOLATED


cdef inline void SetPageIsolated(page_t *page) noexcept nogil:
    fetch_or32(&page.flags, PG_ISOLATED)


cdef inline void ClearPageIsolated(page_t *page) noexcept nogil:
    fetch_and32(&page.flags, ~<u32>PG_ISOLATED)


cdef i64 first_unpoisoned(u64 address) noexcept nogil:
    """Byte offset of the first word of the frame that is not poison, or -1."""
    return first_different(<u64 *>at(address), PAGE_SIZE // 8, POISON)


cdef page_t *alloc_page(int gfp, int fault) noexcept nogil:
    """A frame with one reference, contents undefined; null when there is none."""
    cdef u32 index
    cdef page_t *page
    cdef u64 address
    cdef i64 wrong
    if gfp & GFP_KERNEL:
        might_sleep("alloc_page")
    if should_fail(fault):
        return NULL
    index = free_list_pop(&H.free_frames[0], <char *>&memmap.next_free, sizeof(page_t))
    if index == 0:
        return NULL
    fetch_add_i64(&H.frames_free, -1)
    page = memmap + (index - 1)
    address = page_address(page)
    gate_birth(address)
    if unlikely(page.state != FRAME_FREE):
        bug(V_DOUBLE_FREE, "alloc_page", address, 0, 0, "an allocated frame is on the free list")
    if H.config.poison and page.generation != 0:
        wrong = first_unpoisoned(address)
        if unlikely(wrong >= 0):
            verdict(V_USE_AFTER_FREE, "alloc_page", address, 0, 0,
                    "the frame was written to after it was freed: byte %llu holds 0x%llx",
                    wrong, (<u64 *>at(address + wrong))[0])
    page.state = FRAME_ALLOCATED
    page.flags = 0
    page.private = 0
    write_once64(&page.mapping, 0)      # scanners look at it without a lock
    page.tries = 0
    page.tries_of_call = 0
    page.isolated_by = 0
    init_list_head(&page.lru)
    store_release32(&page.refcount, 1)
    return page


cdef void free_frame(page_t *page) noexcept nogil:
    cdef u64 address = page_address(page)
    if unlikely(page.state != FRAME_ALLOCATED):
        bug(V_DOUBLE_FREE, "free_frame", address, 0, 0, "the frame is freed a second time")
    if unlikely(page.mapping != 0):
        verdict(V_INVARIANT, "free_frame", address, 0, 0, "a frame is freed while it is movable")
    if unlikely(PageIsolated(page)):
        verdict(V_INVARIANT, "free_frame", address, 0, 0, "a frame is freed while it is isolated")
    check_no_locks_in(address, PAGE_SIZE)
    check_no_locks_in(offset_of(page), sizeof(page_t))
    gate_death(address)
    if H.config.poison:
        poison_memory(at(address), POISON_BYTE, PAGE_SIZE)
    page.generation += 1
    page.private = 0
    write_once64(&page.mapping, 0)
    page.state = FRAME_FREE
    fetch_add_i64(&H.frames_free, 1)
    free_list_push(&H.free_frames[0], <char *>&memmap.next_free, sizeof(page_t),
                   page_to_pfn(page) + 1)


cdef inline void get_page(page_t *page) noexcept nogil:
    kref_get(&page.refcount)


cdef inline void put_page(page_t *page) noexcept nogil:
    if kref_put(&page.refcount):
        free_frame(page)


cdef inline bint get_page_unless_zero(page_t *page) noexcept nogil:
    return kref_get_unless_zero(&page.refcount)
