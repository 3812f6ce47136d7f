# Ordered work queues: one item at a time, first in first out, as alloc_ordered_workqueue.
#
# An item is embedded in what it works on; it is pending until dequeued, then running.
# A queue is served by the task named in it (a kworker process), or, where there is none, by
# whoever flushes or drains it. What an item does is the subject's: work_function.
#
# What a queue promises is checked here, by numbers that the promise does not rest on: each item
# gets one when it is queued. Items start in that order, one at a time; a flush returns when all
# that were queued before it are finished; a cancel, when its item neither waits nor runs; and
# after a destroy nothing is queued, and nothing runs.

cdef void (*work_function[4])(u64 work) noexcept nogil


cdef inline void init_work(work_struct *work, u64 func) noexcept nogil:
    write_once64(&work.data, 0)
    init_list_head(&work.entry)
    work.func = func


cdef inline bint work_pending(work_struct *work) noexcept nogil:
    return read_once64(&work.data) & WORK_PENDING


cdef void init_workqueue(workqueue_t *wq) noexcept nogil:
    spin_lock_init(&wq.lock)
    init_list_head(&wq.items)
    wq.destroyed = 0
    wq.running = 0
    wq.queued = 0
    wq.finished = 0
    wq.started = 0


cdef void promise_broken(workqueue_t *wq, const char *where, const char *text,
                         u64 a=0, u64 b=0) noexcept nogil:
    verdict(V_INVARIANT, where, page_of_address(a), 0, offset_of(&wq.lock), text, a, b)


cdef void queued_too_late(workqueue_t *wq, work_struct *work) noexcept nogil:
    bug(V_USE_AFTER_FREE, "queue_work", 0, 0, offset_of(&wq.lock),
        "work 0x%llx is queued on a queue that was destroyed", offset_of(work))


cdef bint queue_work_on(u32 cpu, workqueue_t *wq, work_struct *work) noexcept nogil:
    """Queue an item; false when it was pending already."""
    if unlikely(read_once32(&wq.destroyed) != 0):
        queued_too_late(wq, work)
    if fetch_or64(&work.data, WORK_PENDING) & WORK_PENDING:
        return False
    spin_lock(&wq.lock, LC_WORKQUEUE)
    if unlikely(read_once32(&wq.destroyed) != 0):
        queued_too_late(wq, work)
    wq.queued += 1
    write_once64(&work.data, <u64>(<u32>wq.queued) << WORK_NUMBER_SHIFT
                 | <u64>cpu << WORK_CPU_SHIFT | WORK_PENDING)
    list_add_tail(&work.entry, &wq.items)
    spin_unlock(&wq.lock)
    return True


cdef void start_work(workqueue_t *wq, work_struct *work, u64 data) noexcept nogil:
    """The queue is locked."""
    cdef i64 number = <i64>(data >> WORK_NUMBER_SHIFT)
    if unlikely(wq.destroyed != 0):
        promise_broken(wq, "run_one_work", "work 0x%llx runs, and its queue was destroyed",
                       offset_of(work))
    if unlikely(wq.running != 0):
        promise_broken(wq, "run_one_work", "work 0x%llx starts while work 0x%llx runs: the queue "
                       "is ordered", offset_of(work), wq.running)
    if unlikely(<i32>(<u32>number - <u32>wq.started) <= 0):
        # The queue may lead to the same item for ever: nothing can be run from it any more.
        bug(V_INVARIANT, "run_one_work", page_of_address(offset_of(work)), 0, offset_of(&wq.lock),
            "work 0x%llx starts after one that was queued later (number %llu)", offset_of(work),
            <u64>wq.started)
    wq.started = number
    wq.running = offset_of(work)
    wq.running_task = me


cdef void finish_work(workqueue_t *wq, u64 work) noexcept nogil:
    spin_lock(&wq.lock, LC_WORKQUEUE)
    if unlikely(wq.running != work or wq.running_task != me):
        promise_broken(wq, "run_one_work", "work 0x%llx ends, and the queue runs 0x%llx",
                       work, wq.running)
    wq.running = 0
    wq.running_task = 0
    wq.finished += 1
    spin_unlock(&wq.lock)


