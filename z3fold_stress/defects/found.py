"""Defects found by reading the code as posted; most were never reported, as far as we know.

The first two are from comparing versions and from a report; the others from reading alone, until a
scenario shows them.
"""

from __future__ import annotations

from z3fold_stress.defects.defect import Defect
from z3fold_stress.verdicts import Verdict

FOUND: tuple[Defect, ...] = (
    Defect(
        name="first-fit-ignores-header-chunks",
        summary="the room before a middle object is overrated by the header's chunks",
        story="""
            With a middle object present, alloc decides whether the new one fits before it by
            comparing its chunks with start_middle. But start_middle counts from the page's start,
            and the header's chunks come first. With a header of one chunk no layout goes wrong,
            with two (any 4096-byte page) 961 do, with the corrected comparison none.

            One task, no race; let a be at least one chunk.

            1. Allocate an object of a chunks, which becomes first.
            2. Allocate another, which becomes last.
            3. Allocate a third, which becomes middle, at chunk a + 2.
            4. Map the third, so that compaction leaves it where it is.
            5. Free the first and the last: the page is listed by the room behind the middle.
            6. Allocate a + 1 chunks. That is less than a + 2, so it is placed first, in a room of
               a; its last chunk is the middle's first.""",
        fix="""
            None announced; by comparison of versions the corrected test is in v5.14""",
        symptom="Silent corruption of swapped pages.",
        verdicts=(Verdict.CORRUPTION, Verdict.INVARIANT),
        as_posted=True,
    ),
    Defect(
        name="offline-endless-loop",
        summary="offlining retries for ever a page that isolation will never give",
        story="""
            Offlining isolates and migrates until nothing movable is left in its range, and does not
            count its tries. A page whose isolate callback always refuses (mapped for good, a
            mapped_count that never was right, work that never runs) keeps it busy until a signal
            comes. A driver needs a budget, and must say why isolation refused: which flag, which
            count, whose.""",
        fix="""
            none known; reported by Qian Cai, "zswap z3fold + memory offline = infinite loop", May
            2020""",
        symptom="Taking memory offline never ends.",
        verdicts=(Verdict.LIVELOCK,),
        as_posted=True,
    ),
    Defect(
        name="isolate-unlinks-outside-pool-lock",
        summary="isolate and putback unlink from an unbuddied list without the pool lock",
        story="""
            The unbuddied lists belong to the pool lock. The isolate callback unlinks its page
            holding only that page's lock, and takes the pool lock just for the LRU; putback does
            the same. The page lock does not keep others from changing the page's neighbours.

            1. The engine, isolating a page, is in the middle of unlinking it.
            2. An allocating task, under the pool lock, links or unlinks a neighbour on the list.
            3. Both write the same two links; one of the writes is lost, and the list is torn.""",
        fix="none known",
        symptom="List corruption when alloc or free meets compaction; very rare.",
        verdicts=(
            Verdict.DATA_RACE,
            Verdict.LIST_CORRUPTION,
            Verdict.LOST_PAGE,
            Verdict.LOCK_MISUSE,
        ),
        as_posted=True,
    ),
    Defect(
        name="mapped-count-wraps",
        summary="the fourth map at once wraps the two-bit mapped_count to zero",
        story="""
            A page has three objects, and two bits look like enough. But an object can be mapped
            more than once: by reclaim's write-back while its owner reads it, or by two readers.

            1. Three mappers map the three objects.
            2. Reclaim's callback maps one of them again: the count is zero.
            3. The engine finds the page unmapped, isolates and migrates it, and frees the old one.
            4. Four users go on reading and writing the old page.""",
        fix="none known",
        symptom="Lost writes and reads of freed memory, with a full page under heavy use.",
        verdicts=(Verdict.CORRUPTION, Verdict.USE_AFTER_FREE, Verdict.INVARIANT),
        as_posted=True,
    ),
    Defect(
        name="middle-mapped-one-bit",
        summary="the first unmap of a middle object clears the mark for all who have it mapped",
        story="""
            In-page compaction must not move a middle object that is mapped. What tells it so is one
            bit, for any number of maps.

            1. The owner and reclaim's write-back both map a middle object.
            2. One of them unmaps: the bit is clear.
            3. A neighbour is freed; the compaction worker moves the middle object.
            4. The other one goes on reading where the object was.""",
        fix="none known",
        symptom="Wrong data written back to swap.",
        verdicts=(Verdict.CORRUPTION, Verdict.DATA_RACE, Verdict.INVARIANT),
        as_posted=True,
    ),
    Defect(
        name="stale-reuse-stays-movable",
        summary="alloc reuses a stale page that is still marked movable, and bares it half-built",
        story="""
            It is the release worker that takes the movable mark off a page. A page that alloc takes
            from the stale list never comes there: it keeps the mark, and loses its stale flag
            before its header is set up. Nothing is left to turn the scanner away.

            1. The allocating task takes a stale page and clears its flags.
            2. The scanner sees a movable page and isolates it: it locks and unlinks by the old
               header.
            3. The allocating task writes the new header over a page that is in others' hands.

            If the new page is headless it keeps a mark that it must not have, and is later freed
            with it: freeing a headless page does not look for one.""",
        fix="""
            none known for the race itself; "mm/z3fold: remove buggy use of stale list for
            allocation", df6f0f1d0cf0, Miaohe Lin, v5.19-rc1, removes the reuse altogether""",
        symptom="An assertion that the page is already movable; crashes in compaction.",
        verdicts=(
            Verdict.INVARIANT,
            Verdict.LIST_CORRUPTION,
            Verdict.USE_AFTER_FREE,
            Verdict.DATA_RACE,
            Verdict.LOCK_MISUSE,
            Verdict.REFCOUNT,
        ),
        as_posted=True,
    ),
    Defect(
        name="headless-free-forgotten",
        summary="a headless page freed during its eviction stays for ever when the eviction fails",
        story="""
            A free that meets a claimed headless page leaves it to reclaim and returns. Reclaim
            frees it only if the eviction succeeds, and has no way to learn of the free.

            1. Reclaim claims a headless page and calls the eviction callback.
            2. The owner frees the page; free sees the claim and returns.
            3. The callback fails; reclaim puts the page back on the LRU. Nobody owns it.""",
        fix="none known",
        symptom="Pages of incompressible data leak, one at a time, when write-back fails.",
        verdicts=(Verdict.LEAK,),
        as_posted=True,
    ),
    Defect(
        name="headless-evict-frees-for-owner",
        summary="reclaim frees a headless page whose owner is just about to free it",
        story="""
            The eviction callback answers 0 when it no longer finds its object in the table: it is
            gone, nothing to do. Reclaim reads 0 as "freed" and frees the headless page.

            1. The owner removes its object from the table; it has not called free yet.
            2. Reclaim claims the page; the callback does not find the object, and answers 0.
            3. Reclaim frees the page.
            4. The owner calls free, which looks for the claim on a page that is no longer its own.
               If the page was recycled, a stranger's page is freed.""",
        fix="none known",
        symptom="Bad page state, or another user's page freed, under memory pressure.",
        verdicts=(
            Verdict.DOUBLE_FREE,
            Verdict.USE_AFTER_FREE,
            Verdict.STALE_HANDLE,
            Verdict.REFCOUNT,
            Verdict.DATA_RACE,
        ),
        as_posted=True,
    ),
    Defect(
        name="compact-ignores-claim",
        summary="the compaction worker lists a page that reclaim has claimed",
        story="""
            Reclaim takes its page off all lists and drops the locks for the callbacks. A compaction
            that was queued before looks for the isolated mark and for staleness, but not for the
            claim: it lists the page as having room.

            1. A free queues the compaction of a page.
            2. Reclaim claims the page, unlinks it from the unbuddied list and the LRU, unlocks.
            3. The worker compacts the page and lists it.
            4. An allocation finds it, puts an object into it, and links it on the LRU.
            5. The eviction of one object fails; reclaim links the page on the LRU once more.""",
        fix="part of 'z3fold: fix retry mechanism in page reclaim', Sept 2019, v5.4-rc1 (inferred)",
        symptom="A torn LRU, after an eviction failed on a page that was being compacted.",
        verdicts=(Verdict.LIST_CORRUPTION, Verdict.INVARIANT),
        as_posted=True,
    ),
)
