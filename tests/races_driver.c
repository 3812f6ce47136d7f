/* The race detector by itself, without an engine: accesses are told, verdicts come back. For
 * tests/test_races.py, which compiles it together with the detector's sources. */
#include "../pyx/sim/clocks.c"
#include "../pyx/sim/shadow.c"
#include "../pyx/sim/history.c"
#include "../pyx/sim/races.c"
#include "../pyx/sim/promote.c"
#include "../pyx/sim/benign.c"

#include <setjmp.h>

#define EXPORTED __attribute__((visibility("default")))

struct sim_config config;
struct sim_memory memory;
struct sim_run run;
struct sim_schedule schedule;
struct sim_verdict verdict;
static jmp_buf left;

void sim_end(int ending)
{
    run.ending = (u8)ending;
    longjmp(left, 1);
}

void sim_fail(int kind, const char *where, u64 page, u64 handle, u64 lock, u64 pc, const char *text)
{
    (void)where, (void)page, (void)handle, (void)lock, (void)text;
    verdict.kind = (u32)kind;
    verdict.pc = pc;
    sim_end(END_VERDICT);
}

/* --- for Python --- */

struct told {
    u32 task, kind, order, reads, writes, atomic, size, pc;
    u64 offset;
};

struct answer { u32 verdict, pc, other_pc, again; };

EXPORTED void driver_start(u32 tasks, u64 arena_size, u32 release_sequence)
{
    run.nr_tasks = tasks;
    config.release_sequence = (u8)release_sequence;
    for (u32 i = 0; i < SIM_TASKS; i++)
        run.task[i].index = i;
    promote_reset();
    races_start(arena_size);
}

EXPORTED void driver_stop(void)
{
    races_stop();
    promote_reset();
}

/* One execution; where it has to be run again, again. */
EXPORTED struct answer driver_run(const struct told *told, u32 n, u32 races)
{
    struct answer answer = { 0 };
    volatile u32 again = 0;

    do {
        config.races = races;
        run.ending = END_NONE;
        verdict.kind = 0;
        races_begin();
        if (setjmp(left) == 0)
            for (u32 i = 0; i < n; i++) {
                struct access a = {
                    .kind = (u8)told[i].kind, .order = (u8)told[i].order, .reads = told[i].reads,
                    .writes = told[i].writes, .atomic = told[i].atomic, .size = told[i].size,
                    .offset = told[i].offset, .pc = told[i].pc,
                };

                races_announce(&a);
                races_observe(&run.task[told[i].task], &a);
            }
        again++;
    } while (run.ending == END_AGAIN);
    answer.again = again - 1;
    answer.verdict = verdict.kind;
    answer.pc = (u32)verdict.pc;
    answer.other_pc = (u32)verdict.other_pc;
    return answer;
}

EXPORTED u32 driver_promoted(u32 pc)
{
    return promoted(pc);
}

EXPORTED void driver_forget_promoted(void)
{
    promote_reset();
}

/* As after billions of executions. */
EXPORTED void driver_age(void)
{
    shadow_stamp = ~0ull << STAMP_SHIFT;
}
