# Doubly linked lists of offsets, with the checks of the kernel's CONFIG_DEBUG_LIST.
#
# The checks read only lines that the operation writes anyway. A torn list is a verdict at
# the operation that meets it, before a wild store.


cdef inline list_head *node(u64 offset) noexcept nogil:
    return <list_head *>(A + offset)


cdef inline void init_list_head(list_head *l) noexcept nogil:
    l.next = l.prev = offset_of(l)


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


cdef inline void list_insert(list_head *entry, u64 prev, u64 next_, const char *where) noexcept nogil:
    if unlikely(bad_link(prev) or bad_link(next_)
                or node(prev).next != next_ or node(next_).prev != prev
                or prev == offset_of(entry) or next_ == offset_of(entry)):
        list_torn(node(prev) if prev and not bad_link(prev) else entry, where)
    node(next_).prev = offset_of(entry)
    entry.next = next_
    entry.prev = prev
    write_once64(&node(prev).next, offset_of(entry))


cdef inline void list_add(list_head *entry, list_head *head) noexcept nogil:
    list_insert(entry, offset_of(head), head.next, "list_add")


cdef inline void list_add_tail(list_head *entry, list_head *head) noexcept nogil:
    list_insert(entry, head.prev, offset_of(head), "list_add_tail")


cdef inline void list_unlink(list_head *entry, const char *where) noexcept nogil:
    cdef u64 here = offset_of(entry)
    if unlikely(bad_link(entry.next) or bad_link(entry.prev)
                or node(entry.next).prev != here or node(entry.prev).next != here):
        list_torn(entry, where)
    node(entry.next).prev = entry.prev
    write_once64(&node(entry.prev).next, entry.next)


cdef inline void list_del(list_head *entry) noexcept nogil:
    list_unlink(entry, "list_del")
    entry.next = LIST_POISON1
    entry.prev = LIST_POISON2


cdef inline void list_del_init(list_head *entry) noexcept nogil:
    list_unlink(entry, "list_del_init")
    init_list_head(entry)
