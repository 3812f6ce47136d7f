/* Coverage of interleavings: which ordered pairs of conflicting lines two tasks have run one
 * after the other on the same memory (KRACE's alias coverage, S&P 2020), in a bitmap. */
#include "sim.h"

#include <string.h>

enum { BITS = 1 << 16 };

static u64 seen[BITS / 64];
static u32 total;

void coverage_pair(u64 pc_before, u64 pc_after)
{
    u32 bit = (u32)(sim_mix(pc_before << 32 ^ pc_after) & (BITS - 1));

    if (seen[bit >> 6] >> (bit & 63) & 1)
        return;
    seen[bit >> 6] |= 1ull << (bit & 63);
    total++;
}

void coverage_reset(void)
{
    memset(seen, 0, sizeof(seen));
    total = 0;
}

u32 coverage_count(void)
{
    return total;
}
