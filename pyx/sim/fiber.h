/* Stacks for tasks, and the switch from one to another: see fiber.c. */
#ifndef Z3F_FIBER_H
#define Z3F_FIBER_H

#include "types.h"

#pragma GCC visibility push(hidden)

int fiber_stacks(u32 n);
void *fiber_new(u32 index, void (*entry)(void));
#if defined(__x86_64__)
/* Saves first: the two may be one. Inlined, and left by a jump: a call without its return would have
 * the processor foresee a wrong address for each return that follows. Needs -mno-red-zone. */
static inline __attribute__((always_inline)) void fiber_switch(void **save, void *const *to)
{
    __asm__ volatile(
        "leaq 1f(%%rip), %%rax\n\t"
        "pushq %%rax\n\t"
        "pushq %%rbp\n\t"
        "movq %%rsp, (%0)\n\t"
        "movq (%1), %%rsp\n\t"
        "popq %%rbp\n\t"
        "popq %%rcx\n\t"
        "jmp *%%rcx\n"
        "1:"
        : "+D"(save), "+S"(to)
        :
        : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
          "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
          "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "memory", "cc");
}
#else
void fiber_switch(void **save, void *const *to);
#endif
bool fiber_on_guard(const void *address);
const char *fiber_top(u32 index);

#pragma GCC visibility pop

#endif
