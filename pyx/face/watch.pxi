# The face of checked processes (sim/watch.c): a real process begins to check its accesses, and
# who looks at the arena reads what was found. Beside the arena, in the same mapping, lies what
# they share: WATCH_BYTES from the arena's end.

cdef extern from "sim/watch.h":
    cdef enum:
        WATCH_REPORTS
        WATCH_TASKS
        WATCH_REASONS
        WATCH_HELD_BYTES
    void watch_start(const watch_host *host) noexcept nogil

WATCH_BYTES = sizeof(watch_region)


cdef void access_verdict(int kind, const char *where, u64 page, const char *text) noexcept nogil:
    verdict(kind, where, page, 0, 0, text)


cdef watch_region *region_of(const char *base, u64 size) except NULL:
    cdef u64 arena = (<const arena_t *>base).size
    if size < arena + sizeof(watch_region):
        raise ValueError("there is no room beside this arena: make it with beside=WATCH_BYTES")
    return <watch_region *>(base + arena)


def check_accesses(Engine engine, u32 rate, u64 stall_ns, u32 delay_every=0):
    """From now on this process, as the task that it is, checks each of its accesses to the arena.

    About one plain access in `rate` sets a watchpoint and waits `stall_ns`; about one access in
    `delay_every` is delayed (0: none)."""
    cdef watch_host h
    if running_simulator is not None:
        raise RuntimeError("this process has a simulator: close it first")
    if rate == 0:
        raise ValueError("a rate of 0: one access in how many?")
    engine.enter_as_task()
    memset(&h, 0, sizeof(h))
    h.region = region_of(engine.base, engine.view.len)
    h.base = A
    h.window = H.tasks
    h.module = module_base()
    h.frames = frames_start
    h.frames_end = frames_end
    h.memmap = H.memmap
    h.page_size = sizeof(page_t)
    h.page_state = <u64>&(<page_t *>0).state
    h.slots = slots_start
    h.slots_end = slots_end
    h.slots_size = sizeof(z3fold_buddy_slots)
    h.slots_state = <u64>&(<z3fold_buddy_slots *>0).state
    h.slots_guarded = h.slots_state
    h.allocated = FRAME_ALLOCATED
    h.constant_end = <u64>&(<arena_t *>0).percpu_used
    h.verdicts = <u64>&(<arena_t *>0).nr_verdicts
    h.verdicts_end = <u64>&(<arena_t *>0).scratch
    h.held = <const u8 *>&current.held[0]
    h.nr_held = &current.nr_held
    h.task = me
    h.rate = rate
    h.stall = stall_ns
    h.delay_every = delay_every
    h.seed = H.config.seed ^ splitmix64(<u64>me << 32 | current.incarnation)
    h.verdict = access_verdict
    BUILD_BUG_ON(sizeof(held_t) != WATCH_HELD_BYTES)
    BUILD_BUG_ON(<int>MAX_TASKS >= <int>WATCH_TASKS)
    BUILD_BUG_ON(<int>NR_KNOWN_RACES > <int>WATCH_REASONS)
    BUILD_BUG_ON(<int>FRAME_ALLOCATED != <int>SLOTS_ALLOCATED)
    watch_start(&h)


cdef dict told_side(const watch_side *s):
    return {
        "object": s.object, "size": s.size, "task": s.task, "writes": bool(s.writes),
        "atomic": bool(s.atomic), "pc": s.pc, "calls": [s.calls[i] for i in range(s.nr_calls)],
        "held": bytes(s.held[:s.nr_held * WATCH_HELD_BYTES]),
    }


def access_reports(const u8[::1] memory):
    """The accesses that were found at fault, in the order of their numbers: dicts with fault
    (enum watch_fault), times, before, after, side and other (None where it was not seen)."""
    cdef watch_region *region = region_of(<const char *>&memory[0], memory.shape[0])
    cdef watch_report *r
    cdef u32 i
    found = []
    for i in range(WATCH_REPORTS):
        r = &region.report[i]
        if load_acquire32(&r.ready):
            found.append({
                "number": i, "fault": WATCH_FAULT_NAMES[r.fault], "times": r.times,
                "before": r.before, "after": r.after, "side": told_side(&r.side),
                "other": told_side(&r.other) if r.other.task else None,
            })
    return found


def access_totals(const u8[::1] memory):
    """What all tasks did together; benign: {reason: (times, program counter)} of known races."""
    cdef watch_region *region = region_of(<const char *>&memory[0], memory.shape[0])
    cdef watch_task *t
    cdef u32 i, k
    totals = {"accesses": 0, "watchpoints": 0, "crowded": 0, "races": 0, "delays": 0}
    benign = {}
    for i in range(WATCH_TASKS):
        t = &region.task[i]
        totals["accesses"] += t.accesses
        totals["watchpoints"] += t.points
        totals["crowded"] += t.crowded
        totals["races"] += t.races
        totals["delays"] += t.delays
        for k in range(WATCH_REASONS):
            if t.benign[k]:
                times, _ = benign.get(k, (0, 0))
                benign[k] = times + t.benign[k], t.benign_pc[k]
    return {**totals, "benign": benign}
