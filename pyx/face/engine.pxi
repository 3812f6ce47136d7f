# The engine's face: an arena in a buffer, and one task in it.
#
# Thin: checks what would crash, binds, performs, and leaves errno rules, names and objects
# to the Python package.

from cpython.buffer cimport PyBUF_WRITABLE, PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.signal cimport SIGBUS, SIGFPE, SIGILL, SIGSEGV

cdef extern from *:
    """
    #include <sys/prctl.h>
    #include <signal.h>
    #include <unistd.h>
    static void (*z3f_crash)(int signal, void *address, int sent);
    static void z3f_on_crash(int signal, siginfo_t *info, void *context) {
        (void)context;
        z3f_crash(signal, info->si_addr, info->si_code <= 0 && info->si_pid != getpid());
        raise(signal);                  /* SA_RESETHAND: the default action now */
    }
    static void z3f_catch_crashes(void (*handler)(int, void *, int)) {
        static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
        struct sigaction action = { 0 };
        unsigned i;
        z3f_crash = handler;
        action.sa_sigaction = z3f_on_crash;
        action.sa_flags = SA_SIGINFO | SA_RESETHAND | SA_NODEFER;
        for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
            sigaction(signals[i], &action, 0);
    }
    static void z3f_die_with_parent(void) { prctl(PR_SET_PDEATHSIG, SIGKILL); }
    static void z3f_name_process(const char *name) { prctl(PR_SET_NAME, name); }
    """
    void catch_crashes "z3f_catch_crashes"(void (*handler)(int, void *, int) noexcept nogil) noexcept nogil
    void die_with_parent_ "z3f_die_with_parent"() noexcept nogil
    void name_process_ "z3f_name_process"(const char *name) noexcept nogil


cdef void note_crash(int signal, void *address, int sent) noexcept nogil:
    """In the signal handler: only stores to the arena, and snprintf on integers. What another
    process sent says nothing about this one."""
    if sent:
        current.killed_by = signal
        return
    verdict(V_CRASH, "signal", 0, 0, 0, "signal %llu at address 0x%llx (arena offset %lld)",
            signal, <u64>address, <i64>(<char *>address - A))
    store_release32(&H.stop, 2)


class ArenaError(ValueError):
    """These bytes cannot be used as an arena; the message says why."""


class Abandoned(RuntimeError):
    """An operation was left in the middle, after a check failed: its locks stay held."""


EXAMINED = {
    ARENA_NOT_ONE: "not an arena: it does not begin with the arena's magic number",
    ARENA_OTHER_VERSION: (
        "an arena of another version or build; use the z3fold_stress that wrote it"
    ),
    ARENA_TRUNCATED: "truncated: shorter than its header says",
    ARENA_INCONSISTENT: "damaged: its header contradicts itself",
}


cdef geometry_t geometry_of(dict g) except *:
    cdef geometry_t geometry
    geometry.frames = g["frames"]
    geometry.slots = g["slots"]
    geometry.objects = g["objects"]
    geometry.swap = g["swap"]
    geometry.tasks = g["tasks"]
    geometry.cpus = g["cpus"]
    geometry.ring = g["ring"]
    geometry.header_chunks = g["header_chunks"]
    return geometry


cdef config_t config_of(dict config) except *:
    cdef config_t c
    cdef int i
    memset(&c, 0, sizeof(c))
    c.design = config["design"]
    c.seed = config["seed"]
    c.lock_kind = config["lock_kind"]
    c.cross_cpu_search = config["cross_cpu_search"]
    c.poison = config["poison"]
    c.keep_going = config["keep_going"]
    c.delay_rate = config["delay_rate"]
    c.delay_ns = config["delay_ns"]
    for i in range(NR_FAULTS):
        c.fault[i] = config["faults"][i]
    return c


def arena_size(dict geometry):
    """Bytes that an arena of this geometry needs."""
    cdef arena_t h
    h.geometry = geometry_of(geometry)
    return lay_out(&h)


