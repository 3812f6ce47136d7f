# The simulator's face: an arena of its own, a set-up, actors, and many executions of them.
#
# Thin: places programs and budgets where the sim world (sim/) finds them, calls it without
# the GIL, and turns what it found into plain values. One world a process.

from libc.stdlib cimport malloc
from os import fstat as os_fstat, ftruncate as os_ftruncate

cdef extern from *:
    """
    #include <sys/mman.h>
    #include <stddef.h>
    #if defined(Z3F_ASSERT)
    enum { Z3F_ASSERTIONS = 1 };
    #else
    enum { Z3F_ASSERTIONS = 0 };
    #endif
    enum { Z3F_MOAT = 1 << 30 };
    /* The arena between two moats: an offset gone astray meets nothing of ours. fd: a file to
       share with other processes, or -1. */
    static char *z3f_map_arena(uint64_t size, int fd) {
        char *p = (char *)mmap(0, size + 2ull * Z3F_MOAT, PROT_NONE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == (char *)MAP_FAILED)
            return 0;
        if (fd < 0 ? mprotect(p + Z3F_MOAT, size, PROT_READ | PROT_WRITE)
                   : mmap(p + Z3F_MOAT, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                          fd, 0) == MAP_FAILED) {
            munmap(p, size + 2ull * Z3F_MOAT);
            return 0;
        }
        return p + Z3F_MOAT;
    }
    static void z3f_unmap_arena(char *base, uint64_t size) {
        munmap(base - Z3F_MOAT, size + 2ull * Z3F_MOAT);
    }
    extern char __ehdr_start __attribute__((visibility("hidden")));
    static uint64_t z3f_module(void) { return (uint64_t)&__ehdr_start; }
    """
    const char *BUILD_ "Z3F_BUILD"
    bint ASSERTIONS_ "Z3F_ASSERTIONS"
    char *map_arena "z3f_map_arena"(u64 size, int fd) noexcept nogil
    void unmap_arena "z3f_unmap_arena"(char *base, u64 size) noexcept nogil
    u64 module_base "z3f_module"() noexcept nogil

cdef const instruction *sim_program[SIM_TASKS]
cdef Simulator running_simulator = None
cdef u64 nr_worlds = 0              # simulators that this process has had

BUILD = BUILD_.decode()             # of the sources, as setup.py hashes them
ASSERTIONS = bool(ASSERTIONS_)      # whether the simulator checks itself (sim/assert.h)


cdef void run_actor(u32 index) noexcept nogil:
    run_program(sim_program[index])
    if current.preempt_count:
        sim_fail(V_LOCK_MISUSE, "end", 0, 0, 0, 0, "a task ends with preemption disabled")


cdef i32 died_inside() noexcept nogil:
    """A task that died within an operation of the allocator, or -1."""
    cdef u32 i
    for i in range(sim_run.nr_tasks):
        if sim_died(i) and 0 < task_at(i + 1).depth <= MAX_DEPTH:
            return <i32>i
    return -1


cdef int audit_after() noexcept nogil:
    cdef finding_t first
    cdef int nr = audit_arena(&first, 1, -1)
    cdef char[240] told
    cdef i32 dead
    if nr > 0:
        dead = died_inside()
        if dead < 0:
            sim_report(<int>first.kind, "audit", first.page, first.handle, 0, first.text)
        else:
            snprintf(told, sizeof(told), "left by task %d, which died inside an operation: %s",
                     dead + 1, first.text)
            sim_report(<int>first.kind, "audit", first.page, first.handle, 0, told)
    return nr


cdef void set_regions() noexcept:
    """Where allocations live and die: the frames, and the cache of slots objects."""
    sim_memory.region[0] = region(frames_start, frames_end, PAGE_SIZE, PAGE_SIZE, True, True,
                                  "page")
    sim_memory.region[1] = region(slots_start, slots_end, sizeof(z3fold_buddy_slots),
                                  <u32><u64>&(<z3fold_buddy_slots *>0).state, False, False,
                                  "slots object")
    sim_memory.nr_regions = 2


cdef list choices_of(const sim_choice *taken, u32 n):
    return [(taken[i].task, taken[i].at, taken[i].decision, taken[i].to) for i in range(n)]


cdef dict order_lock_of(const order_lock *lock):
    return {"lock": lock.offset, "class": lock.lock_class, "kind": lock.kind, "pc": lock.pc}


cdef u32 context_size() noexcept:
    """Of what an execution may change of its task_t, and an image keeps: a multiple of 64."""
    return (<u32><u64>&(<task_t *>0).ops + 63) & ~<u32>63


