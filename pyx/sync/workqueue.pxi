# Ordered work queues: one item at a time, first in first out, as alloc_ordered_workqueue.
#
# An item is embedded in what it works on; it is pending until dequeued, then running.
# A queue is served by the task named in it (a kworker process), or, where there is none, by
# whoever flushes or drains it. What an item does is the subject's: work_function.

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


cdef bint queue_work_on(u32 cpu, workqueue_t *wq, work_struct *work) noexcept nogil:
    """Queue an item; false when it was pending already."""
    if unlikely(read_once32(&wq.destroyed) != 0):
        bug(V_USE_AFTER_FREE, "queue_work", 0, 0, offset_of(&wq.lock),
            "work 0x%llx is queued on a queue that was destroyed", offset_of(work))
    if fetch_or64(&work.data, WORK_PENDING) & WORK_PENDING:
        return False
    spin_lock(&wq.lock, LC_WORKQUEUE)
    write_once64(&work.data, <u64>cpu << WORK_CPU_SHIFT | WORK_PENDING)
    list_add_tail(&work.entry, &wq.items)
    wq.queued += 1
    spin_unlock(&wq.lock)
    return True


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
    wq.running = offset_of(work)
    wq.running_task = me
    spin_unlock(&wq.lock)
    if func >= 4 or work_function[func] == NULL:
        bug(V_USE_AFTER_FREE, "run_one_work", page_of_address(wq.running), 0, 0,
            "work 0x%llx names function 0x%llx: the memory it lies in was freed or reused",
            wq.running, func)
    current.ops[current.depth - 1].op = OP_COMPACT if func == WORK_COMPACT else OP_RELEASE
    current.ops[current.depth - 1].a = offset_of(work)
    current.cpu = <u32>cpu if cpu >= 0 else <u32>(data >> WORK_CPU_SHIFT) % nr_cpus
    work_function[func](offset_of(work))
    record(OP_COMPACT if func == WORK_COMPACT else OP_RELEASE, 0,
           page_of_address(offset_of(work)), offset_of(work), current.cpu)
    current.cpu = own_cpu
    spin_lock(&wq.lock, LC_WORKQUEUE)
    wq.running = 0
    wq.running_task = 0
    spin_unlock(&wq.lock)
    op_leave()
    return True


cdef void flush_workqueue(workqueue_t *wq) noexcept nogil:
    """Return when the queue is empty and nothing of it runs."""
    cdef u32 spins = 0
    cdef u64 running, first
    might_sleep("flush_workqueue")
    while True:
        if wq.worker == 0 or wq.worker == me:
            while run_one_work(wq, -1):
                pass
        spin_lock(&wq.lock, LC_WORKQUEUE)
        if list_empty(&wq.items) and (wq.running == 0 or wq.running_task == me):
            spin_unlock(&wq.lock)
            return
        running = wq.running
        first = wq.items.next
        spin_unlock(&wq.lock)
        if running:
            relax_until_changed(&spins, &wq.running, running)
        elif wq.worker != 0 and wq.worker != me:
            relax_until_changed(&spins, &wq.items.next, first)


cdef bint cancel_work_sync(workqueue_t *wq, work_struct *work) noexcept nogil:
    """Take the item off the queue, and wait while it runs; true when it was pending."""
    cdef bint was_pending
    cdef u32 spins = 0
    might_sleep("cancel_work_sync")
    spin_lock(&wq.lock, LC_WORKQUEUE)
    was_pending = work_pending(work)
    if was_pending:
        list_del_init(&work.entry)
        fetch_and64(&work.data, ~<u64>WORK_PENDING)
    while wq.running == offset_of(work) and wq.running_task != me:
        spin_unlock(&wq.lock)
        relax_until_changed(&spins, &wq.running, offset_of(work))
        spin_lock(&wq.lock, LC_WORKQUEUE)
    spin_unlock(&wq.lock)
    return was_pending


cdef void destroy_workqueue(workqueue_t *wq) noexcept nogil:
    """Drain, then refuse: a later queue_work is a verdict."""
    flush_workqueue(wq)
    store_release32(&wq.destroyed, 1)
