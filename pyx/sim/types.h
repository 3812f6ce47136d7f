/* What all of the simulator is written with: short names of integers, hints to the compiler. */
#ifndef Z3F_TYPES_H
#define Z3F_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "assert.h"

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define ALWAYS_INLINE static inline __attribute__((always_inline))

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#endif
