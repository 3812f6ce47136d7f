# PG_locked: the lock of a page descriptor. Sleeps, so it may not be waited for with a
# spinlock held. The movable mark is published under it.


cdef inline bint PageLocked(page_t *page) noexcept nogil:
    """Whether this task holds the lock."""
    if in_sim():
        return gate_holds(&page.pg_lock)
    return lock_owner(read_once32(&page.pg_lock)) == me


cdef inline bint try_page_lock(page_t *page) noexcept nogil:
    """The bare try: no injected failure."""
    if in_sim():
        return gate_trylock_bare(&page.pg_lock, LC_PG)
    if not ttas_try(&page.pg_lock, read_once32(&page.pg_lock)):
        return False
    hold(offset_of(&page.pg_lock), LC_PG)
    return True


cdef inline bint trylock_page(page_t *page) noexcept nogil:
    if in_sim():
        return gate_trylock(&page.pg_lock, LC_PG)
    gate()
    return not should_fail(FAIL_TRYLOCK) and try_page_lock(page)


cdef inline void lock_page(page_t *page) noexcept nogil:
    might_sleep("lock_page")
    if in_sim():
        gate_lock(&page.pg_lock, LC_PG)
        return
    gate()
    if not ttas_try(&page.pg_lock, read_once32(&page.pg_lock)):
        ttas_lock_slow(&page.pg_lock, LC_PG)
    hold(offset_of(&page.pg_lock), LC_PG)


cdef inline void unlock_page(page_t *page) noexcept nogil:
    cdef u32 word
    cdef held_t *h
    if in_sim():
        gate_unlock(&page.pg_lock)
        return
    word = read_once32(&page.pg_lock)
    h = held(offset_of(&page.pg_lock))
    if unlikely(h == NULL or lock_owner(word) != me):
        bug(V_LOCK_MISUSE, "unlock_page", page_address(page), 0, offset_of(&page.pg_lock),
            "unlock_page by a task that does not hold it; the owner is %llu", lock_owner(word))
    store_release32(&page.pg_lock, word & ~<u32>OWNER_MASK)
    let_go(h)
    gate()
