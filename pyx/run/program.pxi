# Programs: what an actor does, as data, and the one interpreter that runs it in both worlds.
#
# An instruction (vocabulary/code.h) is 32 bytes: a code, a register, flags, a pool, and three
# operands. The interpreter runs without the GIL and owns nothing but arena state, so a task may be left in
# the middle. Objects are named by their number in the object table and handled by its
# protocol (client/object.pxi): an operation on an object that is not there does nothing.
# Never decides what runs when: that is the gate's business.


cdef inline bint compare_values(int how, i64 x, i64 y) noexcept nogil:
    if how == COMPARE_EQ:
        return x == y
    if how == COMPARE_NE:
        return x != y
    if how == COMPARE_LT:
        return x < y
    if how == COMPARE_LE:
        return x <= y
    if how == COMPARE_GT:
        return x > y
    return x >= y


cdef inline u64 *scratch_word(i64 number) noexcept nogil:
    return &H.scratch[SCRATCH_STRIDE / sizeof(u64) * (number & (NR_SCRATCH - 1))]


cdef map_t *my_map(object_t *o) noexcept nogil:
    """This task's map of an object; null when it has none. Its own note of it is all that it may
    look at: without a map it has no reference, and the rest of the object is others' to change."""
    cdef u32 i = current.nr_maps
    cdef u64 number = object_id(o) + 1
    while i:
        i -= 1
        if current.maps[i].object == number:
            return &current.maps[i]
    return NULL


cdef void alloc_named(pool_t *pool, object_t *o, u32 size, int gfp, bint fill) noexcept nogil:
    """Nobody else sees the object before it is filled, if it is to be."""
    cdef u32 operation
    if not claim_object(o):
        return
    if o.state == OBJECT_EMPTY:
        operation = history_invoke(object_id(o), True, fill)
        write_once32(&o.owner, me)
        o.size = size
        o.version = 0
        if client_alloc(pool, o, size, gfp) == 0:
            if fill:
                fill_object(pool, o)
            write_once32(&o.state, OBJECT_LIVE)
        else:
            write_once32(&o.owner, 0)
        history_respond(operation, fill)
    release_object(o)


cdef void fill_named(pool_t *pool, object_t *o) noexcept nogil:
    cdef u32 operation, version
    if not claim_object(o):
        return
    if o.state == OBJECT_LIVE:
        version = o.version + 1
        operation = history_invoke(object_id(o), True, version)
        fill_object(pool, o)
        history_respond(operation, version)
    release_object(o)


cdef map_t *map_named(pool_t *pool, object_t *o) noexcept nogil:
    """Holds a reference to the object until the unmap, as a load of zswap does. Null: it is not
    there, or this task has it mapped already."""
    if not get_object(o):
        return NULL
    if o.state == OBJECT_LIVE and client_map(pool, o.handle, object_id(o) + 1) != 0:
        return my_map(o)
    put_object(pool, o)
    return NULL


cdef void check_named(object_t *o) noexcept nogil:
    cdef map_t *m = my_map(o)
    if m != NULL and o.version != 0:
        check_object(o, m.address, "check")


cdef void unmap_named(pool_t *pool, object_t *o) noexcept nogil:
    if my_map(o) == NULL:
        return
    client_unmap(pool, o.handle)
    put_object(pool, o)


cdef void write_mapped(object_t *o, map_t *m) noexcept nogil:
    """A new version, written where others may be reading: ordering that is the program's duty."""
    cdef u32 version = fetch_add32(&o.version, 1) + 1
    cdef u32 operation = history_invoke(object_id(o), True, version)
    fill_pattern(m.address, object_id(o), me, o.size, version)
    history_respond(operation, version)


cdef void read_mapped(object_t *o, map_t *m) noexcept nogil:
    """Which version is there? One that is none, or a mix of two, is corruption."""
    cdef u32 operation, version = read_once32(&o.version)
    if version == 0:
        return
    operation = history_invoke(object_id(o), False, 0)
    while version and verify_pattern(<char *>at(m.address), object_id(o), o.size, version) >= 0:
        version -= 1
    if version == 0:
        verdict(V_CORRUPTION, "read", m.page, o.handle, 0,
                "object %llu holds no version that was written", object_id(o))
    history_respond(operation, version)


