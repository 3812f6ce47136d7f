# The arena as one process sees it: where it is mapped, who this process is in it.
#
# Owns the process-local view (base address, current task, copies of the settings that
# hot paths test). A process looks at one arena at a time; bind() changes which.

cdef extern from "base/view.h":
    char *A "z3f_get_A()"               # where this process mapped the arena
    arena_t *H "z3f_get_H()"
    task_t *current "z3f_get_current()"
    u32 me "z3f_get_me()"               # current.id
    u64 D "z3f_get_D()"                 # the design: a bit a defect
    u32 lock_kind "z3f_get_lock_kind()"
    bint gated "z3f_get_gated()"        # delays or injected failures are on
    bint plain "z3f_get_plain()"        # ttas locks and not gated: the fast paths apply
    u32 *detour "z3f_get_detour()"      # unlocks go the long way while this word is not 0
    u64 last_link "z3f_get_last_link()" # the last offset that a list_head may have
    bint recording "z3f_get_recording()"
    event_t *ring "z3f_get_ring()"      # this task's events
    u64 ring_mask "z3f_get_ring_mask()"
    page_t *memmap "z3f_get_memmap()"
    u64 frames_start "z3f_get_frames_start()"
    u64 frames_end "z3f_get_frames_end()"
    u64 slots_start "z3f_get_slots_start()"
    u64 slots_end "z3f_get_slots_end()"
    u32 nr_cpus "z3f_get_nr_cpus()"
    int ZHDR_CHUNKS "z3f_get_ZHDR_CHUNKS()"     # chunks of a page that its header takes
    int NCHUNKS "z3f_get_NCHUNKS()"     # chunks of a page that are left for objects
    # the same, to be written
    char *view_A "z3f_A"
    arena_t *view_H "z3f_H"
    task_t *view_current "z3f_current"
    u32 view_me "z3f_me"
    u64 view_D "z3f_D"
    u32 view_lock_kind "z3f_lock_kind"
    bint view_gated "z3f_gated"
    bint view_plain "z3f_plain"
    u32 *view_detour "z3f_detour"
    u64 view_last_link "z3f_last_link"
    bint view_recording "z3f_recording"
    event_t *view_ring "z3f_ring"
    u64 view_ring_mask "z3f_ring_mask"
    page_t *view_memmap "z3f_memmap"
    u64 view_frames_start "z3f_frames_start"
    u64 view_frames_end "z3f_frames_end"
    u64 view_slots_start "z3f_slots_start"
    u64 view_slots_end "z3f_slots_end"
    u32 view_nr_cpus "z3f_nr_cpus"
    int view_ZHDR_CHUNKS "z3f_ZHDR_CHUNKS"
    int view_NCHUNKS "z3f_NCHUNKS"

cdef u32 always = 1


cdef inline void *at(u64 offset) noexcept nogil:
    return <void *>(A + offset)


cdef inline u64 offset_of(const void *p) noexcept nogil:
    return <u64>(<const char *>p - A)


cdef inline task_t *task_at(u32 id) noexcept nogil:
    return <task_t *>(A + H.tasks) + id


cdef inline u64 layout_print() noexcept nogil:
    """The sizes of all structs folded into a word: two builds that differ are told apart."""
    cdef u64 h = 0
    cdef u64[9] sizes
    cdef int i
    sizes[0] = sizeof(arena_t)
    sizes[1] = sizeof(task_t)
    sizes[2] = sizeof(pool_t)
    sizes[3] = sizeof(page_t)
    sizes[4] = sizeof(z3fold_buddy_slots)
    sizes[5] = sizeof(object_t)
    sizes[6] = sizeof(verdict_t)
    sizes[7] = sizeof(event_t)
    sizes[8] = sizeof(config_t)
    for i in range(9):
        h = splitmix64(h ^ sizes[i])
    return h


cdef inline u64 round_up(u64 n, u64 to) noexcept nogil:
    return (n + to - 1) & ~(to - 1)


