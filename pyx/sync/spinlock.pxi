# Spinlocks of 32 bits that name their owner, in three kinds; one kind an arena.
#
#   ttas    owner 10 bits, generation 22. Test-and-test-and-set; waiting is about 50 spins,
#           some yields, then timed futex waits that check that the owner lives.
#   ticket  owner 16 bits, serving 8, next 8. First come, first served.
#   mcs     owner 16 bits, tail 16: Mellor-Crummey and Scott, 1991, nodes in the tasks.
#
# The owner is in the low bits in all of them, so that who waits for whom can be read by
# anyone, also after a crash. The queued kinds collapse with more tasks than CPUs: the next
# in line is usually not running. An unlock does not wake unless somebody said that it
# sleeps; a wake that is missed costs one period of the timed wait.

cdef enum:
    SPINS = 50
    YIELDS = 16
    FUTEX_PERIOD_NS = 500000


cdef inline u32 lock_owner(u32 word) noexcept nogil:
    return word & OWNER_MASK


cdef bint task_is_dead(u32 id) noexcept nogil:
    cdef task_t *t = task_at(id)
    cdef u32 state = read_once32(&t.state)
    return state == TASK_DEAD or (t.pid != 0 and process_signal(<int>t.pid, 0) != 0)


cdef void check_company(u32 spins, const char *where) noexcept nogil:
    """For waits that only another task can end (work, an isolated page): with nobody there, it is
    for ever. Whether one that is there gets on is for whoever watches them."""
    cdef u32 i
    cdef u32 state
    if in_sim() or spins & 4095 != 4095:
        return
    for i in range(1, H.geometry.tasks + 1):
        state = read_once32(&task_at(i).state)
        if i != me and state not in (TASK_FREE, TASK_DONE) and not task_is_dead(i):
            return
    bug(V_DEADLOCK, where, 0, 0, 0, "waits for what no task is left to do")


cdef const char *lock_class_name(int lock_class) noexcept nogil:
    if lock_class == LC_PG:
        return "PG"
    if lock_class == LC_PAGE or lock_class == LC_PAGE_NEW:
        return "page"
    if lock_class == LC_POOL:
        return "pool"
    if lock_class == LC_STALE:
        return "stale"
    if lock_class == LC_SLOTS:
        return "slots"
    return "workqueue" if lock_class == LC_WORKQUEUE else "raw"


cdef void check_owner(u64 lock, u32 word, int lock_class) noexcept nogil:
    """A waiter that has waited for long asks whether its wait can end."""
    cdef u32 owner = lock_owner(word)
    cdef char[120] text
    give_up_if_over()
    if word == POISON32:
        snprintf(text, sizeof(text), "the %s lock lies in freed memory",
                 lock_class_name(lock_class))
        bug(V_USE_AFTER_FREE, "spin_lock", page_of_address(lock), 0, lock, text)
    if owner == me:
        snprintf(text, sizeof(text), "task %u waits for the %s lock, which it holds itself", me,
                 lock_class_name(lock_class))
        bug(V_DEADLOCK, "spin_lock", page_of_address(lock), 0, lock, text)
    if owner > H.geometry.tasks:
        bug(V_CORRUPTION, "spin_lock", page_of_address(lock), 0, lock,
            "the lock word is 0x%llx: no task has that number", word)
    if owner != 0 and task_is_dead(owner) and lock_owner(read_once32(<u32 *>at(lock))) == owner:
        snprintf(text, sizeof(text), "the %s lock is held by task %u, which is dead",
                 lock_class_name(lock_class), owner)
        bug(V_ORPHANED_LOCK, "spin_lock", page_of_address(lock), 0, lock, text)


cdef inline bint ttas_try(u32 *lock, u32 word) noexcept nogil:
    return word & OWNER_MASK == 0 and cas32(lock, word, word + (LOCK_GENERATION + me))


cdef inline u8 *ticket_serving(u32 *lock) noexcept nogil:
    return <u8 *>lock + 2


cdef inline bint ticket_try(u32 *lock, u32 word) noexcept nogil:
    return ((word >> 24) == ((word >> 16) & 0xff) and word & 0xffff == 0
            and cas32(lock, word, (word + (<u32>1 << 24)) | me))


cdef inline mcs_node_t *mcs_node(u32 tag) noexcept nogil:
    return &task_at((tag - 1) / MAX_HELD).mcs[(tag - 1) % MAX_HELD]


cdef inline u32 mcs_tag(u32 i) noexcept nogil:
    return me * MAX_HELD + i + 1


cdef inline u32 mcs_take_node() noexcept nogil:
    cdef u32 i = 0
    if unlikely(current.nr_held >= MAX_HELD):
        hold_too_many(0)                # one node a lock held: there is none left
    while current.mcs_used >> i & 1:
        i += 1
    current.mcs_used |= <u64>1 << i
    current.mcs[i].waiting = 1
    current.mcs[i].next = 0
    return i


