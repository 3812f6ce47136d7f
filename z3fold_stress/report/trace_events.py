"""The trace event format, as ui.perfetto.dev and chrome://tracing read it: slices, instants and
flows on named tracks, in the order of time.

Knows the format alone, nothing of what is traced.  Times are microseconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["Track", "Tracks"]

Track = tuple[int, int]
"""Process and thread, as the format calls them."""


class Tracks:
    """A trace being made: a group of tracks a task."""

    def __init__(self) -> None:
        self._events: list[dict[str, Any]] = []
        self._names: list[dict[str, Any]] = []
        self._tracks: dict[tuple[int, str], Track] = {}
        self._flows = 0

    def group(self, number: int, name: str) -> None:
        """Name a group; ``number`` counts from 1, and is its place."""
        self._meta("process_name", number, 0, name=name)
        self._meta("process_sort_index", number, 0, sort_index=number)

    def track(self, group: int, name: str) -> Track:
        """The track of this name in a group, made where it is new; the first comes first."""
        key = (group, name)
        if key not in self._tracks:
            place = sum(1 for at, _ in self._tracks if at == group)
            track = (group, group * 1000 + place)
            self._tracks[key] = track
            self._meta("thread_name", *track, name=name)
            self._meta("thread_sort_index", *track, sort_index=place)
        return self._tracks[key]

    def slice(
        self, track: Track, name: str, start: float, end: float, args: Mapping[str, Any]
    ) -> None:
        event = self._event("X", track, name, start, args)
        event["dur"] = round(end - start, 3)

    def instant(
        self, track: Track, name: str, at: float, args: Mapping[str, Any], *, everywhere: bool
    ) -> None:
        """``everywhere``: a line through all tracks, not a mark on this one."""
        self._event("i", track, name, at, args)["s"] = "g" if everywhere else "t"

    def flow(self, name: str, start: tuple[Track, float], end: tuple[Track, float]) -> None:
        """An arrow from the slice round one place to the slice round another, later."""
        self._flows += 1
        for kind, (track, at) in (("s", start), ("f", end)):
            event = self._event(kind, track, name, at, {})
            event["id"] = self._flows
            event["cat"] = name
            if kind == "f":
                event["bp"] = "e"  # the slice that it is in, not the next one

    def dumps(self, about: Mapping[str, Any]) -> str:
        """The trace as JSON; ``about`` is shown among its details."""
        # At the same time what holds the rest comes first, and an arrow after what it leaves.
        ordered = sorted(
            self._events, key=lambda e: (e["ts"], "Xisf".index(e["ph"]), -e.get("dur", 0.0))
        )
        whole = {
            "traceEvents": [*self._names, *ordered],
            "displayTimeUnit": "ns",
            "otherData": dict(about),
        }
        return json.dumps(whole, separators=(",", ":")) + "\n"

    def _event(
        self, kind: str, track: Track, name: str, at: float, args: Mapping[str, Any]
    ) -> dict[str, Any]:
        event: dict[str, Any] = {
            "ph": kind,
            "name": name,
            "pid": track[0],
            "tid": track[1],
            "ts": round(at, 3),
        }
        if args:
            event["args"] = dict(args)
        self._events.append(event)
        return event

    def _meta(self, what: str, process: int, thread: int, **args: Any) -> None:
        self._names.append(
            {"ph": "M", "name": what, "pid": process, "tid": thread, "ts": 0, "args": args}
        )
