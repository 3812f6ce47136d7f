# Last-in-first-out free lists without a lock: Treiber's stack with a tag against ABA.
#
# The head word is tag << 32 | index + 1. Nobody can die holding it, so a killed process
# leaves no orphan here.


cdef inline u32 free_list_pop(u64 *head, char *first_link, u64 stride) noexcept nogil:
    """Take the entry freed last; returns its index + 1, or 0. Links are u32 at that stride."""
    cdef u64 seen
    cdef u32 index, next_
    while True:
        seen = load_acquire64(head)
        index = <u32>seen
        if index == 0:
            return 0
        next_ = read_once32(<u32 *>(first_link + <u64>(index - 1) * stride))
        if cas64(head, seen, ((seen >> 32) + 1) << 32 | next_):
            return index


cdef inline void free_list_push(u64 *head, char *first_link, u64 stride, u32 index) noexcept nogil:
    cdef u64 seen
    while True:
        seen = read_once64(head)
        write_once32(<u32 *>(first_link + <u64>(index - 1) * stride), <u32>seen)
        if cas64(head, seen, ((seen >> 32) + 1) << 32 | index):
            return