cdef void access_named(pool_t *pool, object_t *o, bint write) noexcept nogil:
    """Map, write or read, unmap; through the map that this task has, where it has one."""
    cdef map_t *own = my_map(o)
    cdef map_t *m = own if own != NULL else map_named(pool, o)
    if m == NULL:
        return
    if write:
        write_mapped(o, m)
    else:
        read_mapped(o, m)
    if own == NULL:
        unmap_named(pool, o)


cdef void run_or_wait(workqueue_t *wq) noexcept nogil:
    """Run one item, after whoever runs one now."""
    cdef u32 spins = 0
    cdef u64 running
    while not run_one_work(wq, -1):
        gate_look_away()
        running = wq.running
        gate_look_again()
        if not in_sim() or running == 0:
            return                      # another took the item
        relax_until_changed(&spins, &wq.running, running)


cdef void work_once(workqueue_t *wq) noexcept nogil:
    """One item of a queue; in the sim world, when there is one (or none can come). The queue of
    a pool that is gone, or not there yet, is empty."""
    if not in_sim() or gate_wait_work(&wq.items):
        run_or_wait(wq)


cdef void run_allocator_code(const instruction *i) noexcept nogil:
    cdef pool_t *pool = pool_number(i.pool)
    cdef object_t *o = object_at(<u32>i.a)
    if i.code == CODE_CREATE_POOL:
        op_enter(OP_CREATE_POOL, 0, 0)
        z3fold_create_pool(i.pool, EVICTS_BY_TABLE if i.a else 0, &pool)
        op_leave()
        return
    if i.code == CODE_COMPACT_WORK:
        work_once(&pool.compact_wq)
        return
    if i.code == CODE_RELEASE_WORK:
        work_once(&pool.release_wq)
        return
    if read_once32(&pool.state) == POOL_NONE:
        return
    if i.code == CODE_ALLOC:
        alloc_named(pool, o, <u32>i.b, GFP_ATOMIC if i.flags & FLAG_ATOMIC else GFP_KERNEL,
                    (i.flags & FLAG_FILL) != 0)
    elif i.code == CODE_FREE:
        free_object(pool, o)
    elif i.code == CODE_FILL:
        fill_named(pool, o)
    elif i.code == CODE_MAP:
        map_named(pool, o)
    elif i.code == CODE_CHECK:
        check_named(o)
    elif i.code == CODE_UNMAP:
        unmap_named(pool, o)
    elif i.code == CODE_WRITE:
        access_named(pool, o, True)
    elif i.code == CODE_READ:
        access_named(pool, o, False)
    elif i.code == CODE_RECLAIM:
        op_enter(OP_RECLAIM, i.a, 0)
        z3fold_reclaim_page(pool, <u32>i.a)
        op_leave()
    elif i.code == CODE_DRAIN:
        while run_one_work(&pool.compact_wq, -1) or run_one_work(&pool.release_wq, -1):
            pass
    elif i.code == CODE_DESTROY_POOL:
        op_enter(OP_DESTROY_POOL, 0, 0)
        z3fold_destroy_pool(pool)
        op_leave()
    elif i.code == CODE_FREE_ALL:
        free_all_objects(pool)
    elif i.code == CODE_PROBE:
        probe_migration(<u32>i.a)
        probe_reclaim(pool)


cdef u32 frame_of(const instruction *i) noexcept nogil:
    """The frame that a migration operation is about: given by number, or where an object is
    now, or was last. A scanner finds pages by number: it takes no lock to learn it."""
    cdef object_t *o
    cdef u64 page
    if not i.flags & FLAG_PAGE_OF:
        return <u32>i.a
    o = object_at(<u32>i.a)
    gate_look_away()
    page = page_of_handle(o.handle) if o.handle else 0
    gate_look_again()
    if page:
        gate_remember(&o.last_page)
        gate_look_away()
        o.last_page = page
        gate_look_again()
    return page_to_pfn(virt_to_page(o.last_page)) if o.last_page else <u32>-1


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


