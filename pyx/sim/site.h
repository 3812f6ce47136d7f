/* Where an access was, and of what kind, in one word: three bits above the program counter. What
 * the race detector keeps of each access beside its epoch. */
#ifndef Z3F_SITE_H
#define Z3F_SITE_H

#include "sim.h"

#pragma GCC visibility push(hidden)

enum site {
    SITE_PLAIN,
    SITE_ATOMIC,
    SITE_POINT,                         /* atomic, and a schedule point whatever happens */
    SITE_HINT,                          /* the same, and races with nothing */
    SITE_BIRTH,
    SITE_DEATH,
    SITE_BITS = 29,
};

static inline u32 site_kind(u32 site) { return site >> SITE_BITS; }
static inline u64 site_pc(u32 site) { return site & ((1u << SITE_BITS) - 1); }

static inline bool site_is_atomic(u32 site)
{
    return site_kind(site) >= SITE_ATOMIC && site_kind(site) <= SITE_HINT;
}

static inline bool site_is_point(u32 site)
{
    return site_kind(site) == SITE_POINT || site_kind(site) == SITE_HINT;
}

/* With how much it races: an access of more strength may stand for one of less. */
static inline u32 strength(u32 site)
{
    return 0x220112u >> 4 * site_kind(site) & 3;
}

static inline u32 site_of(const struct access *a)
{
    u32 kind = a->kind == POINT_BIRTH ? SITE_BIRTH
        : a->kind == POINT_DEATH ? SITE_DEATH
        : access_is_hint(a) ? SITE_HINT
        : a->kind >= POINT_RMW ? SITE_POINT
        : a->atomic ? SITE_ATOMIC : SITE_PLAIN;

    return kind << SITE_BITS | (u32)site_pc((u32)a->pc);
}

#pragma GCC visibility pop

#endif
