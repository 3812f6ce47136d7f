# What the operations of a program on scratch words do: locks, atomics, waits. run_NAME for CODE_NAME;
# those that the interpreter inlines, by the names that they have there.
#
# Locks by themselves outlive the instruction: there is no bracket to close.


cdef inline u64 *scratch_word(i64 number) noexcept nogil:
    return &H.scratch[SCRATCH_STRIDE / sizeof(u64) * (number & (NR_SCRATCH - 1))]


cdef inline u64 *word_of(const instruction *i) noexcept nogil:
    return scratch_word(<i64>own_word(&i.a))


cdef inline u32 *lock_of(const instruction *i) noexcept nogil:
    return <u32 *>word_of(i)


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


cdef void run_read_lock(const instruction *i) noexcept nogil:
    read_lock(lock_of(i), LC_RAW)


cdef void run_read_unlock(const instruction *i) noexcept nogil:
    read_unlock(lock_of(i))


cdef void run_write_lock(const instruction *i) noexcept nogil:
    write_lock(lock_of(i), LC_RAW)


cdef void run_write_unlock(const instruction *i) noexcept nogil:
    write_unlock(lock_of(i))


cdef void run_fence(const instruction *i) noexcept nogil:
    if i.flags & FLAG_SEQ_CST:
        fence_seq_cst()
    elif i.flags & FLAG_ACQUIRE and i.flags & FLAG_RELEASE:
        fence_acq_rel()
    elif i.flags & FLAG_ACQUIRE:
        fence_acquire()
    else:
        fence_release()


cdef void run_wait_while(const instruction *i) noexcept nogil:
    wait_while(word_of(i), <u64>i.b)


cdef void run_wait_until(const instruction *i) noexcept nogil:
    wait_until(word_of(i), <u64>i.b)


cdef void run_sleep(const instruction *i) noexcept nogil:
    might_sleep("sleep")
    wait_while(word_of(i), load_acquire64(word_of(i)))


cdef void run_wake(const instruction *i) noexcept nogil:
    fetch_add_i64(<i64 *>word_of(i), 1)             # who sleeps waits for a change


cdef void run_might_sleep(const instruction *i) noexcept nogil:
    might_sleep("might_sleep")


cdef void run_preempt_disable(const instruction *i) noexcept nogil:
    preempt_disable()


cdef void run_preempt_enable(const instruction *i) noexcept nogil:
    preempt_enable()
