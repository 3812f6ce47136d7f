/* Races that are known and harmless: each a range of program counters, the lines of a peek that
 * is checked again under the lock. They are counted, never silent. */
#include "sim.h"

enum { MAX_BENIGN = 256 };

struct benign benigns[MAX_BENIGN];
u32 nr_benign;

int benign_add(u64 low, u64 high, u32 reason)
{
    if (nr_benign == MAX_BENIGN)
        return -1;
    benigns[nr_benign++] = (struct benign){ .low = low, .high = high, .reason = reason };
    return 0;
}

void benign_reset(void)
{
    nr_benign = 0;
}

bool benign(u64 pc_a, u64 pc_b)
{
    for (u32 i = 0; i < nr_benign; i++) {
        struct benign *b = &benigns[i];

        if ((pc_a >= b->low && pc_a < b->high) || (pc_b >= b->low && pc_b < b->high)) {
            b->seen++;
            b->other_pc = pc_a >= b->low && pc_a < b->high ? pc_b : pc_a;
            return true;
        }
    }
    return false;
}
