"""The last moments of a soak as a trace for ui.perfetto.dev, from the flight recorders of a saved
arena: a track for each process, a slice for each operation, arrows where an object's handle goes
from one process to another.

The recorder keeps when an operation ended.  A slice begins where the process's operation before
it ended: what lies between two operations is counted to the second.
"""

from __future__ import annotations

from typing import Any

from z3fold_stress.inspection import Inspection
from z3fold_stress.report.trace_events import Track, Tracks

__all__ = ["trace_of_dump"]

FIRST = 1.0
"""Microseconds that a process's first operation is shown with: nothing says when it began."""
SHORTEST = 0.002
BY_HANDLE = frozenset(("alloc", "free", "map", "evict"))


def trace_of_dump(view: Inspection) -> str:
    """The trace of all events that the recorders still have."""
    tracks = Tracks()
    events = view.events(None, most=2**62)
    start = max((event["before_end_us"] for event in events), default=0.0) + FIRST
    ended: dict[int, float] = {}
    users: dict[int, tuple[int, Track, float]] = {}
    for task in view.tasks():
        tracks.group(task["task"], view.who(task["task"]))
        tracks.track(task["task"], "operations")
    for event in events:
        task = event["task"]
        end = round(start - event["before_end_us"], 3)
        begin = min(ended.get(task, end - FIRST), end - SHORTEST)
        begin = max(begin, ended.get(task, 0.0))
        end = max(end, begin + SHORTEST)
        ended[task] = end
        track = tracks.track(task, "operations")
        tracks.slice(track, event["op"], begin, end, _told(event))
        if event["op"] in BY_HANDLE and event["a"]:
            before = users.get(event["a"])
            middle = begin + SHORTEST / 2
            if before is not None and before[0] != task and before[2] <= middle:
                tracks.flow("handle handed on", before[1:], (track, middle))
            users[event["a"]] = (task, track, end - SHORTEST / 2)
    _marks(view, tracks, start)
    return tracks.dumps(
        {
            "design": view.overview()["design"],
            "seed": view.overview()["seed"],
            "verdicts": [verdict["says"] for verdict in view.verdicts()],
            "time": "by the cycle counter; a slice begins where the operation before it ended",
        }
    )


def _told(event: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {"page": event["page"], "returned": event["ret"], "what": event["says"]}
    return {name: value for name, value in told.items() if value not in (None, "")}


def _marks(view: Inspection, tracks: Tracks, end: float) -> None:
    """The verdicts and the deaths, at the end: the recorder does not say when."""
    for verdict in view.verdicts():
        task = verdict.get("task", 0)
        if task not in {one["task"] for one in view.tasks()}:
            tracks.group(task or 999, view.who(task) if task else "the supervisor")
            task = task or 999
        track = tracks.track(task, "operations")
        tracks.instant(track, verdict["says"], end, {}, everywhere=True)
    for task in view.tasks():
        if task["state"] == "dead":
            track = tracks.track(task["task"], "operations")
            tracks.instant(track, "is dead", end, {}, everywhere=False)
