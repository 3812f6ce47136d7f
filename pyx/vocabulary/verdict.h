/* The closed list of verdicts: all that the tool can say has gone wrong.
 *
 * The order is fixed: the numbers are stored in arenas and findings. The text is what people are
 * told. A new verdict is a line at the end. */
#ifndef Z3F_VOCABULARY_VERDICT_H
#define Z3F_VOCABULARY_VERDICT_H

enum verdict {
    V_NONE,
    V_DATA_RACE,
    /* "Two tasks touched the same bytes, at least one of them writing, and nothing ordered
       them." */
    V_CORRUPTION,
    /* "The contents of a live object are not what its owner wrote." */
    V_USE_AFTER_FREE,
    /* "A page, a slots object, a queue or a pool was touched after it had been freed." */
    V_DOUBLE_FREE,
    /* "A page, a slots object or an object was freed a second time." */
    V_REFCOUNT,
    /* "A reference count is not the number of references that can be found, or went below zero." */
    V_LIST_CORRUPTION,
    /* "A list does not hold together: a torn link, one link on two lists, or a foreign entry." */
    V_LOST_PAGE,
    /* "A live page that no one holds is missing from a list on which its state demands it." */
    V_STALE_HANDLE,
    /* "A handle was used that no longer names the object it was made for." */
    V_LEAK,
    /* "Memory is still allocated that no one can reach or will ever free." */
    V_DEADLOCK,
    /* "Tasks wait in a cycle, or for something that no task left can ever do." */
    V_LIVELOCK,
    /* "Tasks keep running and retrying, and none of them gets anywhere." */
    V_LOCK_MISUSE,
    /* "A lock was taken twice, released by a stranger, never released, or not held where
       needed." */
    V_LOCK_ORDER,
    /* "Tasks that can run at once take locks in orders that make a cycle: they can deadlock." */
    V_SLEEP_IN_ATOMIC,
    /* "Something that may sleep was called with a spinlock held or where sleeping is forbidden." */
    V_EAGAIN_CONTRACT,
    /* "Migration broke the rules of -EAGAIN: change nothing, be retried, succeed if
       undisturbed." */
    V_INVARIANT,
    /* "The audit, or an assertion of the subject, found a state that must not exist." */
    V_ORPHANED_LOCK,
    /* "A lock is held by a process that is dead." */
    V_STALL,
    /* "A process made no progress for the time allowed, and no cycle explains it." */
    V_CRASH,
    /* "A process died of a signal, or the subject followed a null or wild address." */
};

#endif