cdef class Simulator:
    """A scenario in the sim world."""

    cdef char *base
    cdef u64 size
    cdef u32 nr
    cdef bint open
    cdef list programs                  # bytes: kept alive
    cdef bytearray contexts
    cdef dict faults
    cdef u32 deaths
    cdef Search search                  # the one that is under way
    cdef Distinct distinct

    def __cinit__(self, dict geometry, dict config, bytes setup, list actors, bytes finish,
                  int fd=-1):
        """actors: (program, cpu, daemon, kworker: 0 or WORK_*, mortal). fd: an
        empty memory file for the arena, where other processes are to map it too."""
        global running_simulator, nr_worlds
        if running_simulator is not None:
            raise RuntimeError("this process has a simulator already: close it first")
        self.nr = <u32>len(actors)
        if self.nr + 2 > SIM_TASKS:
            raise ValueError(f"{self.nr} actors: there may be {SIM_TASKS - 2}")
        geometry = dict(geometry, tasks=self.nr + 2, ring=0)
        self.size = arena_size(geometry)
        if fd >= 0:
            os_ftruncate(fd, self.size)
        self.base = map_arena(self.size, fd)
        if self.base == NULL:
            raise MemoryError("no memory for the arena")
        self.open = True
        nr_worlds += 1
        running_simulator = self
        self.programs = [program for program, *_ in actors] + [setup, finish]
        for program in self.programs:
            check_program(program)
        self.format(geometry, config)
        self.place(actors)

    def close(self):
        global running_simulator, view_A
        if self.open:
            self.open = False
            sim_stop()
            unmap_arena(self.base, self.size)
            view_A = NULL               # whoever comes next binds anew
            running_simulator = None

    def __dealloc__(self):
        self.close()

    cdef int format(self, dict geometry, dict config) except -1:
        cdef geometry_t g = geometry_of(geometry)
        cdef config_t c = config_of(config)
        c.keep_going = False
        format_arena(self.base, &g, &c)
        return 0

    cdef int bind_world(self) except -1:
        """The variables of the subject that name the arena; every lock goes to the gate."""
        global view_plain, view_gated, view_detour
        if not self.open:
            raise ValueError("this simulator is closed")
        bind(self.base, self.nr + 1)
        view_plain = False
        view_gated = False
        view_detour = &always
        return 0

    cdef int place(self, list actors) except -1:
        cdef u32 i
        cdef u32 context = context_size()
        cdef task_t *t
        cdef bytes program
        cdef char *saved
        self.bind_world()
        memset(&sim_run.task[0], 0, SIM_TASKS * sizeof(sim_task_t))
        self.contexts = bytearray((self.nr + 2) * context)
        saved = self.contexts
        for i in range(self.nr + 2):
            program = self.programs[i]
            sim_program[i] = <const instruction *><const char *>program
            t = task_at(i + 1)
            t.state = TASK_RUNNING
            t.rng = splitmix64(H.config.seed ^ i) | 1
            sim_run.task[i].index = i
            sim_run.task[i].context = t
            sim_run.task[i].saved = saved + <u64>i * context
        for i in range(self.nr):
            _, cpu, daemon, _, mortal = actors[i]
            task_at(i + 1).cpu = cpu % nr_cpus
            task_at(i + 1).role = ROLE_WORKER
            sim_run.task[i].daemon = daemon
            sim_run.task[i].mortal = mortal
        sim_run.nr_tasks = self.nr
        sim_run.host.body = run_actor
        sim_run.host.current = <void **>&view_current
        sim_run.host.me = &view_me
        sim_run.host.audit = audit_after
        set_regions()
        sim_memory.scratch = <u64>(<char *>&H.scratch[0] - A)
        sim_memory.audited_from = H.pools
        sim_memory.module = module_base()
        sim_config.max_steps = 20000
        memset(&sim_verdict, 0, sizeof(sim_verdict))
        sim_schedule.longest = 0
        sim_config.death_budget = 0
        memset(&sim_config.fault_budget[0], 0, sizeof(sim_config.fault_budget))
        lock_order_reset()
        promote_reset()
        benign_reset()
        if sim_start(self.base, self.size, H.tasks):
            raise MemoryError("no memory for the stacks of the tasks")
        return 0

    def prepare(self, dict words, list kworkers, u32 max_steps=20000):
        """Create pool 0, set the words, run the set-up; a verdict (dict) where that failed. The
        set-up is run by the correct protocol: what fails later is the actors' doing.
        kworkers: (actor, WORK_*, pool)."""
        global view_D, order_cycles
        cdef pool_t *pool = NULL
        cdef u32 context = context_size()
        cdef u64 design
        self.bind_world()
        design = D
        sim_config.max_steps = max_steps
        z3fold_create_pool(0, EVICTS_BY_TABLE, &pool)
        view_D = 0
        for number, value in words.items():
            scratch_word(number)[0] = <u64>(value & 0xffffffffffffffff)
        sim_run.ending = END_NONE
        sim_config.races = False
        sim_config.lifetimes = True
        sim_config.recording = 0
        sim_verdict.kind = 0
        order_cycles = 0
        if sim_enter():
            raise MemoryError("no stack for signals")
        with nogil:
            races_begin()
            sim_run_alone(self.nr)
        sim_leave()
        view_D = design
        if sim_run.ending != END_NONE:
            return self.outcome()
        for actor, kind, number in kworkers:
            pool = pool_number(number)
            if kind == WORK_COMPACT:
                pool.compact_wq.worker = actor + 1
            else:
                pool.release_wq.worker = actor + 1
        for i in range(H.geometry.objects):
            linear_initial(i, object_at(i).version)
        sim_image(context)
        return None

    def configure(self, dict faults, u32 deaths, bint races=True, bint every_access=False,
                  bint coverage=False, u32 max_steps=20000, bint finish_is_audit=False,
                  bint deadlock_ok=False, bint lifetimes=True, bint c20=False):
        """Budgets of an execution: faults {number: how many}, deaths; what is looked at.
        finish_is_audit: the finish has nothing to do where only scratch words were written.
        c20: a task's relaxed store ends its own release sequence."""
        sim_config.finish_is_audit = finish_is_audit
        sim_config.deadlock_ok = deadlock_ok
        memset(&sim_config.fault_budget[0], 0, sizeof(sim_config.fault_budget))
        for number, budget in faults.items():
            if not 0 <= number < <int>NR_FAULTS:
                raise ValueError(f"there is no failure {number}")
            sim_config.fault_budget[number] = budget
        sim_config.death_budget = deaths
        sim_config.races = races
        sim_config.lifetimes = lifetimes
        sim_config.release_sequence = c20  # enum release_sequence: C11, C20
        sim_config.every_access = every_access
        sim_config.coverage_on = coverage
        sim_config.max_steps = max_steps

    def begin(self, str strategy, u64 seed, u64 first=0, int depth=3, int delay_bound=-1,
              Search search=None, int record=0, Distinct distinct=None):
        """Choose the strategy for the explore() calls that follow. An exhaustive one may be put
        aside and taken up again: where `search` has begun already it goes on from where it was.
        One that samples makes execution `first` and those after it from the seed, the number and
        the accesses that are points by then; profiling executions may come before, which leave
        totals()["execution"] as it is. `distinct`: where its executions are counted."""
        cdef const strategy_t *chosen = known_strategy(strategy)
        if search is None and chosen.drop != NULL:
            search = Search()
        if search is not None:
            search.take_up(chosen, depth, delay_bound)
        self.search = search
        self.distinct = distinct
        distinct_use(NULL if distinct is None else distinct.counted)
        sim_schedule.strategy = chosen
        sim_config.seed = seed
        sim_config.depth = depth
        sim_config.delay_bound = delay_bound
        sim_schedule.search = NULL
        sim_run.execution = first
        if search is not None and search.tree != NULL:
            sim_schedule.search = search.tree
            sim_run.execution = search.execution
        sim_schedule.restarted = sim_run.execution
        sim_schedule.share_done = 0
        sim_config.recording = record
        memset(&sim_totals, 0, sizeof(sim_totals))
        linear_forget()
        sim_schedule.strategy.prepare()
        if search is not None:
            search.tree = sim_schedule.search
            search.execution = sim_run.execution

    def explore(self, u64 executions, u64 nanoseconds, u64 left=0):
        """Run executions; returns why it stopped (enum stop). Within `nanoseconds`, and an execution
        more; one that is still under way after `left` (0: no matter when), or when a signal has
        come, is cut as at the step limit."""
        cdef int why
        self.bind_world()
        with nogil:
            why = sim_explore(executions, nanoseconds, left)
        if self.search is not None:
            self.search.execution = sim_run.execution
        return STOP_NAMES[why]

    def totals(self):
        """What was done since begin()."""
        return {
            "executions": sim_totals.executions, "steps": sim_totals.steps,
            "choices": sim_totals.choices, "switches": sim_totals.switches,
            "limited": sim_totals.limited, "unordered": linear_gave_up,
            "pruned": sim_totals.pruned,
            "deaths": sim_totals.deaths, "promoted": nr_promoted,
            "restarted": sim_schedule.restarted, "share_done": sim_schedule.share_done,
            "longest": sim_schedule.longest, "execution": sim_run.execution,
            "coverage": coverage_count(), "order_given_up": order_given_up,
        }

    def outcome(self):
        """The execution that came last: its verdict, its schedule."""
        cdef sim_verdict_t *v = &sim_verdict
        found = {
            "ending": ENDING_NAMES[sim_run.ending], "steps": sim_run.steps,
            "switches": sim_run.switches, "preemptions": sim_preemptions(),
            "hash": sim_run.hash, "unused": sim_schedule.unused,
            "schedule": choices_of(sim_schedule.taken, sim_schedule.nr_taken),
            "verdict": None, "order": None,
            "clocks": [sim_run.task[i].accesses for i in range(self.nr)],
        }
        if sim_run.ending == END_VERDICT or v.kind:
            found["verdict"] = {
                "kind": v.kind, "task": v.task, "page": v.page, "handle": v.handle,
                "lock": v.lock, "pc": v.pc, "other_pc": v.other_pc, "other_task": v.other_task,
                "object": v.object, "size": v.size, "writes": v.writes,
                "other_writes": v.other_writes, "where": v.where.decode(),
                "text": v.text.decode(errors="replace"),
            }
        if order_cycles:
            cycles = [[] for _ in range(order_cycles)]
            for i in range(nr_order_steps):
                cycles[order_steps[i].cycle].append({
                    "task": order_steps[i].task, "held": order_lock_of(&order_steps[i].held),
                    "wanted": order_lock_of(&order_steps[i].wanted),
                })
            found["order"] = {"sure": order_sure, "cycles": cycles}
        return found

    def forget_lock_order(self):
        lock_order_reset()

    def replay(self, list schedule, bint strict=False, int record=1, Distinct distinct=None):
        """One execution after this schedule; record 2 keeps its events. Returns outcome().
        It is none of the exploration's, and counted nowhere but in `distinct`."""
        cdef u32 n = <u32>len(schedule)
        cdef sim_choice *script = <sim_choice *>malloc((n + 1) * sizeof(sim_choice))
        cdef bint every = sim_config.every_access
        cdef sim_totals_t totals
        cdef u64 number = sim_run.execution
        cdef u32 i
        if script == NULL:
            raise MemoryError
        memcpy(&totals, &sim_totals, sizeof(totals))
        try:
            for i in range(n):
                script[i].task, script[i].at, script[i].decision, script[i].to = schedule[i]
            self.bind_world()
            sim_schedule.strategy = &strategy_replay
            sim_schedule.script = script
            sim_schedule.nr_script = n
            sim_config.strict = strict
            sim_schedule.unused = 0
            sim_config.every_access = True
            distinct_use(NULL if distinct is None else distinct.counted)
            sim_config.recording = record
            trace_reset()
            with nogil:
                sim_explore(1, <u64>-1 >> 1, 0)
            return self.outcome()
        finally:
            sim_config.every_access = every
            memcpy(&sim_totals, &totals, sizeof(totals))    # it is none of the exploration's
            sim_run.execution = number
            sim_config.recording = 0
            sim_schedule.script = NULL
            sim_schedule.nr_script = 0
            libc_free(script)

    def events(self):
        """What was kept of the last replay, in order: step, task, kind, size, instruction, clock,
        object, what was there, pc, stack, held locks."""
        cdef sim_event *e
        kept = []
        for i in range(nr_events):
            e = &events[i]
            kept.append((
                e.step, e.task, e.kind, e.size, e.program_at, e.clock, e.object, e.before, e.pc, tuple([e.stack[k] for k in range(e.nr_stack)]),
                tuple([e.held[k] for k in range(e.nr_held)]),
            ))
        return kept

    def rewind(self, u32 event):
        """Put the arena back to what it was as this event of the last replay was kept: at a point
        before it was done. Goes backwards only, until the next replay; the contexts of the tasks
        stay as they are."""
        if not self.open or event >= nr_events:
            raise IndexError(f"there is no event {event}")
        undo_back_to(events[event].undo)

    def pending(self):
        """Of each actor: (state: 1 waiting, 2 finished, 3 killed; what it is about to do: kind,
        object; its clock)."""
        return [(sim_run.task[i].state, sim_run.task[i].next.kind, sim_run.task[i].next.offset,
                 sim_run.task[i].accesses)
                for i in range(self.nr)]

    def held(self):
        """Of each actor: (state, instruction, pc of its pending point, [(lock, pc)])."""
        return [
            (sim_run.task[i].state, sim_run.task[i].program_at, sim_run.task[i].next.pc,
             [(sim_run.task[i].held[k].offset, sim_run.task[i].held[k].pc)
              for k in range(sim_run.task[i].nr_held)])
            for i in range(self.nr)
        ]

    def known_races(self):
        """Races marked as known (data_race) that were seen: (reason, pc, other pc, times)."""
        return [(benigns[i].reason, benigns[i].pc, benigns[i].other_pc, benigns[i].seen)
                for i in range(nr_benign) if benigns[i].seen]

    def scratch(self):
        """The scratch words as the last execution left them."""
        cdef u32 i
        return [scratch_word(i)[0] for i in range(NR_SCRATCH)]

    @property
    def memory(self):
        """The arena as it is now, for who reads it: a view that close() makes useless."""
        return <u8[:self.size]><u8 *>self.base