cdef inline bint wait_a_little(u32 *turns, u32 *lock, u32 word) noexcept nogil:
    """One step of a wait; true when it is time to ask after the owner."""
    turns[0] += 1
    if turns[0] <= SPINS:
        pause()
        return False
    if turns[0] <= SPINS + YIELDS:
        sched_yield()
        return turns[0] == SPINS + 1
    fetch_add32(&H.sleepers, 1)
    futex_wait(lock, word, FUTEX_PERIOD_NS)
    fetch_sub32(&H.sleepers, 1)
    return True


cdef void end_wait(lockstat_t *s, u64 began) noexcept nogil:
    cdef u64 waited = clock_ticks() - began
    current.waits_for = 0
    s.contended += 1
    s.wait_ticks += waited
    if waited > s.wait_max:
        s.wait_max = waited


cdef void begin_wait(u64 lock, int lock_class) noexcept nogil:
    """Say so, for whoever looks for cycles. Not to be left standing where this task may hold a
    lock that it would not hold as it waits."""
    current.waits_class = lock_class
    current.wait_number += 1
    store_release64(&current.waits_for, lock)


cdef inline void pause_wait() noexcept nogil:
    store_release64(&current.waits_for, 0)


cdef void ttas_lock_slow(u32 *lock, int lock_class) noexcept nogil:
    cdef u64 began = clock_ticks()
    cdef u32 turns = 0
    cdef u32 word
    begin_wait(offset_of(lock), lock_class)
    while True:
        word = read_once32(lock)
        if ttas_try(lock, word):
            break
        if wait_a_little(&turns, lock, word):
            check_owner(offset_of(lock), read_once32(lock), lock_class)
    end_wait(lockstat(lock_class), began)


cdef void ticket_lock(u32 *lock, int lock_class) noexcept nogil:
    cdef u32 word = read_once32(lock)
    cdef u32 turns = 0
    cdef u64 began = 0
    cdef u8 mine
    if word == POISON32 or lock_owner(word) == me:
        check_owner(offset_of(lock), word, lock_class)
    mine = fetch_add32(lock, <u32>1 << 24) >> 24
    while load_acquire8(ticket_serving(lock)) != mine:
        if began == 0:
            began = clock_ticks()
            begin_wait(offset_of(lock), lock_class)
        word = read_once32(lock)
        if wait_a_little(&turns, lock, word):
            check_owner(offset_of(lock), read_once32(lock), lock_class)
    write_once16(<u16 *>lock, me)
    if began:
        end_wait(lockstat(lock_class), began)


cdef u8 mcs_lock(u32 *lock, int lock_class) noexcept nogil:
    cdef u32 word = read_once32(lock)
    cdef u32 i, tag, before
    cdef u32 turns = 0
    cdef u64 began
    if word == POISON32 or lock_owner(word) == me:
        check_owner(offset_of(lock), word, lock_class)
    i = mcs_take_node()
    tag = mcs_tag(i)
    before = exchange16(<u16 *>lock + 1, tag)
    if before:
        began = clock_ticks()
        begin_wait(offset_of(lock), lock_class)
        store_release32(&mcs_node(before).next, tag)
        while load_acquire32(&current.mcs[i].waiting):
            if wait_a_little(&turns, &current.mcs[i].waiting, 1):
                check_owner(offset_of(lock), read_once32(lock), lock_class)
        end_wait(lockstat(lock_class), began)
    write_once16(<u16 *>lock, me)
    return i


cdef void mcs_unlock(u32 *lock, u8 i) noexcept nogil:
    cdef u32 tag = mcs_tag(i)
    cdef u32 turns = 0
    cdef u32 *next_waiting
    write_once16(<u16 *>lock, 0)
    if read_once32(&current.mcs[i].next) == 0 and not cas32(lock, tag << 16, 0):
        while read_once32(&current.mcs[i].next) == 0:
            relax(&turns)               # the next in line has not linked itself yet
    if read_once32(&current.mcs[i].next) != 0:
        next_waiting = &mcs_node(load_acquire32(&current.mcs[i].next)).waiting
        store_release32(next_waiting, 0)
        if read_once32(&H.sleepers):
            futex_wake(next_waiting)
    current.mcs_used &= ~(<u64>1 << i)


cdef void queued_lock(u32 *lock, int lock_class) noexcept nogil:
    cdef u8 node_ = 0
    if lock_kind == KIND_MCS:
        node_ = mcs_lock(lock, lock_class)
    else:
        ticket_lock(lock, lock_class)
    hold(offset_of(lock), lock_class).node = node_


