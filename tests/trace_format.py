"""A strict reader of the trace event format: what it says must hold of a trace, or ``TraceFault``.

As the format's description has it: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
and what Perfetto's importer asks for beyond that: flows bound to slices, slices that nest.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

__all__ = ["TraceFault", "check_trace"]

PHASES = frozenset("XBEiMsf")
TOLD = ("process_name", "process_sort_index", "thread_name", "thread_sort_index")


class TraceFault(AssertionError):
    """The trace is not what the format asks for."""


def _need(holds: object, why: str, event: Any = None) -> None:
    if not holds:
        raise TraceFault(f"{why}: {event}")


def check_trace(text: str) -> list[dict[str, Any]]:
    """The events of a trace; raises TraceFault where it is none."""
    whole = json.loads(text)
    _need(isinstance(whole, dict) and isinstance(whole.get("traceEvents"), list), "no events")
    events: list[dict[str, Any]] = whole["traceEvents"]
    before = 0.0
    for event in events:
        _fields(event)
        if event["ph"] != "M":
            _need(event["ts"] >= before, "time goes back", event)
            before = event["ts"]
    _names(events)
    _flows(events, _slices(events))
    return events


def _fields(event: dict[str, Any]) -> None:
    _need(event.get("ph") in PHASES, "a phase that there is not", event)
    for key, kind in (("name", str), ("pid", int), ("tid", int), ("ts", (int, float))):
        value = event.get(key)
        _need(isinstance(value, kind) and not isinstance(value, bool), f"{key} is missing", event)
    _need(event["ts"] >= 0, "before time began", event)
    _need(isinstance(event.get("args", {}), dict), "args is no object", event)
    if event["ph"] == "X":
        _need(isinstance(event.get("dur"), (int, float)), "a slice without dur", event)
        _need(event["dur"] >= 0, "a slice that ends before it begins", event)
    if event["ph"] == "i":
        _need(event.get("s") in ("g", "p", "t"), "an instant without scope", event)
    if event["ph"] in "sf":
        _need("id" in event and event.get("cat"), "a flow without id or cat", event)
    if event["ph"] == "M":
        _need(event["name"] in TOLD, "metadata that nobody reads", event)


def _names(events: list[dict[str, Any]]) -> None:
    """Each track and each group has its name, once."""
    named = [(e["pid"], e["tid"]) for e in events if e["name"] == "thread_name"]
    groups = [e["pid"] for e in events if e["name"] == "process_name"]
    _need(len(named) == len(set(named)), "a track is named twice", named)
    _need(len(groups) == len(set(groups)), "a group is named twice", groups)
    for event in events:
        if event["ph"] != "M":
            _need((event["pid"], event["tid"]) in named, "a track without a name", event)
            _need(event["pid"] in groups, "a group without a name", event)


Slices = dict[tuple[int, int], list[tuple[float, float]]]


def _slices(events: list[dict[str, Any]]) -> Slices:
    """The slices of each track, which must lie beside or inside each other."""
    slices: Slices = defaultdict(list)
    begun: dict[tuple[int, int], list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        track = (event["pid"], event["tid"])
        if event["ph"] == "X":
            slices[track].append((event["ts"], round(event["ts"] + event["dur"], 3)))
        elif event["ph"] == "B":
            begun[track].append(event)
        elif event["ph"] == "E":
            _need(begun[track], "an end without a begin", event)
            slices[track].append((begun[track].pop()["ts"], event["ts"]))
    for left in begun.values():
        _need(not left, "a begin without an end", left)
    for found in slices.values():
        open_until: list[float] = []
        for start, end in sorted(found, key=lambda one: (one[0], -one[1])):
            while open_until and open_until[-1] <= start:
                open_until.pop()
            _need(not open_until or end <= open_until[-1], "slices that cross", (start, end))
            open_until.append(end)
    return slices


def _flows(events: list[dict[str, Any]], slices: Slices) -> None:
    """Each has one start and one end, in this order, each in a slice of its track."""
    ends: dict[Any, dict[str, dict[str, Any]]] = defaultdict(dict)
    for event in events:
        if event["ph"] in "sf":
            _need(event["ph"] not in ends[event["id"]], "a flow with two ends alike", event)
            ends[event["id"]][event["ph"]] = event
            track = slices.get((event["pid"], event["tid"]), [])
            inside = any(start <= event["ts"] <= end for start, end in track)
            _need(inside, "a flow outside every slice", event)
    for pair in ends.values():
        _need(set(pair) == {"s", "f"}, "a flow with one end", pair)
        _need(pair["s"]["ts"] <= pair["f"]["ts"], "a flow into the past", pair)
        _need(pair["f"].get("bp") == "e", "a flow that binds to the next slice", pair)
