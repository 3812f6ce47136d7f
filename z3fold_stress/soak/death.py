"""Judges the death of a process: outside the allocator it costs nothing, inside it leaves an
orphaned lock or a half-done operation; where the run did not send the signal, it is no verdict."""

from __future__ import annotations

import contextlib
import signal
from dataclasses import dataclass
from pathlib import Path

from z3fold_stress import _live
from z3fold_stress._vocabulary import PageFlag
from z3fold_stress.layout import OWNER_MASK, Layout
from z3fold_stress.soak.processes import Member
from z3fold_stress.verdicts import Verdict

__all__ = ["Death", "judge_death", "locks_of", "oom_kills"]

HEADLESS = 1 << PageFlag.PAGE_HEADLESS
KILLS = (signal.SIGKILL, signal.SIGTERM)
FAULTS = (
    *(signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE),
    *(signal.SIGABRT, signal.SIGTRAP, signal.SIGSYS),
)
"""What a process does to itself; where another sent it, the process has said so."""


@dataclass(frozen=True, slots=True)
class Death:
    """Who died of what, and what that means: no verdict when it was outside."""

    name: str
    signal: str
    inside: str
    text: str
    verdict: Verdict | None = None
    lock: int = 0
    foreign: bool = False
    """The run had no part in it."""


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


def judge_death(layout: Layout, member: Member, number: int, *, by_run: bool = True) -> Death:
    """What the arena says of a process that a signal ended. ``by_run``: whether the run itself
    may have sent it; what anybody else sent, as the kernel does when memory is short, is no fault
    of the design, whatever it left half done."""
    task = layout.task(member.task)
    name = signal_name(number)
    inside = " > ".join(op for op, _, _ in layout.inside(task))
    where = f"inside {inside}" if inside else "outside the allocator"
    if task["killed_by"] == number or not (by_run or number in FAULTS):
        text = f"{member.name} was killed by {name}, which the run did not send, {where}"
        return Death(member.name, name, inside, text, foreign=True)
    if not inside:
        if number in KILLS:
            text = f"{member.name} was ended by {name} outside the allocator"
            return Death(member.name, name, "", text)
        text = f"{member.name} died of {name} outside the allocator"
        return Death(member.name, name, "", text, Verdict.CRASH)
    if number not in KILLS:
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


def oom_kills() -> int:
    """How many processes of this cgroup the kernel has killed for want of memory, as far as it
    says; the difference of two counts is what matters."""
    total = 0
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            root = Path("/sys/fs/cgroup", "memory" if controllers else "")
            if controllers not in ("", "memory"):
                continue
            for name in ("memory.events", "memory.oom_control"):
                with contextlib.suppress(OSError, ValueError):
                    told = (root / path.lstrip("/") / name).read_text().split()
                    total += int(told[told.index("oom_kill") + 1])
    return total