cdef void run_migration_code(const instruction *i) noexcept nogil:
    cdef migrate_control c
    cdef u32 pfn
    cdef page_t *page
    if i.code == CODE_COMPACT_MEMORY:
        compact_memory(<u32>i.a, <u32>i.b)
        return
    if i.code == CODE_OFFLINE:
        offline_range(<u32>i.a, <u32>i.b, <u32>i.c)
        return
    pfn = frame_of(i)
    if pfn >= H.geometry.frames:
        return
    page = memmap + pfn
    if i.code == CODE_LOCK_PAGE:
        lock_page(page)
        return
    if i.code == CODE_UNLOCK_PAGE:
        unlock_page(page)
        return
    if i.code == CODE_LOCK_HEADER:
        z3fold_page_lock(header_at(page_address(page)))
        return
    if i.code == CODE_UNLOCK_HEADER:
        z3fold_page_unlock(header_at(page_address(page)))
        return
    op_enter(OP_MIGRATE_PAGES, pfn, 0)
    if i.code == CODE_ISOLATE:
        isolate_movable_page(page)
    elif i.code == CODE_MIGRATE_PAGES:
        migrate_named(i, page)
    else:
        page = isolated_page(i, page)
    if page == NULL or i.code == CODE_ISOLATE or i.code == CODE_MIGRATE_PAGES:
        pass
    elif i.code == CODE_MIGRATE:
        default_control(&c)
        migrate_one(page, &c)
    else:
        list_del(&page.lru)
        lock_page(page)
        putback_locked(page)
        unlock_page(page)
        put_page(page)
    op_leave()


cdef inline i64 load_word(u64 *word, int flags) noexcept nogil:
    if flags & FLAG_ACQUIRE:
        return <i64>load_acquire64(word)
    if flags & FLAG_ATOMIC:
        return <i64>read_once64(word)
    return <i64>word[0]


cdef inline void store_word(u64 *word, u64 value, int flags) noexcept nogil:
    if flags & FLAG_RELEASE:
        store_release64(word, value)
    elif flags & FLAG_ATOMIC:
        write_once64(word, value)
    else:
        word[0] = value


cdef void wait_while(u64 *word, u64 value) noexcept nogil:
    cdef u32 spins = 0
    if in_sim():
        gate_wait_while(word, value)    # which has read it: there is no second look
        if not gate_stays():
            return
    while load_acquire64(word) == value:
        relax(&spins)


cdef void wait_until(u64 *word, u64 value) noexcept nogil:
    cdef u32 spins = 0
    if in_sim():
        gate_wait_equal(word, value)
        if not gate_stays():
            return
    while load_acquire64(word) != value:
        relax(&spins)


cdef void run_lock_code(const instruction *i) noexcept nogil:
    """Locks by themselves outlive the instruction: there is no bracket to close."""
    cdef u32 *word = <u32 *>scratch_word(i.a)
    if i.code == CODE_READ_LOCK:
        read_lock(word, LC_RAW)
    elif i.code == CODE_READ_UNLOCK:
        read_unlock(word)
    elif i.code == CODE_WRITE_LOCK:
        write_lock(word, LC_RAW)
    elif i.code == CODE_WRITE_UNLOCK:
        write_unlock(word)
    elif i.code == CODE_WAIT_WHILE:
        wait_while(scratch_word(i.a), <u64>i.b)
    elif i.code == CODE_WAIT_UNTIL:
        wait_until(scratch_word(i.a), <u64>i.b)
    elif i.code == CODE_SLEEP:
        might_sleep("sleep")
        wait_while(scratch_word(i.a), load_acquire64(scratch_word(i.a)))
    elif i.code == CODE_WAKE:
        fetch_add_i64(<i64 *>scratch_word(i.a), 1)      # who sleeps waits for a change
    elif i.code == CODE_MIGHT_SLEEP:
        might_sleep("might_sleep")
    elif i.code == CODE_PREEMPT_DISABLE:
        preempt_disable()
    elif i.code == CODE_PREEMPT_ENABLE:
        preempt_enable()


