/* The module's own variables, by its program headers: see outside.h. */
#include "outside.h"
#include "sim.h"

#ifdef Z3F_ASSERT

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>

extern const char __ehdr_start __attribute__((visibility("hidden")));

static bool in_variables(const volatile char *p)
{
    const Elf64_Ehdr *file = (const Elf64_Ehdr *)&__ehdr_start;
    const Elf64_Phdr *part = (const Elf64_Phdr *)(&__ehdr_start + file->e_phoff);

    for (u32 i = 0; i < file->e_phnum; i++)
        if (part[i].p_type == PT_LOAD && part[i].p_flags & PF_W
                && p >= &__ehdr_start + part[i].p_vaddr
                && p < &__ehdr_start + part[i].p_vaddr + part[i].p_memsz)
            return true;
    return false;
}

void outside_check(const volatile void *p, uint64_t pc)
{
    if (!sim_in_fiber() || !in_variables(p))
        return;
    fprintf(stderr, "z3fold-stress: a task writes to a variable of the module (0x%llx), at 0x%llx: "
                    "the next execution would find it\n",
            (unsigned long long)((const volatile char *)p - &__ehdr_start),
            (unsigned long long)pc);
    abort();
}

#endif
