# The audit: every invariant of the allocator over a quiet arena (no task inside it).
#
# Reads only. What it finds goes to a list of findings, each under the number of its rule:
#
#    1 layout of a page       8 page references      15 lists well formed   21 accounting
#    2 free-chunk index       9 stale pages          16 listed pages        25 after destroy
#    3 payload               10 compactions queued   17 no lost page
#    4 handles and slots     11 claims               18 LRU
#    5 slots and pages       12 isolation            19 no lock held
#    6 header pointers       13 mapped counts        20 held lists
#    7 header references     14 mapped pages stay    22 movable marks
#
# The rest of rule 22 (a quiet page moves, and moves again) and 23 (reclaim makes progress) need
# doing: check/probe.pxi; 24 (bounded retries) is watched while the tasks run.


cdef void audit_slot(audit_t *a, z3fold_buddy_slots *slots, int index) noexcept nogil:
    """Rule 4: a slot names a live page, and a buddy of it that exists."""
    cdef u64 word = slots.slot[index]
    cdef u64 page = word & ~<u64>PAGE_MASK_BITS
    cdef u64 handle = offset_of(&slots.slot[index])
    cdef z3fold_header *zhdr
    cdef int buddy
    cdef u16 chunks
    if word == 0:
        return
    a.words += 1
    if is_frame(page):
        note(a, page).words += 1
    if not is_frame(page) or virt_to_page(page).state != FRAME_ALLOCATED:
        find(a, 4, V_STALE_HANDLE, 0, handle, "the slot holds 0x%llx, which is no live page", word)
        return
    zhdr = header_at(page)
    buddy = handle_to_buddy(zhdr, word)
    chunks = (zhdr.first_chunks if buddy == FIRST else
              zhdr.middle_chunks if buddy == MIDDLE else
              zhdr.last_chunks if buddy == LAST else 0)
    if zhdr.slots != offset_of(slots) or <int>(word & BUDDY_MASK) != index or chunks == 0:
        find(a, 4, V_STALE_HANDLE, page, handle,
             "the slot names buddy %llu of a page that has no such object (slots 0x%llx)",
             buddy, zhdr.slots)
    elif buddy == LAST and handle_to_chunks(word) != chunks:
        find(a, 4, V_STALE_HANDLE, page, handle,
             "the slot says %llu chunks, the page %llu", handle_to_chunks(word), chunks)