cdef class Engine:
    """An arena in a writable buffer, seen by one of its tasks."""

    cdef Py_buffer view
    cdef char *base
    cdef bint open
    cdef readonly u32 task
    cdef dict evict                     # callbacks in Python, by pool
    cdef object evict_error

    def __cinit__(self, buffer, u32 task):
        PyObject_GetBuffer(buffer, &self.view, PyBUF_SIMPLE | PyBUF_WRITABLE)
        self.base = <char *>self.view.buf
        self.open = True
        self.task = task
        self.evict = {}

    def close(self):
        if self.open:
            self.open = False
            gate_arena_gone(self.base)
            PyBuffer_Release(&self.view)

    def __dealloc__(self):
        if self.open:
            PyBuffer_Release(&self.view)

    cdef int enter_as_task(self) except -1:
        """Enter to do something: only a task may, its locks need an owner."""
        self.enter()
        if self.task == 0:
            raise ValueError("this process is no task of the arena: become() one first")
        return 0

    cdef int enter(self) except -1:
        if not self.open:
            raise ValueError("this arena is closed")
        if A != self.base or me != self.task:
            bind(self.base, self.task)
        return 0

    cdef int run(self, void (*body)(void *) noexcept nogil, void *argument) except -1:
        """Run without the GIL; an operation that had to be left raises Abandoned."""
        cdef bint left
        global running_engine
        outer = running_engine
        running_engine = self
        with nogil:
            left = guarded(body, argument)
        running_engine = outer
        if left:
            raise Abandoned("a check failed, and the operation could not go on")
        return 0

    def format(self, dict geometry, dict config):
        """Make an empty arena of zeroed memory."""
        cdef geometry_t g = geometry_of(geometry)
        cdef config_t c = config_of(config)
        format_arena(self.base, &g, &c)

    def examine(self):
        """Raise ArenaError unless the buffer holds an arena that this build can use."""
        cdef int answer = examine_arena(self.base, self.view.len)
        if answer != ARENA_OK:
            raise ArenaError(EXAMINED[answer])

    def become(self, u32 task, u32 role, u32 cpu):
        """Take a task's place: this process is it from now on."""
        cdef task_t *t
        self.task = task
        self.enter()
        bind(self.base, task)
        t = current
        t.pid = getpid()
        t.role = role
        t.cpu = cpu % nr_cpus
        t.incarnation += 1
        t.depth = 0
        t.nr_held = 0
        t.preempt_count = 0
        t.waits_for = 0
        t.mcs_used = 0
        t.killed_by = 0
        t.rng = splitmix64(H.config.seed ^ splitmix64(<u64>task << 32 | t.incarnation)) | 1
        store_release32(&t.state, TASK_RUNNING)

    def call(self, u32 what, u64 pool=0, u64 a=0, u64 b=0, u64 c=0):
        """Perform one operation; returns (result, b, c)."""
        cdef call_t request
        self.enter_as_task()
        request.call = what
        request.pool = pool
        request.a = a
        request.b = b
        request.c = c
        request.result = 0
        self.run(perform, &request)
        return request.result, request.b, request.c

    def run_program(self, const u8[::1] program):
        """Run a compiled program (run/program.pxi) as this task."""
        self.enter_as_task()
        check_program(program)
        self.run(perform_program, <void *>&program[0])

    def set_evict(self, u64 pool, callback):
        """callback(handle offset) -> 0 or a negative errno evicts for this pool."""
        self.evict[pool] = callback

    def take_evict_error(self):
        """The exception that a callback raised since this was last asked, or None."""
        error, self.evict_error = self.evict_error, None
        return error

    cdef int evict_in_python(self, u64 pool, u64 handle):
        """An exception counts as -EIO; the reclaim goes on, and its caller gets it."""
        try:
            return self.evict[pool](handle)
        except BaseException as error:
            self.evict_error = error
            return -EIO

    def set_cpu(self, u32 cpu):
        self.enter()
        current.cpu = cpu

    def set_injection(self, bint on):
        """Whether this process takes part in injected failures and delays."""
        global view_gated
        self.enter()
        view_gated = False
        if on:
            bind(self.base, self.task)

    def audit(self, i64 handles=-1, u32 most=64):
        """Audit the arena; a list of (rule, verdict, page, handle, text), and how many in all."""
        cdef finding_t *findings = <finding_t *>calloc(most, sizeof(finding_t))
        cdef int nr
        if findings == NULL:
            raise MemoryError
        try:
            self.enter()
            with nogil:
                nr = audit_arena(findings, most, handles)
            if nr < 0:
                raise MemoryError
            return [
                (findings[i].rule, findings[i].kind, findings[i].page, findings[i].handle,
                 findings[i].text.decode())
                for i in range(min(nr, <int>most))
            ], nr
        finally:
            libc_free(findings)

    def verdicts(self):
        """Verdicts recorded so far, oldest first, as dicts."""
        cdef u32 i
        cdef verdict_t *v
        self.enter()
        found = []
        for i in range(min(read_once32(&H.nr_verdicts), <u32>MAX_VERDICTS)):
            v = &H.verdicts[i]
            if load_acquire32(&v.ready):
                found.append({
                    "kind": v.kind, "task": v.task, "op": v.op, "page": v.page,
                    "handle": v.handle, "lock": v.lock, "ticks": v.ticks,
                    "where": v.where.decode(), "text": v.text.decode(),
                })
        return found

    def declare(self, int kind, str where, str text, u64 page=0, u64 lock=0, bint fatal=True):
        """Record a verdict that a watcher reached from outside; fatal: waiters give up too."""
        cdef bytes w = where.encode()[:39]
        cdef bytes t = text.encode()[:183].replace(b"%", b"%%")
        self.enter()
        verdict(kind, w, page, 0, lock, t)
        store_release32(&H.stop, 2 if fatal else 1)

    def clear_verdicts(self):
        """Forget what was recorded (after it was reported), and go on."""
        self.enter()
        memset(&H.verdicts[0], 0, sizeof(H.verdicts))
        H.nr_verdicts = 0
        H.stop = 0

    def worker(self, dict mix, const u16[::1] sizes):
        """Random operations until told to stop, or for that many."""
        cdef mix_t m
        self.enter_as_task()
        m.pool = mix["pool"]
        m.operations = mix["operations"]
        m.alloc_below = mix["alloc_below"]
        m.free_below = mix["free_below"]
        m.rewrite_below = mix["rewrite_below"]
        m.atomic_below = mix["atomic_below"]
        m.linger_below = mix["linger_below"]
        m.hot_below = mix["hot_below"]
        m.nr_sizes = <u32>sizes.shape[0]
        m.sizes = &sizes[0]
        self.run(worker_loop, &m)

    def daemon(self, dict settings):
        """A kworker, migrator or reclaimer, as the task's role says, until told to stop."""
        cdef daemon_t d
        self.enter_as_task()
        d.pool = settings["pool"]
        d.interval_us = settings["interval_us"]
        d.offline = settings["offline"]
        d.low_frames = settings["low_frames"]
        if current.role == ROLE_MIGRATOR:
            self.run(migrator_loop, &d)
        elif current.role == ROLE_RECLAIMER:
            self.run(reclaimer_loop, &d)
        elif current.role == ROLE_CHURNER:
            self.run(churner_loop, &d)
        else:
            self.run(kworker_loop, &d)

    def measure(self, str what, dict settings, u64[::1] handles=None):
        """Run a loop of run/measure.pxi; returns (nanoseconds, operations, worst wait ticks).
        handles: of the live objects, 0 where there is none yet; kept from loop to loop."""
        cdef measure_t m
        memset(&m, 0, sizeof(m))
        self.enter_as_task()
        m.pool = settings.get("pool", 0)
        if handles is not None:
            m.handles = &handles[0]
            m.nr_handles = <u32>handles.shape[0]
        elif what != "lock":
            raise ValueError(f"{what} needs handles")
        m.rounds = settings.get("rounds", 0)
        m.nanoseconds = settings.get("nanoseconds", 0)
        m.from_size = settings.get("from_size", 200)
        m.to_size = settings.get("to_size", 1500)
        m.inside = settings.get("inside", 8)
        m.outside = settings.get("outside", 30)
        if what == "free_alloc":
            self.run(measure_free_alloc, &m)
        elif what == "map_unmap":
            self.run(measure_map_unmap, &m)
        elif what == "lock":
            self.run(measure_lock, &m)
        else:
            raise ValueError(f"no such measurement: {what!r}")
        return m.nanoseconds, m.operations, m.worst_wait


