# The layout of the arena: types only, no behaviour. Their enums and constants are those of
# vocabulary/.
#
# One shared mapping holds everything. Processes may map it at different addresses,
# so a reference in it is an offset from its start; 0 is null. Whoever changes a
# struct here raises LAYOUT_VERSION: an arena or a dump of another version is refused.

cdef enum:
    LAYOUT_VERSION = 4

cdef u64 ARENA_MAGIC = 0x7a33666f6c647331       # "z3folds1"

cdef struct list_head:
    u64 next
    u64 prev

cdef struct work_struct:                # 32 bytes, embedded in the header as in the kernel
    u64 data                            # bit 0 PENDING; from bit 8 the CPU, from 32 its number
    list_head entry
    u64 func                            # a WORK_* number: processes share no addresses

cdef struct workqueue_t:                # ordered: one item at a time, first in first out
    u32 lock
    u32 destroyed
    list_head items
    u64 running                         # the item that runs now, or 0
    u32 running_task
    u32 worker                          # task that serves this queue; 0: whoever flushes
    i64 queued                          # items ever; an item's number is what it was then
    i64 finished                        # of those, run to the end or cancelled
    i64 started                         # number of the item that was started last
    u64 padding

cdef struct z3fold_header:              # in the first chunks of each non-headless page
    list_head buddy                     # unbuddied list, or stale list
    u32 page_lock
    u32 refcount
    work_struct work
    u64 slots
    i16 cpu                             # CPU whose list it was last put on, -1: none
    u16 first_chunks
    u16 middle_chunks
    u16 last_chunks
    u16 start_middle
    u16 first_num                       # two bits are used: rotates the buddy numbering
    u16 mapped_count
    u16 middle_maps                     # maps of the middle object alone
    u64 pool                            # last: the header as posted ends before it

cdef struct z3fold_buddy_slots:         # 64-byte aligned: handle & ~63 is the object
    u64 slot[4]                         # page | buddy number | last_chunks << 2
    u64 pool
    u32 lock                            # a rwlock in the kernel; as posted none
    u32 state                           # SLOTS_*
    u32 generation
    u32 next_free
    u64 padding

cdef struct page_t "z3f_page":                     # struct page: lives apart, in the memmap
    u64 private                         # z3fold's flag bits
    u32 flags                           # PG_isolated and friends
    u32 pg_lock
    u32 refcount
    u32 generation                      # raised at each free
    u64 mapping                         # offset of its owner's inode; 0: not movable
    list_head lru                       # the pool's LRU, or the list of who isolated it
    u32 state                           # FRAME_*
    u32 next_free
    u16 tries                           # of whoever isolated it: migration attempts so far
    u16 tries_of_call                   # of those, by the migrate_pages that runs now
    u32 isolated_by                     # and its task

cdef struct pool_t:
    u32 lock                            # unbuddied lists, LRU
    u32 state                           # POOL_*
    list_head lru
    u64 percpu                          # per-CPU unbuddied lists
    u64 inode                           # the mapping that movable pages refer to; 0: gone
    u32 id
    u32 evicts                          # 0: there is no eviction callback; else EVICTS_*
    u32 stale_lock
    u32 padding0
    list_head stale
    i64 pages_nr
    i64 isolated                        # pages in the hands of the migration engine
    i64 slots_nr                        # slots objects of this pool that are alive
    work_struct work                    # the release work
    workqueue_t compact_wq
    workqueue_t release_wq
    u64 cache                           # slots cache exists

cdef struct held_t:                     # 16 bytes
    u64 lock                            # 0: let go of before a later one
    u8 lock_class
    u8 reader
    u8 node                             # its mcs node, with that kind
    u8 padding
    u32 since                           # low bits of the clock when sampled, else 0

cdef struct mcs_node_t:
    u32 waiting
    u32 next                            # task * MAX_HELD + node, plus 1; 0: none

cdef struct op_t:
    u32 op
    u32 seq
    u64 a
    u64 b

cdef struct map_t:
    u64 handle
    u64 page
    u64 address
    u64 object                          # its number + 1; 0: the caller knows the handle only

cdef struct lockstat_t:
    u64 acquired
    u64 contended
    u64 wait_ticks
    u64 wait_max
    u64 held_samples
    u64 held_ticks
    u64 held_max

cdef struct event_t "z3f_event":                    # 32 bytes
    u64 ticks
    u16 op
    i16 ret
    u32 page                            # frame number
    u64 a
    u64 b

