/* What a process keeps to itself about the arena that it looks at (base/arena.pxi): its base
 * address, who it is in it, copies of the settings that hot paths test.
 *
 * None of it is memory of the arena, and it is read everywhere. The instrumented build would
 * call a hook at each read; it does not see through assembly. */
#ifndef Z3F_VIEW_H
#define Z3F_VIEW_H

#include <stdint.h>

#if defined(Z3F_SIM) && defined(__x86_64__)
#define Z3F_READ(value, variable) __asm__("mov %1, %0" : "=r"(value) : "m"(variable))
#define Z3F_WRITE(variable, value) __asm__("mov %1, %0" : "=m"(variable) : "r"(value))
#else
#define Z3F_READ(value, variable) value = variable
#define Z3F_WRITE(variable, value) variable = value
#endif

#define Z3F_VIEW(type, name)                                    \
    static type z3f_##name;                                     \
    static inline type z3f_get_##name(void)                     \
    {                                                           \
        type value;                                             \
        Z3F_READ(value, z3f_##name);                            \
        return value;                                           \
    }

Z3F_VIEW(char *, A)
Z3F_VIEW(struct z3f_arena *, H)
Z3F_VIEW(struct z3f_task *, current)
Z3F_VIEW(uint32_t, me)
Z3F_VIEW(uint64_t, D)
Z3F_VIEW(uint32_t, lock_kind)
Z3F_VIEW(int, gated)
Z3F_VIEW(int, plain)
Z3F_VIEW(uint32_t *, detour)
Z3F_VIEW(uint64_t, last_link)
Z3F_VIEW(int, recording)
Z3F_VIEW(struct z3f_event *, ring)
Z3F_VIEW(uint64_t, ring_mask)
Z3F_VIEW(struct z3f_page *, memmap)
Z3F_VIEW(uint64_t, frames_start)
Z3F_VIEW(uint64_t, frames_end)
Z3F_VIEW(uint64_t, slots_start)
Z3F_VIEW(uint64_t, slots_end)
Z3F_VIEW(uint32_t, nr_cpus)
Z3F_VIEW(int, ZHDR_CHUNKS)
Z3F_VIEW(int, NCHUNKS)

#endif
