"""Defects older than the patch set: lessons of 2017 and 2018, bits of the corrected protocol."""

from __future__ import annotations

from z3fold_stress.defects.defect import Defect
from z3fold_stress.verdicts import Verdict

OLDER: tuple[Defect, ...] = (
    Defect(
        name="compact-vs-free-no-ref",
        summary="queued compaction holds no reference to its page",
        story="""
            The page can be released, and freed, while its work item waits.

            1. The compaction worker has taken up a page and waits for the page lock.
            2. The freeing task frees the last object: release drops the lock and puts the page on
               the stale list.
            3. The release worker frees the page.
            4. The compaction worker locks a freed page.

            A release worker that waits for the page's running work, as in the patch set, does not
            get to step 3; then the compaction worker finds a stale page whose flag release has
            cleared, and warns. Either way the flag stands for a reference that is not there.""",
        fix="""
            "mm/z3fold.c: use kref to prevent page free/compact race", 5d03a6613957, v4.15 (the id
            is from later Fixes tags, the title from memory)""",
        symptom="Crashes in the compaction worker.",
        verdicts=(
            Verdict.REFCOUNT,
            Verdict.INVARIANT,
            Verdict.USE_AFTER_FREE,
            Verdict.LIST_CORRUPTION,
        ),
        as_posted=False,
    ),
    Defect(
        name="reclaim-readds-released-page",
        summary="reclaim drops its reference before taking the lock that guards its way back",
        story="""
            Having evicted what it could, reclaim drops its reference. If it was not the last, it
            puts the page back on the LRU; between the two, another task's may be the last.

            1. Reclaim drops its reference: one object is left.
            2. The freeing task frees that object: the page is released.
            3. Reclaim adds the released page to the LRU.""",
        fix="""
            "z3fold: fix potential race in z3fold_reclaim_page", Vitaly Wool, 13 September 2017
            (commit id unconfirmed)""",
        symptom="Freed pages on the LRU; crashes in the next reclaim.",
        verdicts=(
            Verdict.LIST_CORRUPTION,
            Verdict.USE_AFTER_FREE,
            Verdict.INVARIANT,
            Verdict.REFCOUNT,
            Verdict.DATA_RACE,
        ),
        as_posted=False,
    ),
    Defect(
        name="stale-flag-on-wrong-page",
        summary="a released page keeps its needs-compacting flag until it is used again",
        story="""
            The original cleared the flag of a reused stale page by a page pointer that it had not
            assigned yet: some other page lost its flag. Here, the bit is cleared at reuse instead
            of at release.

            Where the queued work owns a reference, no page is released with the flag set; so this
            bites only together with compact-vs-free-no-ref. Then a worker that comes late finds the
            flag set on a stale page, takes the page for its own, and unlinks it: from the stale
            list, without that list's lock. No one will free it now.""",
        fix="""
            "z3fold: fix stale list handling", Vitaly Wool, 14 September 2017 (commit id
            unconfirmed)""",
        symptom="Pages that are never compacted, and dead ones that are.",
        verdicts=(
            Verdict.INVARIANT,
            Verdict.REFCOUNT,
            Verdict.DATA_RACE,
            Verdict.LIST_CORRUPTION,
            Verdict.LEAK,
            Verdict.USE_AFTER_FREE,
        ),
        as_posted=False,
        needs=("compact-vs-free-no-ref",),
    ),
    Defect(
        name="stale-alloc-without-cancel",
        summary="alloc reuses a stale page without cancelling its compaction work",
        story="""
            A page from the stale list may still have work queued or running. Alloc must cancel it
            and wait, which may sleep; an atomic allocation cannot, and took the page all the same.

            1. The compaction worker holds a work item of a page that was released meanwhile.
            2. The allocating task takes the page from the stale list and sets up a new header.
            3. The worker runs on it as it changes under its hands.

            Where the queued work owns a reference, no page with work is stale; so this bites only
            together with compact-vs-free-no-ref.""",
        fix="""
            "z3fold: limit use of stale list for allocation", Vitaly Wool, February 2018, v4.17""",
        symptom="Crashes in the compaction worker.",
        verdicts=(
            Verdict.USE_AFTER_FREE,
            Verdict.DATA_RACE,
            Verdict.LIST_CORRUPTION,
            Verdict.REFCOUNT,
            Verdict.INVARIANT,
        ),
        as_posted=False,
        needs=("compact-vs-free-no-ref",),
    ),
    Defect(
        name="reclaim-free-lost-length",
        summary="a last object's start is computed from a length that a free may have cleared",
        story="""
            A last object ends at the page's end, and is found by its length. If the length is read
            from the header, a free takes it away from those who still hold the handle.

            1. Reclaim writes the handle of a last object and unlocks the page.
            2. The owner frees the object: its size in the header is zero.
            3. The callback maps the handle: the object starts at the end of the page, and reads go
               into the next one.

            The cure keeps the length in the slot's word. The same commit brought the claim bit
            against the double free of headless pages.""",
        fix="""
            "z3fold: fix possible reclaim races", ca0246bb97c2, Vitaly Wool and Jongseok Kim,
            November 2018, v4.20""",
        symptom="""
            Crashes and wrong data on write-back; z3fold on 4.19-rc could be crashed at will
            (raspberrypi/linux issue 2649; that this is the cause is not certain).""",
        verdicts=(Verdict.CORRUPTION, Verdict.USE_AFTER_FREE, Verdict.STALE_HANDLE),
        as_posted=False,
    ),
    Defect(
        name="create-error-leak",
        summary="a pool creation that fails half-way leaves behind what it had allocated",
        story="""
            Creating a pool takes several steps, each of which can fail, and must undo those before
            it. Fail each one in turn to see it.""",
        fix="""
            "z3fold: fix memory leak", Xidong Wang, 2018, v4.17 (details from memory)""",
        symptom="Memory lost at each failed creation.",
        verdicts=(Verdict.LEAK,),
        as_posted=False,
    ),
    Defect(
        name="unbuddied-wrong-free-count",
        summary="a page is listed by a wrong number of free chunks",
        story="""
            The index of the unbuddied list promises room, and alloc believes it. If the page is
            listed under a wrong number, alloc finds no buddy free, logs, and searches again, for
            ever if it finds the same page; or it puts an object where there is no room for it.

            This is our mutation after the reports of 2017; what caused those was not traced.""",
        fix="none known",
        symptom="""
            Logs flooded with "No free chunks in unbuddied" on 4.13 (systemd-swap issue 44).""",
        verdicts=(Verdict.INVARIANT, Verdict.CORRUPTION, Verdict.LIVELOCK, Verdict.STALE_HANDLE),
        as_posted=False,
    ),
)