cdef u64 lay_out(arena_t *h) noexcept nogil:
    """Place the regions for h.geometry; returns the size of the whole in bytes."""
    cdef geometry_t *g = &h.geometry
    cdef u64 at_ = round_up(sizeof(arena_t), PAGE_SIZE)
    h.pools = at_
    at_ = round_up(at_ + <u64>MAX_POOLS * sizeof(pool_t), PAGE_SIZE)
    h.percpu = at_
    at_ = round_up(at_ + <u64>MAX_POOLS * g.cpus * TOTAL_CHUNKS * sizeof(list_head), PAGE_SIZE)
    h.memmap = at_
    at_ = round_up(at_ + <u64>g.frames * sizeof(page_t), PAGE_SIZE)
    h.slots = at_
    at_ = round_up(at_ + <u64>g.slots * sizeof(z3fold_buddy_slots), PAGE_SIZE)
    h.objects = at_
    at_ = round_up(at_ + <u64>g.objects * sizeof(object_t), PAGE_SIZE)
    h.swapmap = at_
    at_ = round_up(at_ + <u64>g.swap * sizeof(u64), PAGE_SIZE)
    h.frames = at_
    at_ += <u64>g.frames * PAGE_SIZE
    h.swap = at_
    at_ += <u64>g.swap * PAGE_SIZE
    # What only its owner writes: beyond the memory that a simulation watches.
    h.tasks = at_
    at_ = round_up(at_ + <u64>(g.tasks + 1) * sizeof(task_t), PAGE_SIZE)
    h.rings = at_
    at_ = round_up(at_ + <u64>(g.tasks + 1) * g.ring * sizeof(event_t), PAGE_SIZE)
    h.size = at_
    return at_


cdef void format_arena(char *base, const geometry_t *geometry, const config_t *config) noexcept nogil:
    """Make an arena of zeroed memory. Nothing that is not used is touched: it stays sparse."""
    cdef arena_t *h = <arena_t *>base
    cdef u32 i
    cdef task_t *t
    h.geometry = geometry[0]
    h.config = config[0]
    lay_out(h)
    h.header_size = sizeof(arena_t)
    h.version = LAYOUT_VERSION
    h.layout = layout_print()
    for i in range(h.geometry.tasks + 1):
        t = <task_t *>(base + h.tasks) + i
        t.id = i
        t.isolated.next = t.isolated.prev = <u64>(<char *>&t.isolated - base)
        t.failed.next = t.failed.prev = <u64>(<char *>&t.failed - base)
        t.single.next = t.single.prev = <u64>(<char *>&t.single - base)
        t.batch.next = t.batch.prev = <u64>(<char *>&t.batch - base)
        t.aside.next = t.aside.prev = <u64>(<char *>&t.aside - base)
    # Free lists are last in, first out; the first frame to go out is number 0.
    for i in range(h.geometry.frames):
        (<page_t *>(base + h.memmap))[i].next_free = i + 2 if i + 1 < h.geometry.frames else 0
    for i in range(h.geometry.slots):
        (<z3fold_buddy_slots *>(base + h.slots))[i].next_free = \
            i + 2 if i + 1 < h.geometry.slots else 0
    for i in range(h.geometry.swap):
        (<u64 *>(base + h.swapmap))[i] = i + 2 if i + 1 < h.geometry.swap else 0
    h.free_frames[0] = 1 if h.geometry.frames else 0
    h.free_slots[0] = 1 if h.geometry.slots else 0
    h.free_swap[0] = 1 if h.geometry.swap else 0
    h.frames_free = h.geometry.frames
    h.slots_free = h.geometry.slots
    store_release64(&h.magic, ARENA_MAGIC)


cdef enum:
    ARENA_OK = 0
    ARENA_NOT_ONE = 1
    ARENA_OTHER_VERSION = 2
    ARENA_TRUNCATED = 3
    ARENA_INCONSISTENT = 4