cdef inline void spin_lock_init(u32 *lock) noexcept nogil:
    write_once32(lock, 0)


cdef void spin_lock_slow(u32 *lock, int lock_class) noexcept nogil:
    gate()
    if lock_kind != KIND_TTAS:
        queued_lock(lock, lock_class)
        return
    if not ttas_try(lock, read_once32(lock)):
        ttas_lock_slow(lock, lock_class)
    hold(offset_of(lock), lock_class)


cdef inline bint spin_lock_fast(u32 *lock, int lock_class) noexcept nogil:
    """Take the lock if nothing is out of the ordinary: it is free, and of the plain kind."""
    if unlikely(not plain) or unlikely(not ttas_try(lock, read_once32(lock))):
        return False
    hold(offset_of(lock), lock_class)
    return True


cdef inline void spin_lock(u32 *lock, int lock_class) noexcept nogil:
    if in_sim():
        gate_lock(lock, lock_class)
    elif unlikely(not spin_lock_fast(lock, lock_class)):
        spin_lock_slow(lock, lock_class)


cdef bint queued_trylock(u32 *lock, int lock_class) noexcept nogil:
    cdef u32 i, word = read_once32(lock)
    if lock_kind == KIND_TICKET:
        if not ticket_try(lock, word):
            return False
        hold(offset_of(lock), lock_class)
        return True
    i = mcs_take_node()
    if word == 0 and cas32(lock, 0, mcs_tag(i) << 16 | me):
        hold(offset_of(lock), lock_class).node = i
        return True
    current.mcs_used &= ~(<u64>1 << i)
    return False


cdef bint spin_trylock_slow(u32 *lock, int lock_class) noexcept nogil:
    gate()
    if should_fail(FAIL_TRYLOCK):
        return False
    if lock_kind != KIND_TTAS:
        return queued_trylock(lock, lock_class)
    if not ttas_try(lock, read_once32(lock)):
        if unlikely(read_once32(lock) == POISON32):
            check_owner(offset_of(lock), POISON32, lock_class)
        return False
    hold(offset_of(lock), lock_class)
    return True


cdef inline bint spin_trylock(u32 *lock, int lock_class) noexcept nogil:
    """Take the lock if it is free. Never waits, and may fail for no reason (injected)."""
    if in_sim():
        return gate_trylock(lock, lock_class)
    return spin_lock_fast(lock, lock_class) or spin_trylock_slow(lock, lock_class)


cdef void not_my_lock(u32 *lock, u32 word) noexcept nogil:
    bug(V_LOCK_MISUSE, "spin_unlock", page_of_address(offset_of(lock)), 0, offset_of(lock),
        "unlock of a lock that belongs to task %llu (lock word 0x%llx)",
        lock_owner(word), word)


cdef void spin_unlock_slow(u32 *lock) noexcept nogil:
    cdef u32 word
    cdef held_t *h
    word = read_once32(lock)
    h = held(offset_of(lock))
    if h == NULL or lock_owner(word) != me:
        not_my_lock(lock, word)
    if lock_kind == KIND_MCS:
        mcs_unlock(lock, h.node)
    elif lock_kind == KIND_TICKET:
        write_once16(<u16 *>lock, 0)
        store_release8(ticket_serving(lock), ticket_serving(lock)[0] + 1)
    else:
        store_release32(lock, word - me)
    let_go(h)
    if lock_kind != KIND_MCS and read_once32(&H.sleepers) != 0:
        futex_wake(lock)
    gate()


cdef inline bint spin_unlock_fast(u32 *lock, u32 depth) noexcept nogil:
    """Unlock the last lock taken (depth 1) or the one before it (2), if nothing is out of the
    ordinary. That the entry is this lock's and not sampled, that the lock is mine and nothing
    (another kind, delays, sleepers) wants the long way is one branch."""
    cdef task_t *t = current
    cdef u32 n = t.nr_held
    cdef held_t *h = &t.held[n] - depth
    cdef u32 word = read_once32(lock) - me       # what to store, if the owner is me
    if unlikely(n < depth) or unlikely(
            h.lock ^ offset_of(lock) | word & OWNER_MASK | h.since | read_once32(detour)):
        return False
    store_release32(lock, word)
    if depth == 2:
        move_entry(h, h + 1)
    t.nr_held = n - 1
    return True


cdef inline void spin_unlock(u32 *lock) noexcept nogil:
    if in_sim():
        gate_unlock(lock)
    elif unlikely(not spin_unlock_fast(lock, 1)):
        spin_unlock_slow(lock)


cdef inline void spin_unlock_below(u32 *lock) noexcept nogil:
    """Unlock the lock that was taken before the last one."""
    if in_sim():
        gate_unlock(lock)
    elif unlikely(not spin_unlock_fast(lock, 2)):
        spin_unlock_slow(lock)
