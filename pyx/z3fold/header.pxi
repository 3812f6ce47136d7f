# The page header, handles, and the way from one to the other.
#
# A handle is the address of a slot, whose word is page | buddy number | last_chunks << 2; a
# headless page's handle is its address with the lowest bit set. Buddy numbers rotate with
# first_num, so that a middle object may become first without a change of its handle.
#
# Lookup as in v5.7 and later: the slot is read, and the page try-locked, under the lock of
# the slots, which migration takes when it renames the page. The page lock is thus always
# that of the page which the slot names. The kernel has a rwlock there; a spinlock costs an
# atomic less, and lookups through the same slots meet at the page lock anyway.

cdef enum:
    LOOKUP_TURNS = 256


cdef inline z3fold_header *header_at(u64 address) noexcept nogil:
    return <z3fold_header *>(A + address)


cdef inline void prefetch_header(u64 address) noexcept nogil:
    """Headers lie a page apart, in the same few sets of the caches: they are seldom there."""
    cdef char *line = A + (address & ~<u64>(CACHE_LINE - 1))
    prefetch(line)
    prefetch(line + CACHE_LINE)


cdef inline u64 header_address(z3fold_header *zhdr) noexcept nogil:
    return <u64>(<char *>zhdr - A)


cdef inline page_t *header_page(z3fold_header *zhdr) noexcept nogil:
    return virt_to_page(header_address(zhdr))


cdef inline pool_t *pool_at(u64 offset) noexcept nogil:
    return <pool_t *>(A + offset)


cdef inline void z3fold_page_lock(z3fold_header *zhdr) noexcept nogil:
    spin_lock(&zhdr.page_lock, LC_PAGE)


cdef inline bint z3fold_page_trylock(z3fold_header *zhdr) noexcept nogil:
    return spin_trylock(&zhdr.page_lock, LC_PAGE)


cdef inline void z3fold_page_unlock(z3fold_header *zhdr) noexcept nogil:
    spin_unlock(&zhdr.page_lock)


cdef inline u64 handle_to_slots(u64 handle) noexcept nogil:
    return handle & ~<u64>(CACHE_LINE - 1)


cdef inline u64 size_to_chunks(u64 size) noexcept nogil:
    return (size + CHUNK_SIZE - 1) >> CHUNK_SHIFT


cdef inline int buddy_index(z3fold_header *zhdr, int buddy) noexcept nogil:
    return (buddy + zhdr.first_num) & BUDDY_MASK


cdef u64 encode_handle(z3fold_header *zhdr, z3fold_buddy_slots *slots, int buddy) noexcept nogil:
    """Write the slot of this buddy; returns its address. The page lock is held."""
    cdef int index = buddy_index(zhdr, buddy)
    cdef u64 word = header_address(zhdr) + index
    if unlikely(offset_of(slots) == 0):
        bug(V_INVARIANT, "encode_handle", header_address(zhdr), 0, 0,
            "the page has no slots object to write a handle to")
    if buddy == LAST:
        word |= <u64>zhdr.last_chunks << BUDDY_SHIFT
    write_once64(&slots.slot[index], word)
    return offset_of(&slots.slot[index])


cdef inline int handle_to_buddy(z3fold_header *zhdr, u64 word) noexcept nogil:
    return <int>((word - zhdr.first_num) & BUDDY_MASK)


cdef inline u64 handle_to_chunks(u64 word) noexcept nogil:
    return (word & PAGE_MASK_BITS) >> BUDDY_SHIFT


cdef inline u64 slot_word(u64 handle) noexcept nogil:
    return read_once64(<u64 *>at(handle))


cdef void refuse_handle(u64 handle, u64 word, const char *where) noexcept nogil:
    if word == POISON:
        bug(V_USE_AFTER_FREE, where, 0, handle, 0, "the handle's slots object was freed")
    if word == 0:
        bug(V_STALE_HANDLE, where, 0, handle, 0, "the handle was freed")
    bug(V_STALE_HANDLE, where, 0, handle, 0,
        "the handle's slot holds 0x%llx, which names no page", word)


cdef void check_slots(pool_t *pool, u64 handle, const char *where) noexcept nogil:
    """The handle must lie in a live slots object of this pool."""
    cdef z3fold_buddy_slots *slots = <z3fold_buddy_slots *>at(handle_to_slots(handle))
    if handle & 7 or handle >= H.size or handle < H.slots:
        bug(V_STALE_HANDLE, where, 0, handle, 0, "0x%llx is no handle", handle)
    if slots.slot[0] == POISON:
        bug(V_USE_AFTER_FREE, where, 0, handle, 0, "the handle's slots object was freed")
    if slots.pool != offset_of(pool):
        bug(V_STALE_HANDLE, where, 0, handle, 0,
            "the handle's slots object says pool 0x%llx, not 0x%llx",
            slots.pool, offset_of(pool))


cdef inline page_t *headless_page(pool_t *pool, u64 handle, const char *where) noexcept nogil:
    cdef u64 address = handle & ~<u64>1
    cdef page_t *page
    if unlikely(not is_frame(address)):
        bug(V_STALE_HANDLE, where, 0, handle, 0, "0x%llx is no handle", handle)
    page = virt_to_page(address)
    if unlikely(page.state != FRAME_ALLOCATED):
        bug(V_USE_AFTER_FREE, where, address, handle, 0, "the headless page was freed")
    if unlikely(not test_bit(PAGE_HEADLESS, &page.private)):
        bug(V_STALE_HANDLE, where, address, handle, 0,
            "the handle says headless, the page has a header")
    return page


