/* How many executions of an exploration are distinct. */
#ifndef Z3F_DISTINCT_H
#define Z3F_DISTINCT_H

#include <stdbool.h>
#include <stdint.h>

struct distinct;                        /* the count; its owner frees it */

struct distinct *distinct_new(void);    /* null: no memory */
void distinct_free(struct distinct *d);
void distinct_use(struct distinct *d);  /* executions from now on count there; null: nowhere */
void distinct_add(void);                /* the execution that is over */
uint64_t distinct_count(const struct distinct *d);
bool distinct_is_exact(const struct distinct *d);

#endif
