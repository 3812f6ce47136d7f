"""Defects that came after the patch set, most with a fix for another one.

They are bits of the corrected protocol here.  ``headless-claim-not-cleared`` is the exception: it
is in the set as posted, and stands here as a one-line neighbour of the others.
"""

from __future__ import annotations

from z3fold_stress.defects.defect import Defect
from z3fold_stress.verdicts import Verdict

LATER: tuple[Defect, ...] = (
    Defect(
        name="destroy-wait-inverted",
        summary="destroy waits until pages are isolated, not until none is",
        story="""
            The cure of destroy-vs-migrate-queue made destroy wait for isolated pages, with the
            condition the wrong way round. (The reports say that destroy hangs; that this is why is
            read from the diffs.)

            1. The destroyer finds nothing isolated, and goes to sleep.
            2. Isolation refuses from now on, because the pool is being destroyed: nobody will ever
               wake it.

            With a page isolated it does not wait, and the engine is left with a page of a dead
            pool. By inference the same patch also loses a page: isolation has unlinked it from both
            lists when it comes to refuse.""",
        fix="""
            Born with d776aaa9895e (v5.3-rc, 5.2 stable), removed by its revert 6e73fd25e2c7,
            Vitaly Wool, September 2019, v5.4-rc1; reported by Agustín Dall'Alba""",
        symptom="Changing or switching off zswap's pool hangs for ever.",
        verdicts=(Verdict.DEADLOCK, Verdict.USE_AFTER_FREE, Verdict.LOST_PAGE, Verdict.LEAK),
        as_posted=False,
    ),
    Defect(
        name="headless-claim-not-cleared",
        summary="after a failed eviction a headless page goes back to the LRU still claimed",
        story="""
            For a page with a header, reclaim clears the claim after the callback; for a headless
            one it does not.

            1. Reclaim claims a headless page; the eviction fails; the page is back on the LRU.
            2. Its owner frees it. Free sees the claim and leaves the page to reclaim, which will
               skip it for ever.""",
        fix="""
            "z3fold: fix retry mechanism in page reclaim", Vitaly Wool, posted 8 September 2019,
            v5.4-rc1 and stable 5.2, 5.3""",
        symptom="Pages of incompressible data leak when write-back fails.",
        verdicts=(Verdict.INVARIANT, Verdict.LEAK),
        as_posted=True,
    ),
    Defect(
        name="free-holds-claim-over-compaction",
        summary="free compacts the page while its own claim still tells compaction to keep off",
        story="""
            To shut out reclaim, free came to claim the page at its beginning. On the path that
            compacts at once (the page's CPU is unset or offline) it gave the claim back only after
            the compaction, which leaves a claimed page alone: the page is not listed again. (The
            order is in the merged code; the effect is inferred.)

            One task is enough: a free in a page whose ``cpu`` is -1.""",
        fix="""
            Born with "mm/z3fold.c: claim page in the beginning of free", 5b6807de1144, Vitaly Wool,
            October 2019; in the 5.5 to 5.10 code the claim is cleared first""",
        symptom="Room in pages that alloc never finds again.",
        verdicts=(Verdict.LOST_PAGE,),
        as_posted=False,
    ),
    Defect(
        name="stack-slots-misaligned",
        summary="reclaim's own slots object is not aligned as the way from handle to slots needs",
        story="""
            The cure of reclaim-handles-in-shared-slots put a slots object on the stack. The object
            is found from a handle by rounding the handle's address down to 64 bytes, and a stack
            variable need not start there; it had no pool pointer either. A free of such a handle,
            from the eviction callback, computes a wrong base, and may hand the slab an address that
            it never gave out, while the page's real slots are not freed. (The missing alignment is
            in the patch; what follows from it is inferred.)

            Later code went back to the page's slots, and later still to an aligned stack object
            that is marked as not to be freed.""",
        fix="Gone in the 5.5 to 5.10 code; no commit of its own is known. Only 5.4 has it",
        symptom="Slab corruption, or leaked slots, under memory pressure.",
        verdicts=(
            Verdict.INVARIANT,
            Verdict.DOUBLE_FREE,
            Verdict.CORRUPTION,
            Verdict.STALE_HANDLE,
            Verdict.LEAK,
        ),
        as_posted=False,
    ),
    Defect(
        name="headless-claim-dropped",
        summary="reclaim takes a headless page without claiming it, and free frees it too",
        story="""
            The claim moved behind the page lock, which headless pages do not have; so they were
            taken with no claim at all.

            1. Reclaim takes a headless page.
            2. A free, the owner's or (as we read it) the eviction callback's own, claims the page
               and frees it.
            3. The callback reports success; reclaim frees the page again.""",
        fix="""
            "z3fold: prevent reclaim/free race for headless pages", 6d679578fe9c, Thomas Hebb, March
            2021, v5.12-rc and stable; born with dcf5aedb24f8 (v5.11)""",
        symptom="BUG on a page count of zero in the shrink worker.",
        verdicts=(Verdict.DOUBLE_FREE, Verdict.USE_AFTER_FREE, Verdict.LIST_CORRUPTION),
        as_posted=False,
        masks=("headless-claim-not-cleared", "headless-free-forgotten"),
    ),
    Defect(
        name="reclaim-ref-before-page-lock",
        summary="reclaim takes its reference before the page lock, and may drop it as the last",
        story="""
            Reclaim refers to the page first, then tries its lock, and drops the reference when the
            lock is busy: under the pool lock.

            1. The freeing task holds the page lock, with the page's only reference.
            2. Reclaim, under the pool lock, makes it two.
            3. The freeing task drops its reference, which is not the last, and goes on.
            4. Reclaim's try-lock fails. It drops the last reference: release finds the page still
               listed, then takes the pool lock, which its own task holds.""",
        fix="""
            "mm/z3fold: fix z3fold_reclaim_page races with z3fold_free", 04094226d6ce, Miaohe Lin,
            v5.19-rc1; born with dcf5aedb24f8 (v5.11)""",
        symptom="A warning about a listed page, then a CPU spinning on the pool lock.",
        verdicts=(
            Verdict.DEADLOCK,
            Verdict.INVARIANT,
            Verdict.LOCK_MISUSE,
            Verdict.LOCK_ORDER,
            Verdict.REFCOUNT,
            Verdict.LIST_CORRUPTION,
        ),
        as_posted=False,
    ),
    Defect(
        name="release-unlocked-variant-on-locked-page",
        summary="a locked page is released by the variant that does not drop the page lock",
        story="""
            Release comes in two forms, for a page that is locked and for one that is not. With the
            wrong one the dead page keeps its lock. Upstream calls that harmless, and it is, as long
            as no one else looks at the lock before the page is set up anew.""",
        fix="""
            "mm/z3fold: use release_z3fold_page_locked() to release locked z3fold page",
            28473d91ff7f, Miaohe Lin, v5.14-rc1""",
        symptom="None; a lock checker sees a held lock being freed.",
        verdicts=(Verdict.LOCK_MISUSE, Verdict.DEADLOCK),
        as_posted=False,
    ),
    Defect(
        name="alloc-null-slots",
        summary="the result of a slots allocation is used without a look at it",
        story="""
            In later designs a page may live without slots and be given new ones when it is used
            again. That allocation can fail, and its result went unchecked. One task and one
            injected failure show it.""",
        fix="""
            "mm/z3fold: fix possible null pointer dereferencing", 7c61c35bbd6a, Miaohe Lin,
            v5.19-rc1; born with fc5488651c7d""",
        symptom="A null pointer dereference when memory is short.",
        verdicts=(Verdict.CRASH, Verdict.CORRUPTION, Verdict.INVARIANT),
        as_posted=False,
    ),
    Defect(
        name="sleep-under-page-lock",
        summary="slots are allocated in a sleeping mode with the page lock held",
        story="""
            The same new slots were allocated in the caller's mode, after the search had returned
            with the page's spinlock held. If memory is short, the task sleeps with it.""",
        fix="""
            "mm/z3fold: fix sheduling while atomic", 4c6bdb36408f, Miaohe Lin, v5.19-rc1; born with
            fc5488651c7d""",
        symptom='"scheduling while atomic".',
        verdicts=(Verdict.SLEEP_IN_ATOMIC,),
        as_posted=False,
    ),
)