cdef void expectation_failed(const instruction *i, i64 value, i64 wanted) noexcept nogil:
    verdict(V_INVARIANT, "expect", 0, 0, 0,
            "expectation %llu does not hold: the value is %lld, compared with %lld",
            <u64>i.c, <u64>value, <u64>wanted)


cdef void run_program(const instruction *code) noexcept nogil:
    """From the first instruction to CODE_END."""
    cdef i64[NR_REGISTERS] r
    cdef const instruction *i
    cdef u32 at_ = 0
    cdef u32 code_, flags, k
    cdef i64 y
    cdef u64 head
    cdef u64 *word
    for k in range(NR_REGISTERS):
        r[k] = 0
    while True:
        i = code + at_
        gate_progress(at_)
        at_ += 1
        head = own_word(i)              # code, flags, register, compare, pool
        code_ = <u16>head
        flags = <u16>(head >> 16)
        k = (head >> 32) & (NR_REGISTERS - 1)
        if code_ >= CODE_LOAD and code_ <= CODE_CAS:
            word = scratch_word(<i64>own_word(&i.a))
            if code_ == CODE_LOAD:
                r[k] = load_word(word, flags)
                continue
            y = <i64>own_word(&i.b)
            if flags & FLAG_REG:
                y = r[y & (NR_REGISTERS - 1)]
            if code_ == CODE_STORE:
                store_word(word, <u64>y, flags)
            elif code_ == CODE_FETCH_ADD:
                r[k] = fetch_add_i64(<i64 *>word, y)
            elif code_ == CODE_EXCHANGE:
                r[k] = <i64>exchange64(word, <u64>y)
            else:
                r[k] = cas64(word, <u64>y, <u64>i.c)
        elif code_ == CODE_LOCK:
            spin_lock(<u32 *>scratch_word(<i64>own_word(&i.a)), LC_RAW)
        elif code_ == CODE_UNLOCK:
            spin_unlock(<u32 *>scratch_word(<i64>own_word(&i.a)))
        elif code_ == CODE_TRYLOCK:
            r[k] = spin_trylock(<u32 *>scratch_word(i.a), LC_RAW)
        elif code_ >= CODE_LOCK:
            run_lock_code(i)
        elif code_ == CODE_TRYLOCK_PAGE:
            r[k] = trylock_page(memmap + frame_of(i)) if frame_of(i) < H.geometry.frames else 0
        elif code_ >= CODE_ISOLATE:
            run_migration_code(i)
        elif code_ == CODE_AUDIT:
            audit_here()
        elif code_ >= CODE_ALLOC:
            run_allocator_code(i)
        elif code_ == CODE_END:
            return
        elif code_ == CODE_JUMP:
            at_ = <u32>i.a
        elif code_ == CODE_JUMP_UNLESS:
            y = r[i.b & (NR_REGISTERS - 1)] if flags & FLAG_REG else i.b
            if not compare_values(i.compare, r[k], y):
                at_ = <u32>i.a
        else:
            y = r[i.a & (NR_REGISTERS - 1)] if flags & FLAG_REG else i.a
            if code_ == CODE_SET:
                r[k] = i.a
            elif code_ == CODE_MOVE:
                r[k] = r[i.a & (NR_REGISTERS - 1)]
            elif code_ == CODE_ADD:
                r[k] += y
            elif code_ == CODE_MULTIPLY:
                r[k] *= y
            elif code_ == CODE_EXPECT and not compare_values(i.compare, r[k], y):
                expectation_failed(i, r[k], y)


cdef void audit_here() noexcept nogil:
    """A quiet point within a program: whoever wrote it knows that nobody else is inside."""
    cdef finding_t first
    cdef int nr
    gate_look_away()
    nr = audit_arena(&first, 1, -1)
    gate_look_again()
    if nr > 0:
        verdict(<int>first.kind, "audit", first.page, first.handle, 0, first.text)


cdef void perform_program(void *argument) noexcept nogil:
    run_program(<const instruction *>argument)
