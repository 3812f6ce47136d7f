"""Faults that were put into the correct protocol while this tool was built, to test the tool.

No version of z3fold had them.  It did not notice these at first: each has left a check behind, and
stays in the catalogue so that the check is seen to work.
"""

from __future__ import annotations

from z3fold_stress.defects.defect import Defect
from z3fold_stress.verdicts import Verdict

BUILT: tuple[Defect, ...] = (
    Defect(
        name="migrate-mapped-says-eagain",
        summary="migrate asks for a retry where the page is mapped, which no retry will change",
        story="""
            -EAGAIN means that somebody is at work on the page and will soon be done: the core tries
            again, ten times in all, each time with a new target page. A map lasts as long as its
            owner likes. The answer for it is -EBUSY, upon which the core puts the page back at
            once, so that it can be reclaimed and compacted meanwhile.

            1. The engine isolates a page.
            2. A task maps an object in it.
            3. migrate says -EAGAIN; the engine tries nine times more, in vain.""",
        fix="none needed: no version has it",
        symptom="Compaction and offlining spend ten times the work on mapped pages.",
        verdicts=(Verdict.EAGAIN_CONTRACT,),
        as_posted=False,
    ),
    Defect(
        name="migrate-forgets-movable",
        summary="the page that a migration makes is not marked movable, and never moves again",
        story="""
            The movable mark is not copied with the page: it is in the page descriptor, and has to
            be set for the new page under its PG lock, when the page is complete. Forgotten, nothing
            goes wrong at once; the page just can no longer be isolated.

            1. The engine migrates page P to page Q; P loses its mark, Q gets none.
            2. Whoever compacts or offlines the memory round Q passes it over, for ever.""",
        fix="none needed: no version has it",
        symptom="Memory that was compacted once cannot be compacted or taken offline again.",
        verdicts=(Verdict.EAGAIN_CONTRACT, Verdict.INVARIANT),
        as_posted=False,
    ),
    Defect(
        name="flush-ignores-running",
        summary="flush_workqueue returns while the item that was taken off the queue still runs",
        story="""
            An item leaves the queue when it starts. Whoever waits for the queue to be empty does
            not wait for the item that is running, and destroying a pool waits for its two queues by
            flushing them.

            1. The compaction worker takes the last item off its queue, and runs it.
            2. The destroying task flushes the queue, finds it empty, and destroys it.
            3. It gives back the per-CPU lists and the pool.
            4. The worker lists its page, or queues the page's release, in a pool that is gone.""",
        fix="none needed: no version has it",
        symptom="Crashes in the work queues when a pool is destroyed.",
        verdicts=(
            Verdict.INVARIANT,
            Verdict.USE_AFTER_FREE,
            Verdict.LEAK,
            Verdict.DATA_RACE,
        ),
        as_posted=False,
    ),
)