cdef int examine_arena(const char *base, u64 size) noexcept nogil:
    """Whether these bytes are an arena that this build can use. Trusts nothing in them."""
    cdef const arena_t *h = <const arena_t *>base
    cdef arena_t placed
    if size < 16 or h.magic != ARENA_MAGIC:
        return ARENA_NOT_ONE
    if h.version != LAYOUT_VERSION:
        return ARENA_OTHER_VERSION
    if size < sizeof(arena_t):
        return ARENA_TRUNCATED
    if h.header_size != sizeof(arena_t) or h.layout != layout_print():
        return ARENA_OTHER_VERSION
    placed.geometry = h.geometry
    if (h.geometry.tasks > MAX_TASKS or h.geometry.cpus > MAX_CPUS or h.geometry.cpus == 0
            or h.geometry.header_chunks > TOTAL_CHUNKS
            or lay_out(&placed) != h.size or placed.frames != h.frames
            or placed.tasks != h.tasks or placed.memmap != h.memmap
            or placed.slots != h.slots or placed.objects != h.objects
            or placed.rings != h.rings or placed.pools != h.pools
            or placed.percpu != h.percpu or placed.swapmap != h.swapmap
            or placed.swap != h.swap):
        return ARENA_INCONSISTENT
    if size < h.size:
        return ARENA_TRUNCATED
    return ARENA_OK


cdef void bind(char *base, u32 task) noexcept nogil:
    """Make this the arena, and this the task, that everything below speaks of."""
    global view_A, view_H, view_current, view_me, view_D, view_lock_kind, view_gated, view_plain
    global view_detour, view_last_link, view_recording, view_ring, view_ring_mask, view_memmap
    global view_frames_start, view_frames_end, view_slots_start, view_slots_end, view_nr_cpus
    global view_ZHDR_CHUNKS, view_NCHUNKS
    cdef int i
    view_A = base
    view_H = <arena_t *>base
    view_current = <task_t *>(base + H.tasks) + task
    view_me = task
    view_D = H.config.design
    view_lock_kind = H.config.lock_kind
    view_gated = H.config.delay_rate != 0
    for i in range(NR_FAULTS):
        if H.config.fault[i]:
            view_gated = True
    view_plain = lock_kind == KIND_TTAS and not gated
    view_detour = &H.sleepers if plain else &always
    view_last_link = H.size - sizeof(list_head)
    view_recording = H.geometry.ring != 0
    view_ring = <event_t *>(base + H.rings) + <u64>me * H.geometry.ring
    view_ring_mask = H.geometry.ring - 1
    view_memmap = <page_t *>(base + H.memmap)
    view_frames_start = H.frames
    view_frames_end = H.frames + <u64>H.geometry.frames * PAGE_SIZE
    view_slots_start = H.slots
    view_slots_end = H.slots + <u64>H.geometry.slots * sizeof(z3fold_buddy_slots)
    view_nr_cpus = H.geometry.cpus
    view_ZHDR_CHUNKS = H.geometry.header_chunks
    view_NCHUNKS = TOTAL_CHUNKS - ZHDR_CHUNKS


cdef inline bint defect(int bit) noexcept nogil:
    """Whether the design has this fault (Defect)."""
    return (D >> bit) & 1


cdef inline bint is_frame(u64 offset) noexcept nogil:
    """Whether this is the offset of a page frame."""
    return offset >= frames_start and offset < frames_end and offset & PAGE_MASK_BITS == 0


cdef inline u64 page_of_address(u64 address) noexcept nogil:
    """The frame that this offset lies in, or 0."""
    return address & ~<u64>PAGE_MASK_BITS if frames_start <= address < frames_end else 0


cdef inline page_t *virt_to_page(u64 address) noexcept nogil:
    return memmap + ((address - frames_start) >> PAGE_SHIFT)


cdef inline u64 page_address(const page_t *page) noexcept nogil:
    return frames_start + (<u64>(page - memmap) << PAGE_SHIFT)


cdef inline u32 page_to_pfn(const page_t *page) noexcept nogil:
    return <u32>(page - memmap)


cdef inline u64 random64(task_t *t) noexcept nogil:
    """xorshift64*: a task's own stream, seeded from the run's seed. Never 0 as state."""
    cdef u64 x = t.rng
    x ^= x >> 12
    x ^= x << 25
    x ^= x >> 27
    t.rng = x
    return x * <u64>2685821657736338717


cdef inline u32 random_below(task_t *t, u32 n) noexcept nogil:
    return <u32>(((random64(t) >> 32) * n) >> 32)


cdef inline u64 splitmix64(u64 x) noexcept nogil:
    x += <u64>0x9E3779B97F4A7C15
    x = (x ^ (x >> 30)) * <u64>0xBF58476D1CE4E5B9
    x = (x ^ (x >> 27)) * <u64>0x94D049BB133111EB
    return x ^ (x >> 31)