cdef bint run_one_work(workqueue_t *wq, i32 cpu) noexcept nogil:
    """Run the first item, on this CPU or (-1) the one it was queued on. False: none is queued,
    or somebody runs one."""
    cdef work_struct *work
    cdef u32 own_cpu = current.cpu
    cdef u64 func, data
    if list_empty(&wq.items):
        return False
    op_enter(OP_COMPACT, 0, 0)
    spin_lock(&wq.lock, LC_WORKQUEUE)
    if list_empty(&wq.items) or wq.running != 0:
        spin_unlock(&wq.lock)           # ordered: whoever runs an item now takes the next
        op_leave()
        return False
    work = <work_struct *>(<char *>at(wq.items.next) - sizeof(u64))
    list_del_init(&work.entry)
    func = work.func
    data = fetch_and64(&work.data, ~<u64>WORK_PENDING)
    start_work(wq, work, data)
    spin_unlock(&wq.lock)
    if func >= 4 or work_function[func] == NULL:
        bug(V_USE_AFTER_FREE, "run_one_work", page_of_address(wq.running), 0, 0,
            "work 0x%llx names function 0x%llx: the memory it lies in was freed or reused",
            wq.running, func)
    current.ops[current.depth - 1].op = OP_COMPACT if func == WORK_COMPACT else OP_RELEASE
    current.ops[current.depth - 1].a = offset_of(work)
    current.cpu = <u32>cpu if cpu >= 0 else <u8>(data >> WORK_CPU_SHIFT) % nr_cpus
    work_function[func](offset_of(work))
    record(OP_COMPACT if func == WORK_COMPACT else OP_RELEASE, 0,
           page_of_address(offset_of(work)), offset_of(work), current.cpu)
    current.cpu = own_cpu
    finish_work(wq, offset_of(work))
    op_leave()
    return True


cdef bint nothing_left(workqueue_t *wq) noexcept nogil:
    """The queue is locked. A work item that flushes its own queue does not wait for itself."""
    if not list_empty(&wq.items):
        return False
    return wq.running == 0 or wq.running_task == me or defect(FLUSH_IGNORES_RUNNING)


cdef void flush_until(workqueue_t *wq, bint destroy) noexcept nogil:
    """Return when the queue is empty and nothing of it runs; refuse further work, if asked to,
    in the same moment."""
    cdef u32 spins = 0
    cdef u64 running, first
    cdef i64 before
    spin_lock(&wq.lock, LC_WORKQUEUE)
    before = wq.queued
    while not nothing_left(wq):
        running = wq.running if wq.running_task != me else 0
        first = wq.items.next
        spin_unlock(&wq.lock)
        if wq.worker == 0 or wq.worker == me:
            while run_one_work(wq, -1):
                pass
        if running:
            relax_until_changed(&spins, &wq.running, running)
        elif wq.worker != 0 and wq.worker != me:
            relax_until_changed(&spins, &wq.items.next, first)
        else:
            spins += 1
        check_company(spins, "flush_workqueue")
        spin_lock(&wq.lock, LC_WORKQUEUE)
    if unlikely(wq.finished + (wq.running_task == me) < before):
        promise_broken(wq, "flush_workqueue", "the flush is over, and work 0x%llx still runs, or "
                       "waits (%llu items are not finished)", wq.running,
                       <u64>(before - wq.finished))
    if destroy:
        store_release32(&wq.destroyed, 1)
    spin_unlock(&wq.lock)


cdef void flush_workqueue(workqueue_t *wq) noexcept nogil:
    might_sleep("flush_workqueue")
    flush_until(wq, False)


cdef bint cancel_work_sync(workqueue_t *wq, work_struct *work) noexcept nogil:
    """Take the item off the queue, and wait while it runs; true when it was pending. Who is just
    queueing it has marked it, and not linked it yet: that is waited for as well."""
    cdef bint was_pending = False
    cdef u32 spins = 0
    cdef i64 queued
    might_sleep("cancel_work_sync")
    spin_lock(&wq.lock, LC_WORKQUEUE)
    while work_pending(work) or (wq.running == offset_of(work) and wq.running_task != me):
        if work_pending(work) and not list_empty(&work.entry):
            was_pending = True
            list_del_init(&work.entry)
            fetch_and64(&work.data, ~<u64>WORK_PENDING)
            wq.finished += 1
            continue
        queued = wq.queued
        spin_unlock(&wq.lock)
        if work_pending(work):
            relax_until_changed(&spins, <u64 *>&wq.queued, <u64>queued)
        else:
            relax_until_changed(&spins, &wq.running, offset_of(work))
        check_company(spins, "cancel_work_sync")
        spin_lock(&wq.lock, LC_WORKQUEUE)
    spin_unlock(&wq.lock)
    return was_pending


cdef void destroy_workqueue(workqueue_t *wq) noexcept nogil:
    """Drain, then refuse: a later queue_work is a verdict."""
    might_sleep("destroy_workqueue")
    flush_until(wq, True)
