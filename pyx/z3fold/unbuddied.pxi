# The per-CPU lists of pages with room, indexed by the number of free chunks.
#
# Guarded by the pool lock. Pool lock, then page lock, only by try-lock: the order is PG
# lock, page lock, pool lock.

cdef enum:
    TRY_AGAIN = 1                       # no offset of a lock


cdef inline list_head *unbuddied_list(pool_t *pool, u32 cpu, int chunks) noexcept nogil:
    return <list_head *>(A + pool.percpu) + cpu * TOTAL_CHUNKS + chunks


cdef inline bint has_room(z3fold_header *zhdr) noexcept nogil:
    return zhdr.first_chunks == 0 or zhdr.last_chunks == 0 or zhdr.middle_chunks == 0


cdef void add_to_unbuddied(pool_t *pool, z3fold_header *zhdr) noexcept nogil:
    """List a page that has room with this CPU. The page lock is held."""
    cdef int free_chunks
    cdef list_head *l
    if not has_room(zhdr):
        return
    preempt_disable()
    free_chunks = num_free_chunks(zhdr)
    if unlikely(free_chunks < 0 or free_chunks >= TOTAL_CHUNKS):
        bug(V_INVARIANT, "add_to_unbuddied", header_address(zhdr), 0, 0,
            "the page has %lld free chunks: there is no such list", free_chunks)
    l = unbuddied_list(pool, current.cpu, free_chunks)
    prefetch_linked(&l.next)
    spin_lock(&pool.lock, LC_POOL)
    list_add(&zhdr.buddy, l)
    spin_unlock(&pool.lock)
    zhdr.cpu = <i16>current.cpu
    preempt_enable()


cdef inline z3fold_header *take_first(pool_t *pool, list_head *l, u64 first,
                                      u64 *contended) noexcept nogil:
    """Take `first` off a list that began with it when read without a lock. Its page lock is
    held and a reference taken; null (and contended) when that is no longer so, or the page
    is locked, or is to be compacted. contended: TRY_AGAIN, or the lock that was taken."""
    cdef z3fold_header *zhdr = <z3fold_header *>(A + first)
    contended[0] = TRY_AGAIN
    prefetch_header(first)
    prefetch(header_page(zhdr))
    spin_lock(&pool.lock, LC_POOL)
    if unlikely(first != read_once64(&l.next)):
        spin_unlock(&pool.lock)
        return NULL
    if unlikely(not z3fold_page_trylock(zhdr)):
        contended[0] = offset_of(&zhdr.page_lock)
        spin_unlock(&pool.lock)
        return NULL
    list_del_init(&zhdr.buddy)
    zhdr.cpu = -1
    spin_unlock_below(&pool.lock)
    if unlikely(test_bit(NEEDS_COMPACTING, &header_page(zhdr).private)):
        z3fold_page_unlock(zhdr)        # its compaction will list it again
        return NULL
    # It could not leave its list while we held the pool lock, and its references cannot go
    # while we hold its page lock: a plain get is safe.
    kref_get(&zhdr.refcount)
    return zhdr


cdef z3fold_header *search_own_cpu(pool_t *pool, int chunks, u64 *contended) noexcept nogil:
    """The smallest room that is large enough, on this CPU's lists."""
    cdef u64 here = offset_of(unbuddied_list(pool, current.cpu, chunks))
    cdef u64 end = offset_of(unbuddied_list(pool, current.cpu, NCHUNKS))
    cdef u64 first
    while here < end:
        first = read_once64(&node(here).next)
        if first != here:
            return take_first(pool, node(here), first, contended)
        here += sizeof(list_head)
    return NULL


cdef z3fold_header *search_unbuddied(pool_t *pool, int chunks) noexcept nogil:
    """A page with room for this many chunks, locked and referenced; null when none is listed."""
    cdef z3fold_header *zhdr
    cdef list_head *l
    cdef u64 first
    cdef u64 contended = TRY_AGAIN
    cdef u32 cpu, spins = 0
    while contended:
        contended = 0
        preempt_disable()
        zhdr = search_own_cpu(pool, chunks, &contended)
        preempt_enable()
        if zhdr != NULL:
            return zhdr
        if contended:
            relax_until_free(&spins, contended)
    if not H.config.cross_cpu_search:
        return NULL
    # Patch 2/4: an exact fit on any CPU, one attempt each.
    for cpu in range(nr_cpus):
        l = unbuddied_list(pool, cpu, chunks)
        first = read_once64(&l.next)
        if first != offset_of(l):
            zhdr = take_first(pool, l, first, &contended)
            if zhdr != NULL:
                return zhdr
    return NULL
