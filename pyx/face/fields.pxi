# Where each field of the arena's structs lies: for who reads an arena from Python (inspect,
# the watcher, tests that break an invariant on purpose).


cdef u64 at0(void *p) noexcept:
    return <u64>p


def fields():
    """{struct: (size, {field: (offset, struct-module format)})}."""
    cdef z3fold_header *h = NULL
    cdef z3fold_buddy_slots *s = NULL
    cdef page_t *p = NULL
    cdef pool_t *pool = NULL
    cdef task_t *t = NULL
    cdef object_t *o = NULL
    cdef arena_t *a = NULL
    cdef verdict_t *v = NULL
    cdef workqueue_t *wq = NULL
    return {
        "header": (sizeof(z3fold_header), {
            "next": (at0(&h.buddy.next), "Q"), "prev": (at0(&h.buddy.prev), "Q"),
            "page_lock": (at0(&h.page_lock), "I"), "refcount": (at0(&h.refcount), "I"),
            "work_data": (at0(&h.work.data), "Q"), "work_next": (at0(&h.work.entry.next), "Q"),
            "work_func": (at0(&h.work.func), "Q"), "slots": (at0(&h.slots), "Q"),
            "cpu": (at0(&h.cpu), "h"), "first_chunks": (at0(&h.first_chunks), "H"),
            "middle_chunks": (at0(&h.middle_chunks), "H"),
            "last_chunks": (at0(&h.last_chunks), "H"),
            "start_middle": (at0(&h.start_middle), "H"), "first_num": (at0(&h.first_num), "H"),
            "mapped_count": (at0(&h.mapped_count), "H"),
            "middle_maps": (at0(&h.middle_maps), "H"), "pool": (at0(&h.pool), "Q"),
        }),
        "slots": (sizeof(z3fold_buddy_slots), {
            "slot0": (at0(&s.slot[0]), "Q"), "slot1": (at0(&s.slot[1]), "Q"),
            "slot2": (at0(&s.slot[2]), "Q"), "slot3": (at0(&s.slot[3]), "Q"),
            "pool": (at0(&s.pool), "Q"), "lock": (at0(&s.lock), "I"),
            "state": (at0(&s.state), "I"), "generation": (at0(&s.generation), "I"),
            "next_free": (at0(&s.next_free), "I"),
        }),
        "page": (sizeof(page_t), {
            "private": (at0(&p.private), "Q"), "flags": (at0(&p.flags), "I"),
            "pg_lock": (at0(&p.pg_lock), "I"), "refcount": (at0(&p.refcount), "I"),
            "generation": (at0(&p.generation), "I"), "mapping": (at0(&p.mapping), "Q"),
            "lru_next": (at0(&p.lru.next), "Q"), "lru_prev": (at0(&p.lru.prev), "Q"),
            "state": (at0(&p.state), "I"), "next_free": (at0(&p.next_free), "I"),
            "tries": (at0(&p.tries), "H"), "isolated_by": (at0(&p.isolated_by), "I"),
        }),
        "pool": (sizeof(pool_t), {
            "lock": (at0(&pool.lock), "I"), "state": (at0(&pool.state), "I"),
            "lru_next": (at0(&pool.lru.next), "Q"), "lru_prev": (at0(&pool.lru.prev), "Q"),
            "percpu": (at0(&pool.percpu), "Q"), "inode": (at0(&pool.inode), "Q"),
            "stale_lock": (at0(&pool.stale_lock), "I"),
            "stale_next": (at0(&pool.stale.next), "Q"),
            "pages_nr": (at0(&pool.pages_nr), "q"), "isolated": (at0(&pool.isolated), "q"),
            "slots_nr": (at0(&pool.slots_nr), "q"),
            "compact_wq": (at0(&pool.compact_wq), "Q"),
            "release_wq": (at0(&pool.release_wq), "Q"),
        }),
        "workqueue": (sizeof(workqueue_t), {
            "lock": (at0(&wq.lock), "I"), "destroyed": (at0(&wq.destroyed), "I"),
            "next": (at0(&wq.items.next), "Q"), "running": (at0(&wq.running), "Q"),
            "running_task": (at0(&wq.running_task), "I"), "worker": (at0(&wq.worker), "I"),
            "queued": (at0(&wq.queued), "q"), "finished": (at0(&wq.finished), "q"),
            "started": (at0(&wq.started), "q"),
        }),
        "task": (sizeof(task_t), {
            "id": (at0(&t.id), "I"), "state": (at0(&t.state), "I"), "pid": (at0(&t.pid), "I"),
            "incarnation": (at0(&t.incarnation), "I"), "role": (at0(&t.role), "I"),
            "cpu": (at0(&t.cpu), "I"), "preempt_count": (at0(&t.preempt_count), "I"),
            "nr_held": (at0(&t.nr_held), "I"), "depth": (at0(&t.depth), "I"),
            "nr_maps": (at0(&t.nr_maps), "I"), "progress": (at0(&t.progress), "Q"),
            "waits_for": (at0(&t.waits_for), "Q"), "waits_class": (at0(&t.waits_class), "I"),
            "wait_number": (at0(&t.wait_number), "I"), "killed_by": (at0(&t.killed_by), "I"),
            "refused": (at0(&t.refused), "I"), "ring_head": (at0(&t.ring_head), "Q"),
            "isolated_next": (at0(&t.isolated.next), "Q"),
            "ops": (at0(&t.ops), f"{MAX_DEPTH * sizeof(op_t)}s"),
            "held": (at0(&t.held), f"{MAX_HELD * sizeof(held_t)}s"),
            "maps": (at0(&t.maps), f"{MAX_MAPS * sizeof(map_t)}s"),
            "count": (at0(&t.count), f"{NR_COUNTERS * 8}s"),
            "reasons": (at0(&t.reasons), f"{NR_REASONS * 8}s"),
            "refusals": (at0(&t.refusals), f"{NR_REFUSALS * 8}s"),
            "moved_after": (at0(&t.moved_after), f"{16 * 8}s"),
            "lockstat": (at0(&t.lockstat), f"{NR_LOCK_CLASSES * sizeof(lockstat_t)}s"),
        }),
        "object": (sizeof(object_t), {
            "word": (at0(&o.word), "Q"), "handle": (at0(&o.handle), "Q"),
            "size": (at0(&o.size), "I"), "version": (at0(&o.version), "I"),
            "state": (at0(&o.state), "I"), "owner": (at0(&o.owner), "I"),
            "swap": (at0(&o.swap), "Q"),
        }),
        "verdict": (sizeof(verdict_t), {
            "kind": (at0(&v.kind), "I"), "task": (at0(&v.task), "I"), "op": (at0(&v.op), "I"),
            "page": (at0(&v.page), "Q"), "handle": (at0(&v.handle), "Q"),
            "lock": (at0(&v.lock), "Q"), "ticks": (at0(&v.ticks), "Q"),
        }),
        "arena": (sizeof(arena_t), {
            "magic": (at0(&a.magic), "Q"), "version": (at0(&a.version), "I"),
            "size": (at0(&a.size), "Q"), "nr_frames": (at0(&a.geometry.frames), "I"),
            "nr_slots": (at0(&a.geometry.slots), "I"),
            "nr_objects": (at0(&a.geometry.objects), "I"),
            "nr_swap": (at0(&a.geometry.swap), "I"),
            "nr_tasks": (at0(&a.geometry.tasks), "I"), "nr_cpus": (at0(&a.geometry.cpus), "I"),
            "ring": (at0(&a.geometry.ring), "I"),
            "header_chunks": (at0(&a.geometry.header_chunks), "I"),
            "design": (at0(&a.config.design), "Q"), "seed": (at0(&a.config.seed), "Q"),
            "lock_kind": (at0(&a.config.lock_kind), "I"),
            "cross_cpu_search": (at0(&a.config.cross_cpu_search), "I"),
            "poison": (at0(&a.config.poison), "I"),
            "fault": (at0(&a.config.fault), f"{NR_FAULTS * 4}s"),
            "tasks": (at0(&a.tasks), "Q"), "pools": (at0(&a.pools), "Q"),
            "percpu": (at0(&a.percpu), "Q"), "memmap": (at0(&a.memmap), "Q"),
            "slots": (at0(&a.slots), "Q"), "objects": (at0(&a.objects), "Q"),
            "rings": (at0(&a.rings), "Q"), "swapmap": (at0(&a.swapmap), "Q"),
            "swap": (at0(&a.swap), "Q"), "frames": (at0(&a.frames), "Q"),
            "percpu_used": (at0(&a.percpu_used), "Q"),
            "free_frames": (at0(&a.free_frames[0]), "Q"),
            "free_slots": (at0(&a.free_slots[0]), "Q"),
            "frames_free": (at0(&a.frames_free), "q"), "slots_free": (at0(&a.slots_free), "q"),
            "stop": (at0(&a.stop), "I"), "pause": (at0(&a.pause), "I"),
            "nr_verdicts": (at0(&a.nr_verdicts), "I"), "verdicts": (at0(&a.verdicts), "Q"),
            "scratch": (at0(&a.scratch), "Q"),
        }),
    }


# struct-module formats of the records that a task keeps in arrays, and the events.
RECORDS = {
    "op": "IIQQ", "held": "QBBBBI", "map": "QQQQ", "lockstat": "7Q", "event": "QHhIQQ",
}
LIMITS = {
    "tasks": MAX_TASKS, "cpus": MAX_CPUS, "pools": MAX_POOLS, "depth": MAX_DEPTH,
    "held": MAX_HELD, "maps": MAX_MAPS, "scratch": NR_SCRATCH,
    "page_size": PAGE_SIZE, "chunk_size": CHUNK_SIZE, "total_chunks": TOTAL_CHUNKS,
    "min_payload": MIN_PAYLOAD, "registers": NR_REGISTERS, "layout_version": LAYOUT_VERSION,
}