cdef Engine running_engine = None       # whose operation runs in this process


cdef int call_evict_in_python(u64 pool, u64 handle) noexcept with gil:
    cdef int result = running_engine.evict_in_python(pool, handle)
    running_engine.enter()              # the callback may have used another arena
    return result


cdef int evict(pool_t *pool, u64 handle) noexcept nogil:
    """The eviction callback: the object table's, or one in Python."""
    cdef int result
    might_sleep("evict")                # it maps, unmaps and frees: no lock may be held
    if pool.evicts != EVICTS_IN_PYTHON:
        return client_evict(pool, handle)
    op_enter(OP_EVICT, handle, 0)
    result = call_evict_in_python(offset_of(pool), handle)
    op_leave()
    return result


def catch_crashes_here():
    """A SIGSEGV and its like become a verdict before this process dies of it."""
    catch_crashes(note_crash)


def die_with_parent(int parent):
    """Be killed when the parent dies; exits at once if it is dead already."""
    die_with_parent_()
    return getppid() == parent


def name_process(str name):
    cdef bytes n = name.encode()[:15]
    name_process_(n)


def clock_rate():
    """Clock ticks a nanosecond, measured over some milliseconds."""
    cdef u64 ns, ticks
    ns = now_ns()
    ticks = clock_ticks()
    nap(5000000)
    return (clock_ticks() - ticks) / <double>(now_ns() - ns)


DEFECT_BITS = {
    name.lower().replace("_", "-"): 1 << value
    for name, value in Defect.__members__.items() if name != "NR_DEFECTS"
}

check_layout()
init_subject()
migration_observer = watch_contract
evict_callback = evict
