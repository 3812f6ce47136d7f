# Actors as processes: what the scheduler's side sees of them, and what each of them runs.
#
# Thin: maps the memory, binds, and leaves who starts and ends processes to the Python package.
# A process takes locks by the live world's own code, once it may: a debugger finds it there.

cdef extern from "sim/remote.h":
    cdef enum:
        COMMAND_REAL
        ASK_NONE
        TURN_PROCESS
        TROUBLE_NONE
    remote_trouble_t remote_trouble
    u64 remote_patience
    void remote_serve(remote_slot *slot, u32 index, u64 window) noexcept nogil
    void remote_begin(remote_slot *slots, void (*local)(u32) noexcept nogil) noexcept nogil
    void remote_end() noexcept nogil
    void remote_place(u32 index, int pid) noexcept nogil
    void remote_body(u32 index) noexcept nogil
    void remote_command(u32 index, u32 command) noexcept nogil

cdef extern from *:
    """
    static void *z3f_map_shared(int fd, uint64_t size) {
        void *p = mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        return p == MAP_FAILED ? 0 : p;
    }
    static void z3f_unmap_shared(void *p, uint64_t size) { munmap(p, size); }
    #include <sched.h>
    """
    void *map_shared "z3f_map_shared"(int fd, u64 size) noexcept nogil
    void unmap_shared "z3f_unmap_shared"(void *p, u64 size) noexcept nogil
    int sched_getcpu() nogil


cdef void real_lock(u32 *lock, int lock_class) noexcept nogil:
    if lock_class == LC_PG:
        lock_page_word(lock)
    else:
        spin_lock(lock, lock_class)


cdef void lock_page_word(u32 *lock) noexcept nogil:
    if not ttas_try(lock, read_once32(lock)):
        ttas_lock_slow(lock, LC_PG)
    hold(offset_of(lock), LC_PG)


cdef bint real_trylock(u32 *lock, int lock_class) noexcept nogil:
    if not ttas_try(lock, read_once32(lock)):
        return False
    hold(offset_of(lock), lock_class)
    return True


cdef void real_unlock(u32 *lock) noexcept nogil:
    """A lock that came with a copied page is on no list of held ones: that is no fault here."""
    cdef held_t *h = held(offset_of(lock))
    store_release32(lock, read_once32(lock) & ~<u32>OWNER_MASK)
    if h != NULL:
        let_go(h)


cdef remote_locks live_locks
live_locks.lock = real_lock
live_locks.trylock = real_trylock
live_locks.unlock = real_unlock
live_locks.read_lock = read_lock
live_locks.read_unlock = read_unlock
live_locks.write_lock = write_lock
live_locks.write_unlock = write_unlock


# the scheduler's side

cdef remote_slot *remote_slots = NULL
cdef object replace_process = None      # called with an actor's number
cdef object replace_error = None


def remote_size():
    """Bytes of the memory in which processes and their proxies talk."""
    return SIM_TASKS * sizeof(remote_slot)


def current_cpu():
    """The CPU that this runs on now."""
    return sched_getcpu()


cdef bint replace_in_python(u32 index) noexcept with gil:
    global replace_error
    try:
        replace_process(index)
        return True
    except BaseException as error:
        replace_error = error
        return False


def remote_open(Simulator simulator, int fd, replace, double patience):
    """From now on the actors are processes, which talk through this file. replace(actor): called
    for each that has no process, between executions; patience: seconds from step to step."""
    global remote_slots, replace_process, replace_error, remote_patience
    remote_close()
    remote_slots = <remote_slot *>map_shared(fd, remote_size())
    if remote_slots == NULL:
        raise MemoryError("no memory to talk to processes")
    replace_process = replace
    replace_error = None
    remote_patience = <u64>(patience * 1e9)
    remote_begin(remote_slots, run_actor)
    sim_run.host.replace = replace_in_python
    remote_use(simulator, True)


def remote_use(Simulator simulator, bint processes):
    """Whether executions are done by the processes, or by coroutines in this one."""
    sim_run.host.body = remote_body if processes else run_actor
    sim_run.proxies = processes


def remote_close():
    """No processes any more."""
    global remote_slots, replace_process
    remote_end()
    sim_run.host.body = run_actor
    replace_process = None
    if remote_slots != NULL:
        unmap_shared(remote_slots, remote_size())
        remote_slots = NULL


