"""Judges the death of a process: outside the allocator it costs nothing, inside it leaves an
orphaned lock or a half-done operation."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from z3fold_stress import _live
from z3fold_stress._vocabulary import PageFlag
from z3fold_stress.layout import OWNER_MASK, Layout
from z3fold_stress.soak.processes import Member
from z3fold_stress.verdicts import Verdict

__all__ = ["Death", "judge_death"]

HEADLESS = 1 << PageFlag.PAGE_HEADLESS


@dataclass(frozen=True, slots=True)
class Death:
    """Who died of what, and what that means: no verdict when it was outside."""

    name: str
    signal: str
    inside: str
    text: str
    verdict: Verdict | None = None
    lock: int = 0


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def locks_of(layout: Layout, task: int) -> list[tuple[str, int]]:
    """Every lock word that names this task as owner: (class, offset).

    The task's own list may lack a lock that it took in its last instructions.
    """
    fields = _live.fields()
    found = []

    def look(name: str, offset: int) -> None:
        word = int.from_bytes(layout.buffer[offset : offset + 4], "little")
        if word & OWNER_MASK == task:
            found.append((name, offset))

    pool = layout.pool_offset(0)
    for name in ("lock", "stale_lock", "compact_wq", "release_wq"):
        look(
            {"lock": "pool", "stale_lock": "stale"}.get(name, "workqueue"),
            pool + fields["pool"][1][name][0],
        )
    for pfn in range(layout.arena("nr_frames")):
        page = layout.page_offset(pfn)
        look("pg", page + fields["page"][1]["pg_lock"][0])
        if layout.get("page", page, "state") and not layout.get("page", page, "private") & HEADLESS:
            look("page", layout.frame_offset(pfn) + fields["header"][1]["page_lock"][0])
    for number in range(layout.arena("nr_slots")):
        slots = layout.slots_offset(number)
        if layout.get("slots", slots, "state"):
            look("slots", slots + fields["slots"][1]["lock"][0])
    return found


def judge_death(layout: Layout, member: Member, number: int) -> Death:
    """What the arena says of a process that a signal ended."""
    task = layout.task(member.task)
    name = signal_name(number)
    inside = " > ".join(op for op, _, _ in layout.inside(task))
    if not inside:
        if number in (signal.SIGKILL, signal.SIGTERM):
            text = f"{member.name} was ended by {name} outside the allocator"
            return Death(member.name, name, "", text)
        text = f"{member.name} died of {name} outside the allocator"
        return Death(member.name, name, "", text, Verdict.CRASH)
    if number not in (signal.SIGKILL, signal.SIGTERM):
        text = f"{member.name} died of {name} inside {inside}"
        return Death(member.name, name, inside, text, Verdict.CRASH)
    locks = dict.fromkeys(
        [(held.lock_class, held.lock) for held in layout.held(task)] + locks_of(layout, member.task)
    )
    if locks:
        which = ", ".join(f"the {kind} lock 0x{offset:x}" for kind, offset in locks)
        text = f"{member.name} was killed ({name}) inside {inside}, holding {which}"
        lock = next(iter(locks))[1]
        return Death(member.name, name, inside, text, Verdict.ORPHANED_LOCK, lock)
    text = f"{member.name} was killed ({name}) inside {inside}: the operation is half done"
    return Death(member.name, name, inside, text, Verdict.CRASH)
