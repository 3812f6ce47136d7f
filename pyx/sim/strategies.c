/* The strategies by their names. */
#include "sim.h"

#include <string.h>

static const struct strategy *const strategies[] = {
#define STRATEGY(name) &strategy_##name,
#include "../vocabulary/strategies.h"
#undef STRATEGY
};

const struct strategy *strategy_named(const char *name)
{
    for (size_t i = 0; i < sizeof(strategies) / sizeof(strategies[0]); i++)
        if (strcmp(strategies[i]->name, name) == 0)
            return strategies[i];
    return NULL;
}
