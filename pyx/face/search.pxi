# What is asked of the simulator without a world: strategies, searches that are under way, counts of
# schedules and of coverage, whether a history is linearizable. And the functions of the simulator
# that its faces call.

cdef extern from "sim/sim.h":       # its structures and state: sim.pxi, which is generated
    cdef enum:
        SIM_TASKS
    u32 nr_promoted
    sim_totals_t sim_totals
    sim_event *events
    u32 nr_events
    benign_t *benigns
    u32 nr_benign
    const strategy_t strategy_replay
    const strategy_t *strategy_named(const char *name) noexcept nogil
    int sim_start(void *arena, u64 arena_size, u64 window) noexcept nogil
    void sim_stop() noexcept nogil
    int sim_enter() noexcept nogil
    void sim_leave() noexcept nogil
    void sim_run_alone(u32 task) noexcept nogil
    bint sim_can_go(const sim_task_t *t) noexcept nogil
    void sim_image(u32 context_bytes) noexcept nogil
    int sim_explore(u64 executions, u64 nanoseconds, u64 left) noexcept nogil
    bint sim_died(u32 task) noexcept nogil
    void sim_report(int kind, const char *where, u64 page, u64 handle, u64 lock,
                    const char *text) noexcept nogil
    void trace_reset() noexcept nogil
    void undo_back_to(u64 used) noexcept nogil
    void promote_reset() noexcept nogil
    void benign_reset() noexcept nogil
    void coverage_reset() noexcept nogil
    u32 coverage_count() noexcept nogil
    u32 sim_preemptions() noexcept nogil
    void linear_begin() noexcept nogil
    u64 linear_gave_up
    void linear_forget() noexcept nogil
    void linear_initial(u32 object, u64 value) noexcept nogil
    u32 linear_invoke(u32 task, u32 object, bint write, u64 value) noexcept nogil
    void linear_respond(u32 operation, u64 value) noexcept nogil
    int linear_check(char *text, u32 size) noexcept nogil

cdef extern from "sim/distinct.h":
    ctypedef struct distinct_t "struct distinct":
        pass
    distinct_t *distinct_new() noexcept nogil
    void distinct_free(distinct_t *d) noexcept nogil
    void distinct_use(distinct_t *d) noexcept nogil
    u64 distinct_count(const distinct_t *d) noexcept nogil
    bint distinct_is_exact(const distinct_t *d) noexcept nogil

cdef extern from "sim/lock_order.h":
    order_step *order_steps
    u32 nr_order_steps
    u32 order_cycles
    bint order_sure
    u64 order_given_up
    void lock_order_reset() noexcept nogil

cdef extern from "sim/races.h":
    void races_begin() noexcept nogil


cdef const strategy_t *known_strategy(str name) except NULL:
    cdef const strategy_t *strategy = strategy_named(name.encode())
    if strategy == NULL:
        raise ValueError(f"no strategy is named {name!r}")
    return strategy


def coverage_forget():
    """Nothing is covered: coverage is counted over all the simulators of this process."""
    coverage_reset()


def linearizable(list history, dict initial):
    """Whether a history fits an order of its operations: True, False, or None, not known. Moments
    are (operation, object, whether it writes, value) for a call, (operation, value) for a return;
    operations are numbered in the order of their calls."""
    cdef char[160] text
    cdef int answer
    linear_begin()
    for number, value in initial.items():
        linear_initial(number, value)
    for moment in history:
        if len(moment) == 2:
            linear_respond(moment[0], moment[1])
        else:
            linear_invoke(0, moment[1], moment[2], moment[3])
    answer = linear_check(text, sizeof(text))
    linear_begin()
    return (True, False, None)[answer]


def coverage_total():
    """Ordered pairs of conflicting lines that were seen."""
    return coverage_count()


cdef class Search:
    """An exhaustive search that is put aside and taken up again: it owns its tree. It is bound to the
    simulator, the strategy and the bounds that it began with."""

    cdef void *tree
    cdef const strategy_t *strategy
    cdef u64 world, execution
    cdef int depth, delay_bound

    cdef int take_up(self, const strategy_t *strategy, int depth, int delay_bound) except -1:
        if strategy.drop == NULL:
            raise ValueError("only an exhaustive strategy has a search to take up again")
        if self.strategy == NULL:
            self.strategy = strategy
            self.world = nr_worlds
            self.depth = depth
            self.delay_bound = delay_bound
        elif self.world != nr_worlds:
            raise ValueError("this search is of another simulator")
        elif (self.strategy != strategy or self.depth != depth
              or self.delay_bound != delay_bound):
            raise ValueError("this search began with another strategy or bound")
        return 0

    def __dealloc__(self):
        if self.tree != NULL:
            self.strategy.drop(self.tree)


cdef class Distinct:
    """Of the executions of an exploration, however many strategies take turns in it: how many have
    a schedule that none before had."""

    cdef distinct_t *counted

    def __cinit__(self):
        self.counted = distinct_new()
        if self.counted == NULL:
            raise MemoryError

    def __dealloc__(self):
        if self.counted != NULL:
            distinct_free(self.counted)

    @property
    def count(self):
        return distinct_count(self.counted)

    @property
    def exact(self):
        """Whether the count is none that is estimated."""
        return bool(distinct_is_exact(self.counted))
