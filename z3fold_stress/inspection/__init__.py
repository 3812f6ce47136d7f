"""Looks at an arena, live or from a dump, and tells what is in it: views that JSON can hold.

Only reads, and trusts nothing of what it reads. How it looks on a terminal is in ``text``.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from z3fold_stress import _live
from z3fold_stress._vocabulary import PAGE_SIZE, PoolState
from z3fold_stress.arena import Arena
from z3fold_stress.dump import design_name
from z3fold_stress.errors import SettingsError
from z3fold_stress.inspection.lists import Lists, offset_in, pools
from z3fold_stress.inspection.pages import Pages
from z3fold_stress.inspection.tasks import Tasks, describe_event, events, named
from z3fold_stress.numbered import names_of

__all__ = ["SECTIONS", "Inspection"]

SECTIONS = (
    "overview",
    "verdicts",
    "audit",
    "tasks",
    "locks",
    "lists",
    "pages",
    "slots",
    "events",
)
POOL_STATES = names_of(PoolState, "POOL_")
AUDIT_SECONDS = 30
MOST_FINDINGS = 64


class Inspection:
    """What is in an arena, as read once: a method for each section."""

    def __init__(self, arena: Arena, header: dict[str, Any] | None = None) -> None:
        """``header``: what the dump says of itself, where the arena comes from one."""
        self.arena = arena
        self.layout = arena.layout
        self.header = header or {}
        self._lists = Lists(self.layout)
        self._pages = Pages(self.layout, self._lists)
        self._tasks = Tasks(self._pages)
        self._audit: list[dict[str, Any]] | None = None
        self._ticks_per_us = 1000.0 * (self.header.get("ticks_per_ns") or _live.clock_rate())

    def overview(self) -> dict[str, Any]:
        """Geometry, settings, and the state of the whole."""
        arena = self.layout.arena
        stop = arena("stop")
        return {
            "written_by": self.header.get("version"),
            "layout_version": arena("version"),
            "design": design_name(arena("design")),
            "seed": arena("seed"),
            "lock": named(_live.LockKind, arena("lock_kind"), "KIND_"),
            "frames": arena("nr_frames"),
            "frames_free": arena("frames_free"),
            "slots": arena("nr_slots"),
            "slots_free": arena("slots_free"),
            "objects": arena("nr_objects"),
            "swap": arena("nr_swap"),
            "tasks": arena("nr_tasks"),
            "cpus": arena("nr_cpus"),
            "ring": arena("ring"),
            "header_chunks": arena("header_chunks"),
            "stop": ("no", "at the next operation", "an operation was left in the middle")[stop]
            if stop < 3
            else f"0x{stop:x}",
            "verdicts": arena("nr_verdicts"),
            "pools": [self._pool(number) for number in pools(self.layout)],
        }

    def _pool(self, number: int) -> dict[str, Any]:
        pool = self.layout.pool(number)
        at = self.layout.pool_offset(number)
        view: dict[str, Any] = {
            "pool": number,
            "state": POOL_STATES[pool["state"]] if pool["state"] < 3 else f"0x{pool['state']:x}",
            "pages_nr": pool["pages_nr"],
            "slots_nr": pool["slots_nr"],
            "isolated": pool["isolated"],
        }
        for name in ("compact_wq", "release_wq"):
            queue = self.layout.read("workqueue", at + offset_in("pool", name))
            running = self.layout.pfn(queue["running"]) if queue["running"] else None
            view[name] = {
                "queued_ever": queue["queued"],
                "running": bool(queue["running"]),
                "running_page": running,
                "running_task": queue["running_task"],
                "worker": queue["worker"],
                "destroyed": bool(queue["destroyed"]),
            }
        return view

    def verdicts(self) -> list[dict[str, Any]]:
        """What the checks said while the tasks ran."""
        try:
            return [asdict(judgement) | {"says": str(judgement)} for judgement in self._judgements]
        except (ValueError, IndexError, AttributeError):
            return [{"verdict": "unreadable", "says": "the record of verdicts is damaged"}]

    @property
    def _judgements(self) -> list[Any]:
        return self.arena.judgements()

    def audit(self) -> list[dict[str, Any]]:
        """What the audit finds in it now. Done in a child process: an arena that is damaged
        enough can crash it, and that is a finding too."""
        if self._audit is None:
            self._audit = _audit_apart(self.arena)
            for finding in self._audit:
                finding["page_number"] = self.layout.pfn(finding.get("page", 0))
        return self._audit

    def tasks(self) -> list[dict[str, Any]]:
        """Every task that is in use."""
        return list(self._tasks.views.values())

    def who(self, task: int) -> str:
        """``task 3 (worker)``."""
        return self._tasks.who(task)

    def locks(self) -> dict[str, Any]:
        """Locks that are held or waited for, who waits for whom, and a cycle if there is one."""
        held = self._tasks.locks()
        waits = self._tasks.waits(held)
        return {"locks": held, "waits": waits, "cycle": self._tasks.cycle(waits)}

    def lists(self) -> list[dict[str, Any]]:
        """Each list in its order; of the unbuddied ones those that are not empty."""
        return [asdict(view) for view in self._lists.views]

    def pages(self) -> list[dict[str, Any]]:
        """Every page in use."""
        return list(self._pages.views.values())

    def slots(self) -> list[dict[str, Any]]:
        """Every slots object in use."""
        return self._pages.slots()

    def page(self, number: int) -> dict[str, Any]:
        """All about one page: itself, its slots, locks, verdicts, findings and last events.

        Raises SettingsError for a page that the arena does not have.
        """
        if not 0 <= number < self._pages.nr_frames:
            raise SettingsError(
                f"page {number} does not exist: the arena has pages 0 to "
                f"{self._pages.nr_frames - 1}"
            )
        view = self._pages.page(number)
        slots = view.get("slots")
        start, end = view["offset"], view["offset"] + PAGE_SIZE
        names = {f"page lock of page {number}", f"PG lock of page {number}"}
        if slots is not None:
            names.add(f"lock of slots {slots}")
        return {
            "page": view,
            "slots": None if slots is None else self._pages.slots_object(slots),
            "locks": [lock for lock in self.locks()["locks"] if lock["lock"] in names],
            "verdicts": [v for v in self.verdicts() if start <= v.get("page", 0) < end],
            "audit": [f for f in self.audit() if start <= f.get("page", 0) < end],
            "events": self.events(number),
        }

    def events(self, page: int | None = None, most: int = 32) -> list[dict[str, Any]]:
        """The last events, of all tasks in the order of the clock; ``page``: those around it."""
        found = events(self._pages, page, most)
        end = found[-1].ticks if found else 0
        return [
            asdict(event)
            | {
                "before_end_us": round((end - event.ticks) / self._ticks_per_us, 3),
                "says": describe_event(self.layout, event),
            }
            for event in found
        ]

    def suspects(self) -> list[int]:
        """The pages that verdicts and findings speak of, in their order."""
        found = [v.get("page", 0) for v in (*self.verdicts(), *self.audit())]
        numbers = (self.layout.pfn(offset) for offset in found if offset)
        return list(dict.fromkeys(number for number in numbers if number is not None))

    def clean(self) -> bool:
        """Whether neither a check nor the audit found anything."""
        return not self.verdicts() and not self.audit()

    def to_json(self, sections: Iterable[str] = SECTIONS) -> dict[str, Any]:
        return {section: getattr(self, section)() for section in sections}


def _audit_apart(arena: Arena) -> list[dict[str, Any]]:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reader)
            for number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGALRM):
                signal.signal(number, signal.SIG_DFL)
            signal.alarm(AUDIT_SECONDS)
            findings = [asdict(f) | {"says": str(f)} for f in arena.audit(MOST_FINDINGS)]
            with os.fdopen(writer, "w") as file:
                json.dump(findings, file)
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader) as file:
        told = file.read()
    _, status = os.waitpid(child, 0)
    if status == 0:
        findings = json.loads(told)
        return list(findings)
    why = "it failed"
    if os.WIFSIGNALED(status):
        why = signal.Signals(os.WTERMSIG(status)).name
    says = f"the audit could not get through this arena ({why}): it is damaged beyond its reading"
    return [{"verdict": "unreadable", "text": says, "says": says}]
