# Programs: what an actor does, as data, and the one interpreter that runs it in both worlds.
#
# An instruction (vocabulary/code.h) is 32 bytes: a code, a register, flags, a pool, and three
# operands. The interpreter runs without the GIL and owns nothing but arena state, so a task may
# be left in the middle. It does itself what moves registers, and what is too short for a call;
# each other operation is a function of its own, found by its code in a table that is made from
# the list of codes (operations.pxi).
# Never decides what runs when: that is the gate's business.

cdef extern from *:
    """
    /* The operand itself, or the register that it numbers. No function: registers whose address is
       taken would be shown to the hooks. */
    #define z3f_operand(word, flags, r)                                                     \\
        ((flags) & FLAG_REG ? (r)[(word) & (NR_REGISTERS - 1)] : (int64_t)(word))
    """
    i64 operand "z3f_operand"(u64 word, u32 flags, const i64 *r) noexcept nogil

ctypedef void (*operation_t)(const instruction *i) noexcept nogil

cdef operation_t[NR_CODES] operations


cdef void run_inlined(const instruction *i) noexcept nogil:
    """Not reached: the interpreter has a branch for each of these."""
    bug(V_INVARIANT, "run_program", 0, 0, 0, "code %llu is nowhere done", i.code)


include "operations.pxi"

fill_operations()


def check_program(const u8[::1] program):
    """Raise ValueError unless these are instructions, the last of them the end."""
    cdef const instruction *code
    cdef Py_ssize_t n = program.shape[0] // <Py_ssize_t>sizeof(instruction)
    cdef Py_ssize_t k
    if n == 0 or program.shape[0] % <Py_ssize_t>sizeof(instruction):
        raise ValueError(f"not a compiled program: {program.shape[0]} bytes are no multiple of "
                         f"{sizeof(instruction)}")
    code = <const instruction *>&program[0]
    for k in range(n):
        if code[k].code >= NR_CODES:
            raise ValueError(f"not a compiled program: instruction {k} has code {code[k].code}, "
                             f"and there are {<int>NR_CODES}")
    if code[n - 1].code not in (CODE_END, CODE_JUMP):
        raise ValueError("not a compiled program: it does not end")


cdef inline bint compare_values(int how, i64 x, i64 y) noexcept nogil:
    if how == COMPARE_EQ:
        return x == y
    if how == COMPARE_NE:
        return x != y
    if how == COMPARE_LT:
        return x < y
    if how == COMPARE_LE:
        return x <= y
    if how == COMPARE_GT:
        return x > y
    return x >= y


cdef void expectation_failed(const instruction *i, i64 value, i64 wanted) noexcept nogil:
    verdict(V_INVARIANT, "expect", 0, 0, 0,
            "expectation %llu does not hold: the value is %lld, compared with %lld",
            <u64>i.c, <u64>value, <u64>wanted)


cdef inline u32 jump_to(const instruction *i, u32 at_) noexcept nogil:
    """Where a jump goes. A loop of registers alone makes no access by which it could be ended: the
    gate may, and counts its turns. (Here they would be a part of the state, and none came again.)"""
    cdef u32 to = <u32>own_word(&i.a)
    if to < at_:
        gate_turn()
    return to


cdef void run_program(const instruction *code) noexcept nogil:
    """From the first instruction to CODE_END."""
    cdef i64[NR_REGISTERS] r
    cdef const instruction *i
    cdef u32 at_ = 0
    cdef u32 code_, flags, k
    cdef u64 head
    for k in range(NR_REGISTERS):
        r[k] = 0
    while True:
        i = code + at_
        gate_progress(at_)
        at_ += 1
        head = own_word(i)              # code, flags, register, compare, pool
        code_ = <u16>head
        flags = <u16>(head >> 16)
        k = (head >> 32) & (NR_REGISTERS - 1)
        # A branch for each that vocabulary/code.h marks (inline). The hottest come first, kept apart
        # by barriers: the rest is one switch, whose jump is foreseen badly between tasks.
        if code_ == CODE_LOCK:
            spin_lock(lock_of(i), LC_RAW)
            continue
        barrier()
        if code_ == CODE_UNLOCK:
            spin_unlock(lock_of(i))
            continue
        barrier()
        if code_ == CODE_FETCH_ADD:
            r[k] = fetch_add_i64(<i64 *>word_of(i), operand(own_word(&i.b), flags, r))
            continue
        barrier()
        if code_ == CODE_LOAD:
            r[k] = load_word(word_of(i), flags)
            continue
        barrier()
        if code_ == CODE_STORE:
            store_word(word_of(i), <u64>operand(own_word(&i.b), flags, r), flags)
            continue
        barrier()
        if code_ == CODE_ADD:
            r[k] += operand(own_word(&i.a), flags, r)
            continue
        barrier()
        if code_ == CODE_END:
            return
        elif code_ == CODE_JUMP:
            at_ = jump_to(i, at_)
        elif code_ == CODE_JUMP_UNLESS:
            if not compare_values(<u8>(head >> 40), r[k], operand(own_word(&i.b), flags, r)):
                at_ = jump_to(i, at_)
        elif code_ == CODE_SET:
            r[k] = <i64>own_word(&i.a)
        elif code_ == CODE_MOVE:
            r[k] = r[own_word(&i.a) & (NR_REGISTERS - 1)]
        elif code_ == CODE_MULTIPLY:
            r[k] *= operand(own_word(&i.a), flags, r)
        elif code_ == CODE_EXPECT:
            if not compare_values(<u8>(head >> 40), r[k], operand(own_word(&i.a), flags, r)):
                expectation_failed(i, r[k], operand(own_word(&i.a), flags, r))
        elif code_ == CODE_EXCHANGE:
            r[k] = <i64>exchange64(word_of(i), <u64>operand(own_word(&i.b), flags, r))
        elif code_ == CODE_CAS:
            r[k] = cas64(word_of(i), <u64>operand(own_word(&i.b), flags, r), own_word(&i.c))
        elif code_ == CODE_TRYLOCK:
            r[k] = spin_trylock(lock_of(i), LC_RAW)
        elif code_ == CODE_TRYLOCK_PAGE:
            r[k] = trylock_page_named(i)
        elif code_ == CODE_DIED:
            r[k] = gate_died(<u32>own_word(&i.a))
        else:
            (<operation_t>own_word(&operations[code_]))(i)


cdef void perform_program(void *argument) noexcept nogil:
    run_program(<const instruction *>argument)
