# Doubly linked lists of offsets, with the checks of the kernel's CONFIG_DEBUG_LIST.
#
# The checks read only lines that the operation writes anyway. A torn list is a verdict at
# the operation that meets it, before a wild store.


cdef inline list_head *node(u64 offset) noexcept nogil:
    return <list_head *>(A + offset)


cdef inline void prefetch_linked(u64 *link) noexcept nogil:
    """A guess at what is needed next, read without a lock; nothing depends on it."""
    if not accesses_seen():
        prefetch(node(read_once64(link)))


cdef inline void init_list_head(list_head *l) noexcept nogil:
    """As the kernel's: somebody may ask without a lock whether the list is empty."""
    write_once64(&l.next, offset_of(l))
    l.prev = offset_of(l)


cdef inline bint list_empty(list_head *l) noexcept nogil:
    return read_once64(&l.next) == offset_of(l)


cdef inline bint bad_link(u64 offset) noexcept nogil:
    return offset == 0 or offset & 7 != 0 or offset >= H.size


cdef void list_torn(list_head *entry, const char *where) noexcept nogil:
    cdef u64 at_ = offset_of(entry)
    cdef u64 page = page_of_address(at_)
    if entry.next == LIST_POISON1 or entry.prev == LIST_POISON2:
        bug(V_LIST_CORRUPTION, where, page, 0, 0,
            "entry 0x%llx is unlinked a second time", at_)
    if entry.next == POISON or entry.prev == POISON:
        bug(V_USE_AFTER_FREE, where, page, 0, 0, "entry 0x%llx lies in freed memory", at_)
    bug(V_LIST_CORRUPTION, where, page, 0, 0,
        "entry 0x%llx says next 0x%llx, prev 0x%llx, and a neighbour disagrees",
        at_, entry.next, entry.prev)


cdef inline void list_add(list_head *entry, list_head *head) noexcept nogil:
    cdef u64 here = offset_of(entry)
    cdef u64 first = head.next
    if unlikely(first > last_link) or unlikely(
            node(first).prev ^ offset_of(head)) or unlikely(first == here):
        list_torn(head, "list_add")
    node(first).prev = here
    entry.next = first
    entry.prev = offset_of(head)
    write_once64(&head.next, here)


cdef inline void list_add_tail(list_head *entry, list_head *head) noexcept nogil:
    cdef u64 here = offset_of(entry)
    cdef u64 last = head.prev
    if unlikely(last > last_link) or unlikely(
            node(last).next ^ offset_of(head)) or unlikely(last == here):
        list_torn(head if bad_link(last) else node(last), "list_add_tail")
    head.prev = here
    entry.next = offset_of(head)
    entry.prev = last
    write_once64(&node(last).next, here)


cdef inline void list_unlink(list_head *entry, const char *where) noexcept nogil:
    cdef u64 here = offset_of(entry)
    cdef u64 next_ = entry.next
    cdef u64 prev = entry.prev
    if unlikely(next_ > last_link) or unlikely(prev > last_link) or unlikely(
            (node(next_).prev ^ here) | (node(prev).next ^ here)):
        list_torn(entry, where)
    node(next_).prev = prev
    write_once64(&node(prev).next, next_)


cdef inline void list_del(list_head *entry) noexcept nogil:
    list_unlink(entry, "list_del")
    entry.next = LIST_POISON1
    entry.prev = LIST_POISON2


cdef inline void list_del_init(list_head *entry) noexcept nogil:
    list_unlink(entry, "list_del_init")
    init_list_head(entry)
