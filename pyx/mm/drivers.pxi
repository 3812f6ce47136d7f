# Who asks for migration: memory compaction, range offlining, and single random pages.
#
# Each leaves no page isolated behind: what did not move is put back before it returns.

cdef enum:
    COMPACT_CLUSTER_MAX = 32
    OFFLINE_PASSES_BEFORE_LIVELOCK = 20000


cdef int migrate_and_put_back(migrate_control *c) noexcept nogil:
    """Migrate what this task has isolated; nothing stays isolated."""
    cdef int result = migrate_pages(&current.isolated, c)
    putback_movable_pages(&current.isolated)
    release_aside()
    return result


cdef int migrate_random_page() noexcept nogil:
    """Isolate one random page and migrate it; 0 moved, > 0 not moved, < 0 errno."""
    cdef migrate_control c
    cdef int result
    default_control(&c)
    c.sync = random64(current) >> 63
    op_enter(OP_MIGRATE_PAGES, 0, 0)
    if isolate_movable_page(memmap + random_below(current, H.geometry.frames)):
        result = migrate_and_put_back(&c)
    else:
        result = -EBUSY
    op_leave()
    return result


cdef int compact_memory(u32 first, u32 frames) noexcept nogil:
    """Scan frames from `first`, isolating up to 32 a batch, and migrate each batch.
    Returns the pages moved; a batch without targets ends the run."""
    cdef migrate_control c
    cdef u32 pfn = first
    cdef u32 end = first + frames if first + frames < H.geometry.frames else H.geometry.frames
    cdef u32 batch
    cdef u64 moved = counter(N_MIGRATED)[0]
    cdef int result
    default_control(&c)
    c.sync = False
    while pfn < end and read_once32(&H.stop) == 0:
        op_enter(OP_MIGRATE_PAGES, pfn, end)
        batch = 0
        while pfn < end and batch < COMPACT_CLUSTER_MAX:
            if isolate_movable_page(memmap + pfn):
                batch += 1
            pfn += 1
        result = migrate_and_put_back(&c) if batch else 0
        op_leave()
        if result == -ENOMEM:
            break
    return <int>(counter(N_MIGRATED)[0] - moved)


cdef u32 movable_left(u32 first, u32 end) noexcept nogil:
    cdef u32 pfn, left = 0
    for pfn in range(first, end):
        if read_once64(&memmap[pfn].mapping) != 0:
            left += 1
    return left


cdef int offline_range(u32 first, u32 frames, u32 budget) noexcept nogil:
    """Move all movable pages out of a range, in at most `budget` rounds.
    Returns how many are left; why they refused is in current.refusals."""
    cdef migrate_control c
    cdef u32 pfn, round_ = 0, batch, left, spins = 0
    cdef u32 end = first + frames if first + frames < H.geometry.frames else H.geometry.frames
    cdef u64 moved
    cdef bint endless = defect(OFFLINE_ENDLESS_LOOP)
    cdef char[160] text
    left = movable_left(first, end)
    while (left and read_once32(&H.stop) == 0 and read_once32(&H.pause) == 0
            and (endless or round_ < budget)):
        moved = counter(N_MIGRATED)[0]
        default_control(&c)
        c.avoid_from = page_address(memmap + first)
        c.avoid_to = page_address(memmap + end)
        op_enter(OP_MIGRATE_PAGES, first, end)
        batch = 0
        for pfn in range(first, end):
            if read_once64(&memmap[pfn].mapping) and isolate_movable_page(memmap + pfn):
                batch += 1
        if batch:
            migrate_and_put_back(&c)
        op_leave()
        round_ = 0 if endless and counter(N_MIGRATED)[0] != moved else round_ + 1
        left = movable_left(first, end)
        if endless and round_ > OFFLINE_PASSES_BEFORE_LIVELOCK:
            snprintf(text, sizeof(text), "%u pages stay, the last because %s; the driver has no "
                     "budget: %u rounds", left, refusal_name(current.refused), round_)
            verdict(V_LIVELOCK, "offline_range", page_address(memmap + first), 0, 0, text)
            break
        relax(&spins)
    return <int>left