cdef z3fold_header *lookup_unlocked(u64 handle, const char *where) noexcept nogil:
    """As posted: the slot is read without any lock, then that page is locked."""
    cdef u64 word = slot_word(handle)
    cdef u64 address = word & ~<u64>PAGE_MASK_BITS
    if unlikely(not is_frame(address)):
        refuse_handle(handle, word, where)
    z3fold_page_lock(header_at(address))
    if unlikely(virt_to_page(address).state != FRAME_ALLOCATED):
        bug(V_USE_AFTER_FREE, where, address, handle, 0,
            "the page was freed between the read of its slot and its lock")
    return header_at(address)


cdef z3fold_header *lookup_locked(z3fold_buddy_slots *slots, u64 handle, const char *where,
                                  bint ask) noexcept nogil:
    """Lock the page, with the slots locked and let go of; null: the page lock was busy. Its
    owner is asked after, if at all, before the slots are let go of: it stays this page."""
    cdef u64 word = slot_word(handle)
    cdef u64 address = word & ~<u64>PAGE_MASK_BITS
    cdef bint locked
    if unlikely(not is_frame(address)):
        refuse_handle(handle, word, where)
    locked = z3fold_page_trylock(header_at(address))
    if ask and not locked:
        check_owner(offset_of(&header_at(address).page_lock),
                    read_once32(&header_at(address).page_lock), LC_PAGE)
    spin_unlock(&slots.lock)
    if locked:
        return header_at(address)
    begin_wait(offset_of(&header_at(address).page_lock), LC_PAGE)
    return NULL


cdef z3fold_header *lookup_contended(z3fold_buddy_slots *slots, u64 handle,
                                     const char *where) noexcept nogil:
    """The page lock was busy: try again, re-reading the slot, until it is ours."""
    cdef u64 began = clock_ticks()
    cdef u32 turns = 0
    cdef z3fold_header *zhdr = NULL
    while zhdr == NULL:
        turns += 1
        if in_sim():
            gate_wait_free(<u32 *>at(current.waits_for))
        elif turns & 15:
            pause()
        else:
            sched_yield()
        pause_wait()                    # the owner may want the slots, which are held now
        spin_lock(&slots.lock, LC_SLOTS)
        zhdr = lookup_locked(slots, handle, where, turns % LOOKUP_TURNS == 0)
    end_wait(lockstat(LC_PAGE), began)
    return zhdr


cdef z3fold_header *lookup_rest(z3fold_buddy_slots *slots, u64 handle,
                                const char *where) noexcept nogil:
    cdef z3fold_header *zhdr = lookup_locked(slots, handle, where, False)
    return zhdr if zhdr != NULL else lookup_contended(slots, handle, where)


cdef z3fold_header *lookup_slow(z3fold_buddy_slots *slots, u64 handle,
                                const char *where) noexcept nogil:
    if defect(SLOT_READ_BEFORE_PAGE_LOCK):
        return lookup_unlocked(handle, where)
    spin_lock(&slots.lock, LC_SLOTS)
    return lookup_rest(slots, handle, where)


cdef z3fold_header *lookup_checked(pool_t *pool, u64 handle, const char *where) noexcept nogil:
    check_slots(pool, handle, where)
    return lookup_slow(<z3fold_buddy_slots *>at(handle_to_slots(handle)), handle, where)


cdef z3fold_header *unlock_slots(z3fold_buddy_slots *slots, u64 address) noexcept nogil:
    spin_unlock(&slots.lock)
    return header_at(address)


cdef z3fold_header *get_z3fold_header(pool_t *pool, u64 handle,
                                      const char *where) noexcept nogil:
    """The header of the page that a handle names, its page lock held. What is out of the
    ordinary is left to others at the end of the path, so that nothing need be saved here."""
    cdef z3fold_buddy_slots *slots = <z3fold_buddy_slots *>at(handle_to_slots(handle))
    cdef u64 word, address
    if (unlikely(handle & 7 != 0) or unlikely(handle >= H.size)
            or unlikely(slots.pool != offset_of(pool))):
        return lookup_checked(pool, handle, where)
    if not accesses_seen():
        prefetch_header(slot_word(handle))      # a guess, while the lock is taken
    if (unlikely(defect(SLOT_READ_BEFORE_PAGE_LOCK))
            or unlikely(not spin_lock_fast(&slots.lock, LC_SLOTS))):
        return lookup_slow(slots, handle, where)
    word = slot_word(handle)
    address = word & ~<u64>PAGE_MASK_BITS
    if (unlikely(not is_frame(address))
            or unlikely(not spin_lock_fast(&header_at(address).page_lock, LC_PAGE))):
        return lookup_rest(slots, handle, where)
    if unlikely(not spin_unlock_fast(&slots.lock, 2)):
        return unlock_slots(slots, address)
    return header_at(address)


cdef inline int num_free_chunks(z3fold_header *zhdr) noexcept nogil:
    """The largest object that fits: beside a middle, the larger of the two rooms."""
    cdef int before, after
    if unlikely(defect(UNBUDDIED_WRONG_FREE_COUNT)):
        return NCHUNKS - zhdr.first_chunks - zhdr.last_chunks
    if zhdr.middle_chunks == 0:
        return NCHUNKS - zhdr.first_chunks - zhdr.last_chunks
    before = 0 if zhdr.first_chunks else zhdr.start_middle - ZHDR_CHUNKS
    after = 0 if zhdr.last_chunks else TOTAL_CHUNKS - (zhdr.start_middle + zhdr.middle_chunks)
    return before if before > after else after
