# The locks a task holds: a short stack in its context, readable by others after a crash.
#
# Pairs each acquisition with its release, samples how long locks are held (one in 64), and
# tells sleeping from spinning contexts for might_sleep().


cdef inline bint is_spinning_class(int lock_class) noexcept nogil:
    return lock_class != LC_PG          # PG_locked sleeps; all the others spin


cdef void hold_too_many(u64 lock) noexcept nogil:
    bug(V_LOCK_MISUSE, "hold", 0, 0, lock, "a task holds more than %llu locks", MAX_HELD)


cdef inline u64 *rest_of(held_t *h) noexcept nogil:
    """What follows the lock, in one word: written and read alike, it need not pass through
    the cache. The class is its lowest byte."""
    return <u64 *>&h.lock_class


cdef inline void move_entry(held_t *to, held_t *h) noexcept nogil:
    rest_of(to)[0] = rest_of(h)[0]
    barrier()                           # one by one: no load is wider than its stores were
    to.lock = h.lock
    barrier()


cdef inline held_t *hold(u64 lock, int lock_class) noexcept nogil:
    cdef task_t *t = current
    cdef u32 n = t.nr_held
    cdef held_t *h = &t.held[n]
    cdef u64 acquired = t.lockstat[lock_class].acquired + 1
    if unlikely(n >= MAX_HELD):
        hold_too_many(lock)
    t.lockstat[lock_class].acquired = acquired
    h.lock = lock
    rest_of(h)[0] = lock_class          # and no reader, node or time
    if unlikely(acquired & 63 == 0):
        h.since = <u32>clock_ticks() | 1
    barrier()
    t.nr_held = n + 1
    return h


cdef void held_sample(held_t *h) noexcept nogil:
    cdef lockstat_t *s = &current.lockstat[h.lock_class]
    cdef u32 ticks = <u32>clock_ticks() - h.since
    s.held_samples += 1
    s.held_ticks += ticks
    if ticks > s.held_max:
        s.held_max = ticks


cdef held_t *find_held(u64 lock) noexcept nogil:
    cdef i32 i
    if in_sim():
        return NULL                     # who asks goes to the gate
    i = <i32>current.nr_held - 1
    while i >= 0:
        if current.held[i].lock == lock:
            return &current.held[i]
        i -= 1
    return NULL


cdef inline held_t *held(u64 lock) noexcept nogil:
    """The entry of a lock that this task holds, or null."""
    cdef task_t *t = current
    cdef held_t *last = &t.held[(t.nr_held - 1) & (MAX_HELD - 1)]
    return last if t.nr_held and last.lock == lock else find_held(lock)


cdef inline void let_go(held_t *h) noexcept nogil:
    """Locks are let go of in any order: the later ones move down. Each is copied before
    its old entry goes, so that a task killed here shows one twice, and none too few."""
    cdef task_t *t = current
    cdef held_t *last = &t.held[t.nr_held - 1]
    if unlikely(h.since != 0):
        held_sample(h)
    while unlikely(h != last):
        move_entry(h, h + 1)
        h += 1
    barrier()
    t.nr_held -= 1


cdef inline void might_sleep(const char *where) noexcept nogil:
    """The kernel's debug check: called where a function may sleep."""
    cdef u32 i
    if in_sim():
        gate_might_sleep(where, current.preempt_count)
        return
    if unlikely(current.preempt_count != 0):
        verdict(V_SLEEP_IN_ATOMIC, where, 0, 0, 0,
                "may sleep, but the caller declared that it must not (preempt count %llu)",
                current.preempt_count)
    if unlikely(current.nr_held != 0):
        for i in range(current.nr_held):
            if current.held[i].lock and is_spinning_class(current.held[i].lock_class):
                verdict(V_SLEEP_IN_ATOMIC, where, 0, 0, current.held[i].lock,
                        "may sleep with a spinlock of class %llu held",
                        current.held[i].lock_class)
                return


cdef inline void preempt_disable() noexcept nogil:
    current.preempt_count += 1


cdef inline void preempt_enable() noexcept nogil:
    current.preempt_count -= 1


cdef void check_no_locks_in(u64 start, u64 size) noexcept nogil:
    """Memory is about to be freed: this task must hold no lock in it."""
    cdef u32 i
    if in_sim():
        gate_no_locks_in(start, size)
        return
    for i in range(current.nr_held):
        if current.held[i].lock >= start and current.held[i].lock < start + size:
            verdict(V_LOCK_MISUSE, "check_no_locks_in", page_of_address(start), 0,
                    current.held[i].lock, "memory is freed with a lock held in it")
