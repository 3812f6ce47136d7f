# Reference counts, with the checks of the kernel's refcount_t: none from nothing, none
# below zero; and the bit operations on flag words.


cdef inline void kref_init(u32 *refcount) noexcept nogil:
    write_once32(refcount, 1)


cdef void kref_wrong(u32 *refcount, u32 old, const char *where) noexcept nogil:
    cdef u64 at_ = offset_of(refcount)
    cdef u64 page = page_of_address(at_)
    if old == POISON32:
        bug(V_USE_AFTER_FREE, where, page, 0, 0, "the reference count lies in freed memory")
    if old == 0:
        bug(V_REFCOUNT, where, page, 0, 0, "a reference taken or dropped when none was left")
    bug(V_REFCOUNT, where, page, 0, 0, "the reference count was 0x%llx: not a count", old)


cdef inline void kref_get(u32 *refcount) noexcept nogil:
    cdef u32 old = fetch_add32(refcount, 1)
    if unlikely(old - 1 >= 0xffff):
        kref_wrong(refcount, old, "kref_get")


cdef inline bint kref_put(u32 *refcount) noexcept nogil:
    """Drop a reference; true when it was the last: the caller releases."""
    cdef u32 old = fetch_sub32(refcount, 1)
    if unlikely(old - 1 >= 0xffff):
        kref_wrong(refcount, old, "kref_put")
    return old == 1


cdef inline bint kref_get_unless_zero(u32 *refcount) noexcept nogil:
    cdef u32 old = read_once32(refcount)
    while old != 0:
        if unlikely(old - 1 >= 0xffff):
            kref_wrong(refcount, old, "kref_get_unless_zero")
        if cas32(refcount, old, old + 1):
            return True
        old = read_once32(refcount)
    return False


cdef inline bint test_bit(int bit, u64 *word) noexcept nogil:
    return read_once64(word) >> bit & 1


cdef inline void set_bit(int bit, u64 *word) noexcept nogil:
    fetch_or64(word, <u64>1 << bit)


cdef inline void clear_bit(int bit, u64 *word) noexcept nogil:
    fetch_and64(word, ~(<u64>1 << bit))


cdef inline bint test_and_set_bit(int bit, u64 *word) noexcept nogil:
    return fetch_or64(word, <u64>1 << bit) >> bit & 1


cdef inline bint test_and_clear_bit(int bit, u64 *word) noexcept nogil:
    return fetch_and64(word, ~(<u64>1 << bit)) >> bit & 1