def remote_is(u32 index, int pid):
    """This process is the actor's."""
    remote_place(index, pid)


def remote_ready(u32 index):
    """Whether its process waits for the scheduler."""
    return remote_slots != NULL and read_once32(&remote_slots[index].turn) != TURN_PROCESS


def remote_expects(u32 index):
    """A new process is to say that it has started."""
    remote_slots[index].turn = TURN_PROCESS
    remote_slots[index].call.what = ASK_NONE


def remote_problem():
    """What ended the exploration: (how, actor, instruction), an exception, or None."""
    global replace_error
    if remote_trouble.kind == TROUBLE_NONE:
        return None
    if replace_error is not None:
        error, replace_error = replace_error, None
        return error
    return TROUBLE_NAMES[remote_trouble.kind], remote_trouble.index, remote_trouble.program_at


def remote_wait_for_real(Simulator simulator, list actors):
    """These wait by the live world's code from here on, whatever comes of it."""
    cdef u32 i
    simulator.bind_world()
    for i in actors:
        task_at(i + 1).waits_for = 0
    for i in actors:
        remote_command(i, COMMAND_REAL)


def remote_number(Simulator simulator, u32 index, int pid):
    """Tell the subject which process a task is."""
    simulator.bind_world()
    task_at(index + 1).pid = pid


def remote_state(Simulator simulator, u32 index):
    """What is known of an actor's process: a dict."""
    cdef const remote_slot *s = &remote_slots[index]
    cdef sim_task_t *t = &sim_run.task[index]
    simulator.bind_world()
    return {
        "state": t.state, "blocked": not sim_can_go(t), "kind": t.next.kind,
        "asks": REMOTE_WHAT_NAMES.get(s.call.what, "?"),
        "point": s.call.access.kind, "object": s.call.access.offset, "value": s.call.access.seen,
        "size": s.call.access.size, "pc": s.call.access.pc,
        "runs": read_once32(&(<remote_slot *>s).turn) == TURN_PROCESS,
        "instruction": t.program_at, "waits_for": task_at(index + 1).waits_for,
        "held": [t.held[k].offset for k in range(t.nr_held)],
        "progress": task_at(index + 1).progress,
    }


def remote_word(Simulator simulator, u64 offset, u32 size):
    """A word of the arena, 4 or 8 bytes."""
    simulator.bind_world()
    if offset + size > simulator.size:
        raise ValueError(f"0x{offset:x} is outside the arena")
    return read_once32(<u32 *>(A + offset)) if size == 4 else read_once64(<u64 *>(A + offset))


def remote_verdicts(Simulator simulator):
    """What waiting tasks found out by themselves: (kind, task from 1, text)."""
    cdef u32 i
    simulator.bind_world()
    return [
        (H.verdicts[i].kind, H.verdicts[i].task, H.verdicts[i].text.decode(errors="replace"))
        for i in range(min(read_once32(&H.nr_verdicts), <u32>MAX_VERDICTS))
        if load_acquire32(&H.verdicts[i].ready)
    ]


# the side of a process

def serve(int fd, int slots_fd, u32 index, bytes program):
    """Be this actor of the arena in fd, as often as its proxy says, until killed."""
    global view_plain, view_detour
    cdef u64 size = os_fstat(fd).st_size
    cdef char *base = map_arena(size, fd)
    cdef remote_slot *slots = <remote_slot *>map_shared(slots_fd, remote_size())
    if base == NULL or slots == NULL:
        raise MemoryError("no memory for the arena")
    if examine_arena(base, size) != ARENA_OK:
        raise ArenaError("not an arena of this build")
    bind(base, index + 1)
    view_plain = False
    view_detour = &always
    sim_memory.base = base
    sim_memory.size = size
    sim_memory.scratch = <u64>(<char *>&H.scratch[0] - A)
    sim_memory.module = module_base()
    set_regions()
    sim_program[index] = <const instruction *><const char *>program
    sim_run.host.body = run_actor
    sim_run.host.current = <void **>&view_current
    sim_run.host.me = &view_me
    sim_run.host.locks = &live_locks
    sim_run.task[index].context = task_at(index + 1)
    if sim_enter():
        raise MemoryError("no stack for signals")
    with nogil:
        remote_serve(&slots[index], index, H.tasks)