cdef struct task_t "z3f_task":
    u32 id
    u32 state
    u32 pid
    u32 incarnation
    u32 role
    u32 cpu
    u32 preempt_count
    u32 nr_held
    u32 depth
    u32 nr_maps
    u64 progress                        # operations finished
    u64 rng
    u64 waits_for                       # the lock word this task waits for
    u32 waits_class
    u32 refused                         # Refusal of the last isolate that said no
    u32 wait_number                     # raised at each wait: which one waits_for is of
    u32 killed_by                       # the signal that another process sent, which it died of
    u32 padding
    u64 mcs_used                        # a bit a node
    u32 refuses_evictions               # a probe: every eviction fails
    u64 ring_head
    list_head isolated                  # pages this task has isolated
    list_head failed                    # of those, what a second attempt will try again
    list_head single                    # of those, the one it tries now
    list_head batch                     # what a program's migrate_pages is about
    list_head aside                     # free frames an offliner keeps out of use
    u64 before_slots                    # what the -EAGAIN contract saw before an attempt
    u64 before_pool
    u64 before_mapping
    u64 moved_to                        # the page that its last migration made
    u64 reason                          # Reason of the last attempt that failed
    op_t ops[MAX_DEPTH]
    held_t held[MAX_HELD]
    mcs_node_t mcs[MAX_HELD]
    map_t maps[MAX_MAPS]
    u64 count[NR_COUNTERS]
    u64 reasons[NR_REASONS]
    u64 refusals[NR_REFUSALS]
    u64 moved_after[16]                 # pages moved after this many retries
    lockstat_t lockstat[NR_LOCK_CLASSES]
    z3fold_buddy_slots private_slots[2] # reclaim's own handles: the kernel's are on the stack

cdef struct object_t:                   # what the caller of the allocator knows of an object
    u64 word                            # bits 0..59 tasks that hold a reference, then OBJECT_*
    u64 handle
    u32 size
    u32 version                         # raised at each rewrite: the pattern's seed
    u32 state
    u32 owner                           # task that allocated it, or took it over
    u64 swap                            # swap slot + 1
    u64 last_page                       # where a program saw it last
    u64 pool                            # where it was allocated last
    u64 padding

cdef struct verdict_t:
    u32 kind
    u32 task
    u32 op
    u32 ready
    u64 page
    u64 handle
    u64 lock
    u64 ticks
    char where[40]
    char text[184]

cdef struct geometry_t:
    u32 frames
    u32 slots
    u32 objects
    u32 swap
    u32 tasks
    u32 cpus
    u32 ring                            # events a task; a power of two, or 0
    u32 header_chunks

cdef struct config_t:
    u64 design                          # a bit a defect
    u64 seed
    u32 lock_kind
    u32 cross_cpu_search
    u32 poison                          # fill freed frames, check them when they come back
    u32 keep_going                      # a verdict does not end the run where it can go on
    u32 delay_rate                      # of 2^32: how often a lock operation dawdles
    u32 delay_ns
    u32 fault[NR_FAULTS]                # of 2^32

cdef struct arena_t "z3f_arena":
    u64 magic
    u32 version
    u32 header_size
    u64 size
    u64 layout                          # sizes of all structs, folded: same version, same compiler
    geometry_t geometry
    config_t config
    u64 tasks                           # offsets of the regions; tasks and rings lie last
    u64 pools
    u64 percpu
    u64 memmap
    u64 slots
    u64 objects
    u64 rings
    u64 swapmap
    u64 swap
    u64 frames
    u64 percpu_used                     # bit a block
    u64 free_frames[8]                  # [0] is tag << 32 | index + 1; a line each
    u64 free_slots[8]
    u64 free_swap[8]
    i64 frames_free
    i64 slots_free
    u32 stop                            # 1: end at the next operation; 2: give up waits too
    u32 pause                           # quiet point: park
    u32 sleepers                        # tasks in a timed wait for a lock
    u32 nr_verdicts
    verdict_t verdicts[MAX_VERDICTS]
    u64 scratch[NR_SCRATCH * 8]

cdef void check_layout() noexcept nogil:
    """Sizes the algorithms rely on, asserted when this is compiled."""
    BUILD_BUG_ON(sizeof(z3fold_header) != HEADER_SIZE)
    BUILD_BUG_ON(sizeof(z3fold_header) - sizeof(u64) != 80)     # as posted: no pool pointer
    BUILD_BUG_ON(sizeof(list_head) != LIST_HEAD_SIZE)
    BUILD_BUG_ON(sizeof(work_struct) != 32)
    BUILD_BUG_ON(sizeof(z3fold_buddy_slots) != SLOTS_SIZE)
    BUILD_BUG_ON(<u64>&(<z3fold_buddy_slots *>0).state != SLOTS_GUARDED)
    BUILD_BUG_ON(sizeof(page_t) != CACHE_LINE)
    BUILD_BUG_ON(sizeof(object_t) != CACHE_LINE)
    BUILD_BUG_ON(sizeof(event_t) != 32)
    BUILD_BUG_ON(sizeof(held_t) != 16)
    BUILD_BUG_ON(sizeof(instruction) != 32)
    BUILD_BUG_ON(OWNER_MASK != (1 << OWNER_BITS) - 1 or READER != 1 << OWNER_BITS)
    BUILD_BUG_ON(MAX_HELD & (MAX_HELD - 1) or MAX_HELD > 64)
    BUILD_BUG_ON((MAX_TASKS + 1) * MAX_HELD >= 1 << 16)         # the tail of an mcs lock word
    BUILD_BUG_ON(<int>MAX_TASKS > <int>OWNER_MASK or <int>NR_LOCK_CLASSES > <int>LC_WORDS)
    BUILD_BUG_ON(<int>DECIDE_FAULT + <int>NR_FAULTS > <int>DECIDE_DIE)
    BUILD_BUG_ON(sizeof(verdict_t) != 272)