cdef void audit_slots(audit_t *a) noexcept nogil:
    """Rule 5: one slots object for each page that needs one, none without page."""
    cdef u32 i, k
    cdef u64 page
    cdef z3fold_buddy_slots *slots
    for i in range(H.geometry.frames):
        page = frames_start + (<u64>i << PAGE_SHIFT)
        if (memmap[i].state == FRAME_ALLOCATED and not test_bit(PAGE_HEADLESS, &memmap[i].private)
                and (memmap[i].mapping or a.frame[i].pool) and is_slots(header_at(page).slots)
                and not test_bit(PAGE_STALE, &memmap[i].private)):
            a.owners[(header_at(page).slots - slots_start) // sizeof(z3fold_buddy_slots)] += 1
    for i in range(H.geometry.slots):
        slots = <z3fold_buddy_slots *>at(slots_start) + i
        if slots.state == SLOTS_ALLOCATED:
            if a.owners[i] != 1:
                find(a, 5, V_LEAK, 0, offset_of(slots),
                     "slots object 0x%llx belongs to %llu pages", offset_of(slots), a.owners[i])
            for k in range(4):
                audit_slot(a, slots, k)
            if lock_owner(slots.lock) != 0:
                find(a, 19, V_LOCK_MISUSE, 0, offset_of(slots),
                     "the lock of slots 0x%llx is 0x%llx", offset_of(slots), slots.lock)
            k = <u32>((slots.pool - H.pools) // sizeof(pool_t))
            if slots.pool >= H.pools and k < MAX_POOLS:
                a.slots[k] += 1


cdef void audit_buddies(audit_t *a) noexcept nogil:
    """Rule 4, the other way: every object of a page is named by a slot."""
    cdef u32 i
    cdef z3fold_header *zhdr
    for i in range(H.geometry.frames):
        if (memmap[i].state == FRAME_ALLOCATED and memmap[i].mapping
                and not test_bit(PAGE_HEADLESS, &memmap[i].private)
                and not test_bit(PAGE_STALE, &memmap[i].private)):
            zhdr = header_at(page_address(memmap + i))
            if a.frame[i].words != objects_of(zhdr):
                find(a, 4, V_STALE_HANDLE, page_address(memmap + i), 0,
                     "%llu objects are in the page, and %llu slots name it",
                     objects_of(zhdr), a.frame[i].words)


cdef u64 home_of(audit_t *a, u64 handle) noexcept nogil:
    """By the slots that the handle lies in, or the LRU that a headless page is on."""
    cdef u32 number
    if not handle & 1:
        return (<z3fold_buddy_slots *>at(handle_to_slots(handle))).pool
    number = note(a, page_of_address(handle)).pool
    return offset_of(pool_number(number - 1)) if number else 0


cdef void audit_objects(audit_t *a, i64 handles) noexcept nogil:
    """Rules 3 and 4 from the caller's side: each object's handle and payload, and no handle
    in the slots that nobody knows. Without a table the caller says how many handles it has."""
    cdef u32 i
    cdef u64 known = 0, page
    cdef object_t *o
    for i in range(H.geometry.objects):
        o = object_at(i)
        if o.handle == 0:
            if o.state == OBJECT_LIVE:
                find(a, 4, V_STALE_HANDLE, 0, 0, "object %llu is live without a handle", i)
            continue
        known += 1
        page = page_of_handle(o.handle)
        if (page == 0 or virt_to_page(page).state != FRAME_ALLOCATED
                or test_bit(PAGE_HEADLESS, &virt_to_page(page).private) != (o.handle & 1)
                or (o.handle & 1 == 0 and not is_slots(handle_to_slots(o.handle)))):
            find(a, 4, V_STALE_HANDLE, 0, o.handle, "object %llu: its handle leads nowhere", i)
        elif o.pool != home_of(a, o.handle):
            find(a, 4, V_STALE_HANDLE, page, o.handle, "object %llu was allocated from pool "
                 "0x%llx, and its handle leads to 0x%llx", i, o.pool, home_of(a, o.handle))
        elif o.state == OBJECT_LIVE and read_once64(&o.word) & OBJECT_EXCLUSIVE == 0:
            audit_payload(a, o, page)
    if handles >= 0:
        known = handles
    elif H.geometry.objects == 0:
        return
    if known != a.words + a.headless:
        find(a, 4, V_LEAK, 0, 0, "%llu handles are live in the pool, %llu are known to its users",
             a.words + a.headless, known)


cdef void audit_payload(audit_t *a, object_t *o, u64 page) noexcept nogil:
    cdef u64 address = page
    cdef i64 wrong
    if not o.handle & 1:
        address = address_of(header_at(page), slot_word(o.handle))
    if o.version == 0:
        return                          # a program that never filled it
    if address + o.size > page + PAGE_SIZE:
        find(a, 1, V_INVARIANT, page, o.handle, "object %llu reaches over the end of its page",
             object_id(o))
        return
    wrong = verify_pattern(<char *>at(address), object_id(o), o.size, o.version)
    if wrong >= 0:
        find(a, 3, V_CORRUPTION, page, o.handle,
             "object %llu: byte %llu of %llu is not what was written", object_id(o), wrong, o.size)


cdef u32 free_list_length(u64 head, const char *first_link, u64 stride, u32 most) noexcept nogil:
    """Entries of a free list; most + 1 for one that leads astray or does not end."""
    cdef u32 index = <u32>head
    cdef u32 n = 0
    while index:
        n += 1
        if n > most or index > most:
            return most + 1
        index = (<const u32 *>(first_link + <u64>(index - 1) * stride))[0]
    return n


cdef void audit_free_lists(audit_t *a) noexcept nogil:
    """Rule 21 for slots objects and swap: what is not free is in use by somebody known."""
    cdef z3fold_buddy_slots *slots = <z3fold_buddy_slots *>at(slots_start)
    cdef u32 free_slots = free_list_length(H.free_slots[0], <char *>&slots.next_free,
                                           sizeof(z3fold_buddy_slots), H.geometry.slots)
    cdef u32 free_swap = free_list_length(H.free_swap[0], A + H.swapmap, sizeof(u64),
                                          H.geometry.swap)
    cdef u32 i, used = 0
    for i in range(H.geometry.slots):
        used += slots[i].state == SLOTS_ALLOCATED
    if free_slots + used != H.geometry.slots or H.slots_free != <i64>free_slots:
        find(a, 21, V_LEAK, 0, 0, "of %llu slots objects %llu are alive and %llu on the free list",
             H.geometry.slots, used, free_slots)
    used = 0
    for i in range(H.geometry.objects):
        used += object_at(i).swap != 0
    if free_swap + used != H.geometry.swap:
        find(a, 21, V_LEAK, 0, 0, "of %llu swap pages %llu are in use and %llu on the free list",
             H.geometry.swap, used, free_swap)


cdef void audit_accounting(audit_t *a) noexcept nogil:
    cdef u32 i, steps = 0, index, live = 0
    cdef pool_t *pool
    for i in range(MAX_POOLS):
        pool = pool_number(i)
        if pool.state == POOL_NONE:
            if a.pages[i] or a.slots[i]:
                find(a, 25, V_LEAK, 0, 0, "pool %llu is gone, and %lld pages and %lld slots "
                     "objects name it", i, a.pages[i], a.slots[i])
            continue
        live += 1
        if pool.pages_nr != a.pages[i]:
            find(a, 21, V_LEAK, 0, 0, "pool %llu counts %lld pages, %lld can be found",
                 i, pool.pages_nr, a.pages[i])
        if pool.slots_nr != a.slots[i]:
            find(a, 21, V_LEAK, 0, 0, "pool %llu counts %lld slots objects, %lld can be found",
                 i, pool.slots_nr, a.slots[i])
        if pool.isolated != a.isolated[i]:
            find(a, 12, V_INVARIANT, 0, 0, "pool %llu counts %lld isolated pages, %lld are",
                 i, pool.isolated, a.isolated[i])
    index = <u32>H.free_frames[0]
    while index and steps <= H.geometry.frames:
        if index > H.geometry.frames or memmap[index - 1].state != FRAME_FREE:
            find(a, 21, V_DOUBLE_FREE, 0, 0, "the free list of frames leads to %llu", index)
            break
        steps += 1
        index = memmap[index - 1].next_free
    if steps + a.allocated != H.geometry.frames or H.frames_free != <i64>steps:
        find(a, 21, V_LEAK, 0, 0, "of %llu frames %llu are allocated and %llu on the free list",
             H.geometry.frames, a.allocated, steps)
    for i in range(MAX_POOLS):
        if H.percpu_used >> i & 1:
            steps = 0
            for index in range(MAX_POOLS):
                pool = pool_number(index)
                if pool.state != POOL_NONE and pool.percpu == (
                        H.percpu + <u64>i * nr_cpus * TOTAL_CHUNKS * sizeof(list_head)):
                    steps = 1
            if steps == 0:
                find(a, 25, V_LEAK, 0, 0, "a block of per-CPU lists belongs to no pool")


cdef int audit_arena(finding_t *findings, u32 most, i64 handles) noexcept nogil:
    """Audit everything; returns the number of findings (more than `most` are only counted),
    or -ENOMEM. handles: how many are live, for arenas without an object table; -1: unknown."""
    cdef audit_t a
    cdef u32 i
    memset(&a, 0, sizeof(a))
    a.findings = findings
    a.max = most
    a.frame = <frame_note_t *>calloc(H.geometry.frames + 1, sizeof(frame_note_t))
    a.owners = <u8 *>calloc(H.geometry.slots + 1, 1)
    if a.frame == NULL or a.owners == NULL:
        libc_free(a.frame)
        libc_free(a.owners)
        return -ENOMEM
    walk_pools(&a)
    walk_tasks(&a)
    for i in range(H.geometry.frames):
        audit_frame(&a, memmap + i)
    audit_slots(&a)
    audit_buddies(&a)
    audit_objects(&a, handles)
    audit_accounting(&a)
    audit_free_lists(&a)
    libc_free(a.frame)
    libc_free(a.owners)
    return <int>a.nr
