"""Defects of the patch set as posted (v2, April 2019) that were fixed later.

``movable-trylock-inverted`` stands here too: a wrong first cure of its neighbour, never merged.
"""

from __future__ import annotations

from z3fold_stress.defects.defect import Defect
from z3fold_stress.verdicts import Verdict

POSTED: tuple[Defect, ...] = (
    Defect(
        name="migrate-double-page-lock",
        summary="the migrate callback try-locks the page lock that its caller already holds",
        story="""
            The core calls the migrate callback with the locks of both page descriptors held. The
            callback try-locks the old one again, fails because of its own caller, and answers
            -EAGAIN. A blocking lock would have hung at once; the try-lock made it look like bad
            luck. No migration ever succeeded, and nothing said so.

            1. The migration engine isolates a page.
            2. The core locks the page descriptor and calls the callback.
            3. The callback's try-lock fails; -EAGAIN.
            4. Ten passes of this, then the caller puts the page back.

            Whatever goes wrong after the first line of a migration stays hidden behind this one,
            so set the defects that it masks without it.""",
        fix="""
            "mm/z3fold.c: remove z3fold_migration trylock", be03074c9af2, Henry Burns, July 2019,
            v5.3-rc1""",
        symptom="Migration never succeeds; compaction and offlining work in vain.",
        verdicts=(Verdict.EAGAIN_CONTRACT, Verdict.LOCK_MISUSE, Verdict.LIVELOCK),
        as_posted=True,
        masks=(
            "migrate-copies-live-header",
            "migrate-without-work-cancel",
            "destroy-vs-migrate-queue",
            "slot-read-before-page-lock",
            "migrated-page-still-lockable",
            "mapped-count-wraps",
        ),
    ),
    Defect(
        name="movable-without-page-lock",
        summary="a fresh page is advertised as movable without the lock of its descriptor",
        story="""
            The scanner relies on the descriptor's lock to keep "movable?" and "isolated?" steady.
            Alloc sets the mark without it, and does so before the page is on its lists.

            1. The allocating task marks a fresh page movable; it is on no list yet.
            2. The scanner isolates it: takes the page lock first, finds nothing to unlink.
            3. The allocating task gets the page lock and lists the page, isolated as it is, on its
               unbuddied list and on the LRU.
            4. The engine adds the page to its own list by the same link: it is on two lists.""",
        fix="""
            "mm/z3fold.c: lock z3fold page before __SetPageMovable()", 810481a24608, Henry Burns,
            July 2019, v5.3-rc1 and 5.2.3""",
        symptom="A debug kernel asserts that the page is not locked, at every fresh page.",
        verdicts=(
            Verdict.LOCK_MISUSE,
            Verdict.LIST_CORRUPTION,
            Verdict.DATA_RACE,
            Verdict.INVARIANT,
        ),
        as_posted=True,
    ),
    Defect(
        name="movable-trylock-inverted",
        summary="a fresh page is marked movable just when the try-lock for it has failed",
        story="""
            The first cure of movable-without-page-lock used a try-lock and tested its result the
            wrong way round. When it gets the lock, the page is never marked and the lock is never
            dropped: the release worker, which takes it before it frees the page, waits for ever.
            When it does not, the page is marked without the lock and someone else's lock is
            released.""",
        fix="""
            An early form of 810481a24608 in the -mm tree; corrected there before it was merged""",
        symptom="None in the field: it was never released.",
        verdicts=(Verdict.LOCK_MISUSE, Verdict.DEADLOCK),
        as_posted=False,
    ),
    Defect(
        name="migrate-copies-live-header",
        summary="migration copies the header's list link, which goes on pointing into the old page",
        story="""
            A page is migrated by copying its bytes, header included. The isolated page's list link
            points at itself; its copy points at the old page, and looks as if it were listed.

            1. The engine isolates a page and migrates it; the old page is freed.
            2. The compaction worker takes up the new page and unlinks it first: it writes through
               the copied link into the freed page.

            No race is needed once migration works.""",
        fix="""
            "mm/z3fold.c: reinitialize zhdr structs after migration", c92d2f38563d, Henry Burns,
            July 2019, v5.3-rc1 and 5.2.7""",
        symptom="Writes into freed memory after a migration; torn lists.",
        verdicts=(Verdict.USE_AFTER_FREE, Verdict.LIST_CORRUPTION, Verdict.INVARIANT),
        as_posted=True,
    ),
    Defect(
        name="migrate-without-work-cancel",
        summary="migration moves a page whose compaction work is still queued",
        story="""
            The work item is embedded in the header. Moving the page leaves the queue pointing into
            freed memory, gives the copy a work item that believes it is queued, and copies the
            reference that the work owns. Isolation refuses a page that waits for compaction, but
            there is a gap between the callback's answer and the core's isolated mark.

            1. The engine's isolate callback has said yes; the mark is not set yet.
            2. The freeing task frees one of two objects, does not see the page as isolated, takes a
               reference and queues the work.
            3. The engine sets the mark and migrates; the old page is freed.
            4. The compaction worker runs the old page's work item in freed memory.""",
        fix="""
            The second half of c92d2f38563d (see migrate-copies-live-header): -EAGAIN while the work
            is pending, and a fresh work item in the copy""",
        symptom="A worker running wild in freed memory; a page that is never released.",
        verdicts=(
            Verdict.USE_AFTER_FREE,
            Verdict.REFCOUNT,
            Verdict.LEAK,
            Verdict.INVARIANT,
            Verdict.LIST_CORRUPTION,
            Verdict.DATA_RACE,
        ),
        as_posted=True,
    ),
    Defect(
        name="pool-lookup-through-freed-slots",
        summary="release finds the pool through the slots object that free has just freed",
        story="""
            The header knows its pool only by way of its slots object. Freeing the last handle frees
            that object; the same call then drops the last reference, and release asks the freed
            object for the pool.

            Where slots are recycled at once, release may read another pool's address, and put the
            page on that pool's stale list: the page counts of the two then drift apart.

            Release on reclaim's behalf goes wrong earlier, so the second half of
            reclaim-handles-in-shared-slots is not seen while this is set.""",
        fix="""
            "mm/z3fold: don't try to use buddy slots after free", bb9a374dfa3a, Vitaly Wool, July
            2019, v5.3-rc1 and 5.2.7; reported by Henry Burns, who had found it with an address
            sanitizer""",
        symptom="Use after free in free's release path; invisible without a sanitizer.",
        verdicts=(Verdict.USE_AFTER_FREE, Verdict.INVARIANT),
        as_posted=True,
        masks=("reclaim-handles-in-shared-slots",),
    ),
    Defect(
        name="destroy-release-wq-first",
        summary="destroy tears down the release queue before the compaction queue that feeds it",
        story="""
            Draining the compaction queue may drop a page's last reference, which queues release
            work. By then its queue is gone.

            1. The freeing task frees one of two objects: compaction is queued with a reference.
            2. It frees the other one; the work's reference is now the last.
            3. The destroyer destroys the release queue.
            4. The destroyer drains the compaction queue: the page is released, its release work
               goes to a dead queue, and the page stays on the stale list for ever.""",
        fix="""
            "mm/z3fold.c: fix z3fold_destroy_pool() ordering", 6051d3bd3b91, Henry Burns, August
            2019, v5.3-rc5 and 5.2.10; there since 5d03a6613957 (v4.15)""",
        symptom="A crash or a leaked page when zswap changes its pool.",
        verdicts=(Verdict.USE_AFTER_FREE, Verdict.LEAK, Verdict.INVARIANT),
        as_posted=True,
    ),
    Defect(
        name="destroy-unregister-before-drain",
        summary="destroy drops the inode of the migration callbacks while pages still refer to it",
        story="""
            A movable page refers to the pool's inode. Pages that wait for the two workers outlive
            it.

            1. The freeing task frees a last object: the page goes to the stale list.
            2. The destroyer drops the inode.
            3. The scanner asks whether the page is movable and reads the freed mapping.
            4. Only then does the release worker free the page.""",
        fix="""
            "mm/z3fold.c: fix z3fold_destroy_pool() race condition", b997052bc3ac, Henry Burns,
            v5.3-rc5 and 5.2.10""",
        symptom="A crash in compaction or offlining soon after a pool went away.",
        verdicts=(Verdict.USE_AFTER_FREE, Verdict.INVARIANT),
        as_posted=True,
    ),
    Defect(
        name="destroy-vs-migrate-queue",
        summary="destroy does not wait for pages that the migration engine has isolated",
        story="""
            An empty pool has nothing to isolate, so it seems safe to destroy. But a page whose last
            object was freed after it had been isolated lives on by the isolation's reference.

            1. The engine isolates a page with one object.
            2. The freeing task frees the object; the isolation's reference is the last.
            3. The destroyer drains and frees the queues and the pool.
            4. The engine migrates the page: pool lock, LRU and compaction queue are all freed. Or
               it puts the page back, and releases it into a freed pool; as posted, where migration
               never gets that far, this is the way it can happen.""",
        fix="""
            "mm/z3fold.c: fix race between migration and destruction", d776aaa9895e, Henry Burns,
            August 2019, v5.3-rc; reverted by 6e73fd25e2c7 (Vitaly Wool, v5.4-rc1) for
            destroy-wait-inverted; then called less severe, and left open""",
        symptom="Use after free when a pool is destroyed during compaction; rare.",
        verdicts=(Verdict.USE_AFTER_FREE, Verdict.LEAK, Verdict.DATA_RACE),
        as_posted=True,
        masks=("destroy-wait-inverted",),
    ),
    Defect(
        name="reclaim-stale-header-on-retry",
        summary="reclaim's second round goes on with the header it found in the first",
        story="""
            The header pointer is not reset between rounds, while the walk moves on to other pages.
            It can end at a headless page, or with every candidate skipped; then "the page" and "the
            header" are two different pages.

            1. Reclaim's first round takes a page from the tail; its eviction fails; the page goes
               back to the head of the LRU.
            2. The second round meets a headless page at the tail. The handle for the callback is
               made from the first page's address, yet marked headless.

            If all were skipped, the last page visited is taken off the LRU with neither a
            reference nor its lock.""",
        fix="""
            "z3fold: fix retry mechanism in page reclaim", Vitaly Wool, posted 8 September 2019,
            v5.4-rc1 and stable 5.2, 5.3 (commit id unconfirmed, perhaps 3f9d2b5766ae)""",
        symptom="""
            Crashes under memory pressure, reported by Markus Linnala, Chris Murphy and Agustín
            Dall'Alba.""",
        verdicts=(
            Verdict.STALE_HANDLE,
            Verdict.LOCK_MISUSE,
            Verdict.REFCOUNT,
            Verdict.LOST_PAGE,
            Verdict.USE_AFTER_FREE,
            Verdict.INVARIANT,
        ),
        as_posted=True,
    ),
    Defect(
        name="reclaim-headless-null-header",
        summary="reclaim gives up at a headless page at the tail, and keeps the claim on it",
        story="""
            Reclaim looks at its header pointer to see whether it found a page. The fourth patch
            moved the pointer's assignment behind the headless test: in the first round it is null
            when the walk ends at a headless page, which reads as "found nothing".

            1. Reclaim claims the headless page at the tail, then leaves with -EAGAIN; the claim
               stays.
            2. The owner frees the page; free sees the claim, leaves the page to reclaim, and
               returns. Nobody has it now.

            A headless page at the tail also blocks all reclaim behind it. Headless pages are then
            evicted only with the help of reclaim-stale-header-on-retry, so their other defects
            hide.""",
        fix="The same commit as reclaim-stale-header-on-retry; born in patch 4 of this set",
        symptom="Reclaim makes no progress; pages of incompressible data leak.",
        verdicts=(Verdict.LEAK, Verdict.INVARIANT),
        as_posted=True,
        masks=(
            "headless-claim-not-cleared",
            "headless-claim-dropped",
            "headless-free-forgotten",
            "headless-evict-frees-for-owner",
        ),
    ),
    Defect(
        name="reclaim-claim-leak",
        summary="reclaim claims a page, then skips it, and leaves the claim set",
        story="""
            The claim bit is set before the tests that may skip the page (isolated, or page lock
            busy), and no skip clears it. The page is never reclaimed again, and every free on it
            believes that reclaim is at work and leaves early.

            1. A mapper holds the page lock.
            2. Reclaim claims the page, fails the try-lock, skips.
            3. The freeing task frees one of the objects: claimed, so no compaction. A page that was
               full, and hence unlisted, is never listed again.""",
        fix="The same commit as reclaim-stale-header-on-retry: it clears the bit at both exits",
        symptom="Pages that can neither be filled up nor reclaimed; density decays.",
        verdicts=(Verdict.INVARIANT, Verdict.LOST_PAGE),
        as_posted=True,
    ),
    Defect(
        name="reclaim-handles-in-shared-slots",
        summary="reclaim evicts by handles in the page's own slots, which a free may free",
        story="""
            Reclaim drops all locks before the eviction callback, with handles that lie in the
            page's slots object. A free of the last live handle frees that object.

            1. Reclaim takes a page with one object, writes its handle, unlocks.
            2. The owner frees the object: the slots object is empty and freed.
            3. An allocating task elsewhere is given the same slots object.
            4. Reclaim evicts the handle, which now names the stranger's object: it is mapped, then
               freed behind its owner's back.""",
        fix="""
            The same commit as reclaim-stale-header-on-retry: a slots object of its own, on the
            stack (see stack-slots-misaligned for what that did)""",
        symptom="Random page faults and wrong data under memory pressure.",
        verdicts=(
            Verdict.USE_AFTER_FREE,
            Verdict.STALE_HANDLE,
            Verdict.DOUBLE_FREE,
            Verdict.CORRUPTION,
        ),
        as_posted=True,
        masks=("stack-slots-misaligned",),
    ),
    Defect(
        name="isolate-ignores-claim",
        summary="isolation takes a page that reclaim is working on",
        story="""
            During the eviction callback reclaim holds one reference, the claim bit, and no lock. To
            isolation the page looks idle.

            1. Reclaim takes a page, unlocks it, and is about to evict.
            2. The engine isolates it, and puts its LRU link on the engine's list.
            3. The engine migrates the page, reclaim's reference and claim copied with it, and frees
               the old one.
            4. The eviction fails; reclaim locks the freed page, drops a reference in it, and adds
               its link to the LRU. The new page keeps a reference and a claim that no one owns.

            Without step 3 the link is on two lists at reclaim's return.""",
        fix="""
            Half of it by the commit of reclaim-stale-header-on-retry, which tests the bit without a
            lock; wholly when isolation came to set the bit itself under the page lock, in the code
            around dcf5aedb24f8 (v5.11; found by comparing versions)""",
        symptom="Use after free and torn LRU lists when compaction meets memory pressure.",
        verdicts=(
            Verdict.USE_AFTER_FREE,
            Verdict.LIST_CORRUPTION,
            Verdict.REFCOUNT,
            Verdict.INVARIANT,
            Verdict.DATA_RACE,
        ),
        as_posted=True,
    ),
    Defect(
        name="headless-slots-leak",
        summary="a headless page gets a slots object that nobody frees",
        story="""
            Setting up a page allocates its slots, headless or not. A headless page has no use for
            them, and freeing it does not know of them. One allocation of nearly a page and its free
            leave a slots object behind.""",
        fix="""
            "z3fold: fix memory leak in kmem cache", 63398413c00c, Vitaly Wool, September 2019,
            v5.4-rc1 and 5.2.19; reported by Markus Linnala""",
        symptom="The slots cache grows for as long as incompressible pages come and go.",
        verdicts=(Verdict.LEAK,),
        as_posted=True,
    ),
    Defect(
        name="atomic-alloc-sleeps",
        summary="an atomic allocation takes its slots object in a mode that may sleep",
        story="""
            The slots of a new page are allocated in the ordinary mode, whatever mode alloc itself
            was called with. A caller that must not sleep, or holds a spinlock, then may.""",
        fix="""
            "z3fold: fix sheduling while atomic", Vitaly Wool, 23 May 2019, before v5.2 (commit id
            not found)""",
        symptom='"scheduling while atomic" under a swap that allocates atomically.',
        verdicts=(Verdict.SLEEP_IN_ATOMIC,),
        as_posted=True,
    ),
    Defect(
        name="mapped-count-uninitialised",
        summary="a new page starts with whatever mapped_count its memory last held",
        story="""
            The two-bit counter is never set. On recycled memory either of two things follows.

            If it is not zero, the page can never be isolated; that matches a report of offlining
            that looped over recycled z3fold pages with a count of 2 (its author said that the fix
            did not fully help, so there may be a second cause).

            If it is 3, the first map makes it zero:

            1. A page is set up with a count of 3.
            2. A mapper maps an object and keeps the pointer; the count wraps to zero.
            3. The engine isolates and migrates the page.
            4. The mapper writes through its pointer into the old page.""",
        fix="""
            A by-product of "z3fold: fix use-after-free when freeing handles", d8f117abb380,
            Uladzislau Rezki and Vitaly Wool, May 2020, v5.7-rc7 and stable""",
        symptom="Offlining never ends; seldom, lost writes.",
        verdicts=(Verdict.INVARIANT, Verdict.CORRUPTION, Verdict.USE_AFTER_FREE),
        as_posted=True,
    ),
    Defect(
        name="slot-read-before-page-lock",
        summary="a handle is resolved without a lock, and the page found is locked afterwards",
        story="""
            Map, unmap and free read the slot, then lock the page that it names. If the page is
            migrated in between, they lock, and work on, the old one.

            1. A mapper reads the slot.
            2. The engine isolates and migrates the page, and frees the old one.
            3. The mapper locks the freed page, counts its map there, and returns an address in it.

            When it is a free, the object is cleared in the old page only: the new one keeps a ghost
            that no handle names.""",
        fix="""
            "mm/z3fold.c: add inter-page compaction", 4a3ac9311dac, v5.5, into which a fix named
            "protect handle reads" was folded: slots got a rwlock, and the page is try-locked under
            it""",
        symptom="Wrong data or a crash when a page is mapped during compaction.",
        verdicts=(
            Verdict.DATA_RACE,
            Verdict.USE_AFTER_FREE,
            Verdict.STALE_HANDLE,
            Verdict.CORRUPTION,
            Verdict.LEAK,
            Verdict.REFCOUNT,
        ),
        as_posted=True,
    ),
    Defect(
        name="migrated-page-still-lockable",
        summary="migration unlocks the old page before the slots name the new one",
        story="""
            Between the unlock and the new slots, a lookup still finds the old page and gets its
            lock.

            1. The engine copies the page and unlocks the old one.
            2. A mapper reads the slot, locks the old page, counts its map there, unlocks.
            3. The engine rewrites the slots and frees the old page.
            4. The mapper uses its pointer.

            The lock on slot reads of v5.5 did not help; this lived for three years. Upstream marks
            the old page as migrated, and lookups spin past marked pages; keeping it locked until
            the slots are rewritten serves too.""",
        fix="""
            "mm/z3fold: fix z3fold_page_migrate races with z3fold_map", 943fb61dd66f, Miaohe Lin,
            2022, v5.19-rc1""",
        symptom="Reads of freed memory, lost writes, when mapping meets compaction.",
        verdicts=(
            Verdict.USE_AFTER_FREE,
            Verdict.CORRUPTION,
            Verdict.DATA_RACE,
            Verdict.LEAK,
            Verdict.INVARIANT,
            Verdict.LIST_CORRUPTION,
            Verdict.REFCOUNT,
        ),
        as_posted=True,
    ),
    Defect(
        name="putback-forgets-unbuddied",
        summary="putback returns a page to the LRU but not to its unbuddied list",
        story="""
            Isolation takes the page off both lists. Putback restores one: the page's free room is
            never found again until something else is freed in it. With migrate-double-page-lock
            every attempt to migrate ends here.

            1. An object is allocated; its page is listed as having room.
            2. The engine isolates the page, fails to migrate it, puts it back.
            3. The next object that would fit gets a new page.""",
        fix="""
            "mm/z3fold: put z3fold page back into unbuddied list when reclaim or migration fails",
            6cf9a34967ed, Miaohe Lin, v5.19-rc1; its author had asked about it in October 2020,
            without an answer""",
        symptom="The pool grows by a page for each failed migration.",
        verdicts=(Verdict.LOST_PAGE,),
        as_posted=True,
    ),
    Defect(
        name="reclaim-fail-forgets-unbuddied",
        summary="after a failed eviction, reclaim does not list the page's room again",
        story="""
            Reclaim takes its page off the LRU and off its unbuddied list. When the callback fails,
            only the LRU gets it back. Older than the patch set.""",
        fix="The same commit as putback-forgets-unbuddied",
        symptom="The pool grows by a page for each failed eviction.",
        verdicts=(Verdict.LOST_PAGE,),
        as_posted=True,
    ),
    Defect(
        name="destroy-leaks-percpu-lists",
        summary="destroy does not free the array of per-CPU lists",
        story="""
            Creating a pool allocates the per-CPU array of unbuddied lists; destroying it frees
            everything else.""",
        fix="""
            "mm/z3fold: fix potential memory leak in z3fold_destroy_pool()", dac0d1cfda56, Miaohe
            Lin, June 2021, v5.14-rc1""",
        symptom="Per-CPU memory leaks with each change of zswap's pool.",
        verdicts=(Verdict.LEAK,),
        as_posted=True,
    ),
    Defect(
        name="alloc-threshold-underflow",
        summary="no one checks that a header and one chunk fit into a page",
        story="""
            Alloc decides what is headless by comparing with page size minus header minus one chunk.
            With a header large enough, or a page small enough, the difference wraps, and nothing is
            ever too large for a buddy. No real configuration does; upstream made it a build-time
            check, here it is a check of the geometry at creation.""",
        fix="""
            "mm/z3fold: avoid possible underflow in z3fold_alloc()", 014284a0815f, Miaohe Lin,
            v5.14-rc1""",
        symptom="None known.",
        verdicts=(Verdict.INVARIANT,),
        as_posted=True,
    ),
)
