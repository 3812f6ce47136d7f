/* What the subject calls, or a proxy in its process's place: the operations that order tasks, and
 * what no access shows. All on the running task's stack. */
#ifndef Z3F_GATE_H
#define Z3F_GATE_H

#include "access.h"

#pragma GCC visibility push(hidden)

/* locks.c */
void sim_gate_lock(u32 *word, int lock_class);
bool sim_gate_trylock(u32 *word, int lock_class);
bool sim_gate_trylock_bare(u32 *word, int lock_class);
void sim_gate_unlock(u32 *word);
void sim_read_lock(u32 *word, int lock_class, u64 pc);
void sim_read_unlock(u32 *word, u64 pc);
void sim_write_lock(u32 *word, int lock_class, u64 pc);
void sim_write_unlock(u32 *word, u64 pc);
void sim_gate_wait_free(u32 *lock);
void sim_gate_wait_change(u64 *word, u64 seen);
void sim_gate_wait_while(u64 *word, u64 value);
void sim_gate_wait_equal(u64 *word, u64 value);
bool sim_gate_wait_work(void *items);
void sim_gate_yield(void);
bool sim_gate_should_fail(int fault);

/* hooks.c, beside what the compiler calls */
void sim_poison(void *p, int byte, u64 size);
void sim_peek(const u64 *word, bool writes);
void sim_reads(const void *p, u64 size);
void sim_writes(const void *p, u64 size);
void sim_birth(u64 offset);
void sim_death(u64 offset);

/* gate.c */
void sim_remember(u64 *word);
void sim_might_sleep(const char *where, u32 preempt_count);
void sim_no_locks_in(u64 start, u64 size);
bool sim_holds(u32 *lock);
void sim_op_enter(void);
void sim_op_left(void);
void sim_turn(void);
void sim_turns(void);
void sim_payload_begin(u64 low, u64 high);
void sim_payload_end(void);
void sim_data_race(int reason);
u32 sim_history_invoke(u32 object, bool write, u64 value);
void sim_leave_operation(void);

/* What a proxy does for its process (remote.c): the access, and whether it succeeded. */
bool sim_memory_access(const struct access *a, const u64 *expected, int failure_order);
bool sim_lock_access(const struct access *a, int lock_class, bool may_fail);
bool sim_wait_access(const struct access *a);
void sim_might_sleep_at(const char *where, u32 preempt_count, u64 pc);
void sim_no_locks_in_at(u64 start, u64 size, u64 pc);
void sim_op_left_at(u64 pc);

#pragma GCC visibility pop

#endif
