# z3fold_map and z3fold_unmap. A page with a mapped object is not migrated, and its middle
# object, when mapped, is not moved.


cdef inline void count_map(z3fold_header *zhdr, int change) noexcept nogil:
    if unlikely(defect(MAPPED_COUNT_WRAPS)):
        zhdr.mapped_count = (zhdr.mapped_count + change) & 3
        return
    if unlikely(change < 0 and zhdr.mapped_count == 0):
        verdict(V_REFCOUNT, "z3fold_unmap", header_address(zhdr), 0, 0,
                "the page is unmapped more often than mapped")
        return
    zhdr.mapped_count += change


cdef u64 z3fold_map(pool_t *pool, u64 handle) noexcept nogil:
    """Where the object is now, until unmap; 0 for a handle that names no buddy."""
    cdef z3fold_header *zhdr
    cdef u64 word, address
    cdef int buddy
    if handle & 1:
        return page_address(headless_page(pool, handle, "z3fold_map"))
    zhdr = get_z3fold_header(pool, handle, "z3fold_map")
    word = slot_word(handle)
    buddy = handle_to_buddy(zhdr, word)
    address = header_address(zhdr)
    if buddy == FIRST:
        address += <u64>ZHDR_CHUNKS << CHUNK_SHIFT
    elif buddy == MIDDLE:
        address += <u64>zhdr.start_middle << CHUNK_SHIFT
        zhdr.middle_maps += 1
        set_bit(MIDDLE_CHUNK_MAPPED, &header_page(zhdr).private)
    elif buddy == LAST:
        # The length is in the handle: a free must not make the start unknown.
        address += PAGE_SIZE
        address -= (handle_to_chunks(word) if sound(RECLAIM_FREE_LOST_LENGTH)
                    else <u64>zhdr.last_chunks) << CHUNK_SHIFT
        if unlikely(address == header_address(zhdr) + PAGE_SIZE):
            z3fold_page_unlock(zhdr)
            bug(V_CORRUPTION, "z3fold_map", header_address(zhdr), handle, 0,
                "the last object has no length: its start would be the next page")
    else:
        verdict(V_STALE_HANDLE, "z3fold_map", address, handle, 0,
                "slot word 0x%llx names no buddy", word)
        z3fold_page_unlock(zhdr)
        return 0
    count_map(zhdr, 1)
    z3fold_page_unlock(zhdr)
    return address


cdef void z3fold_unmap(pool_t *pool, u64 handle) noexcept nogil:
    cdef z3fold_header *zhdr
    cdef page_t *page
    cdef int buddy
    if handle & 1:
        headless_page(pool, handle, "z3fold_unmap")
        return
    zhdr = get_z3fold_header(pool, handle, "z3fold_unmap")
    page = header_page(zhdr)
    buddy = handle_to_buddy(zhdr, slot_word(handle))
    if buddy == MIDDLE:
        zhdr.middle_maps -= 1
        if zhdr.middle_maps == 0 or defect(MIDDLE_MAPPED_ONE_BIT):
            clear_bit(MIDDLE_CHUNK_MAPPED, &page.private)
    count_map(zhdr, -1)
    z3fold_page_unlock(zhdr)
