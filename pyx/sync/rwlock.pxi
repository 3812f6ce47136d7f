# Reader-writer spinlock of 32 bits: the writer's task in the low 10, readers above.
#
# Who reads is not in the word; it is in the readers' lists of held locks. Writers are not
# preferred: a read side is a few instructions here, and writers (migration) are rare.


cdef void read_lock_slow(u32 *lock, int lock_class) noexcept nogil:
    cdef u64 began = clock_ticks()
    cdef u32 turns = 0
    cdef u32 word
    begin_wait(offset_of(lock), lock_class)
    while True:
        word = read_once32(lock)
        if word & OWNER_MASK == 0 and cas32(lock, word, word + READER):
            break
        if wait_a_little(&turns, lock, word):
            check_owner(offset_of(lock), read_once32(lock), lock_class)
    end_wait(lockstat(lock_class), began)


cdef void read_lock(u32 *lock, int lock_class) noexcept nogil:
    cdef u32 word
    if in_sim():
        gate_read_lock(lock, lock_class)
        return
    gate()
    word = read_once32(lock)
    if unlikely(word & OWNER_MASK != 0 or not cas32(lock, word, word + READER)):
        read_lock_slow(lock, lock_class)
    hold(offset_of(lock), lock_class).reader = 1


cdef void read_unlock(u32 *lock) noexcept nogil:
    cdef held_t *h
    if in_sim():
        gate_read_unlock(lock)
        return
    h = held(offset_of(lock))
    if unlikely(h == NULL or not h.reader):
        bug(V_LOCK_MISUSE, "read_unlock", 0, 0, offset_of(lock),
            "read_unlock by a task that does not read (lock word 0x%llx)", read_once32(lock))
    if fetch_sub32(lock, READER) < 2 * READER and unlikely(read_once32(&H.sleepers) != 0):
        futex_wake(lock)
    let_go(h)
    gate()


cdef void check_readers(u64 lock) noexcept nogil:
    """A writer that has waited for long: is one of the readers dead?"""
    cdef u32 i, k
    cdef task_t *t
    for i in range(1, H.geometry.tasks + 1):
        t = task_at(i)
        if t.state != TASK_FREE and t.nr_held != 0 and task_is_dead(i):
            for k in range(t.nr_held if t.nr_held < MAX_HELD else MAX_HELD):
                if t.held[k].lock == lock and t.held[k].reader:
                    bug(V_ORPHANED_LOCK, "write_lock", page_of_address(lock), 0, lock,
                        "the lock is held for reading by task %llu, which is dead", i)


cdef void write_lock(u32 *lock, int lock_class) noexcept nogil:
    cdef u64 began = 0
    cdef u32 turns = 0
    cdef u32 word
    if in_sim():
        gate_write_lock(lock, lock_class)
        return
    gate()
    if held(offset_of(lock)) != NULL:
        bug(V_DEADLOCK, "write_lock", 0, 0, offset_of(lock),
            "task %llu takes for writing a lock that it holds already", me)
    while True:
        word = read_once32(lock)
        if word == 0 and cas32(lock, 0, me):
            break
        if began == 0:
            began = clock_ticks()
            begin_wait(offset_of(lock), lock_class)
        if wait_a_little(&turns, lock, word):
            check_owner(offset_of(lock), read_once32(lock), lock_class)
            check_readers(offset_of(lock))
    if began:
        end_wait(lockstat(lock_class), began)
    hold(offset_of(lock), lock_class)


cdef void write_unlock(u32 *lock) noexcept nogil:
    cdef held_t *h
    if in_sim():
        gate_write_unlock(lock)
        return
    h = held(offset_of(lock))
    if unlikely(h == NULL or h.reader or read_once32(lock) != me):
        bug(V_LOCK_MISUSE, "write_unlock", 0, 0, offset_of(lock),
            "write_unlock by a task that does not write (lock word 0x%llx)", read_once32(lock))
    store_release32(lock, 0)
    if unlikely(read_once32(&H.sleepers) != 0):
        futex_wake(lock)
    let_go(h)
    gate()
