"""Measures this machine: the allocator's hot paths, locks under contention, soaks at full speed.

Medians of several runs; what is compared is measured in turns, so that noise falls on all alike.
"""

from __future__ import annotations

import array
import os
import struct
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from statistics import median
from typing import Any

import multiprocess

from z3fold_stress import _live, stopping
from z3fold_stress.arena import Arena
from z3fold_stress.explore.speed import explorer_speed
from z3fold_stress.inspection.lists import offset_in
from z3fold_stress.live.speed import live_speed
from z3fold_stress.settings import LOCK_KINDS

__all__ = ["LOCK_PROCESSES", "VARIANTS", "allocator", "everything", "locks", "soaks"]

OBJECTS = 10_000
FRAMES = 8192
FROM_SIZE, TO_SIZE = 200, 1500
FREE_ALLOC_ROUNDS, MAP_UNMAP_ROUNDS = 300_000, 1_000_000
RECORDER_EVENTS = 1024
LOCK_PROCESSES = (1, 2, 4, 8)
START_WORD = 16
"""The scratch word that lets all processes of a lock measurement go."""
PATIENCE = 60.0

VARIANTS: dict[str, dict[str, Any]] = {
    "": {},
    "recorder": {"ring": RECORDER_EVENTS},
    "poison": {"poison": True},
    "as_posted_lookup": {"defects": ["slot-read-before-page-lock"]},
}
"""Arenas that are compared: bare as the original is, with one thing more."""


class _Bench:
    """An arena full of objects."""

    def __init__(self, **settings: Any) -> None:
        self.arena = Arena(frames=FRAMES, slots=2 * FRAMES, **{"poison": False, **settings})
        self.handles = array.array("Q", bytes(8 * OBJECTS))
        _, self.pool, _ = self.arena.call(_live.Call.CALL_CREATE_POOL)

    def __enter__(self) -> _Bench:
        return self

    def __exit__(self, *exception: object) -> None:
        self.arena.close()

    def ns(self, what: str, rounds: int) -> float:
        """Nanoseconds a round of one of the engine's loops."""
        settings = {
            "pool": self.pool,
            "rounds": rounds,
            "from_size": FROM_SIZE,
            "to_size": TO_SIZE,
        }
        elapsed, operations, _ = self.arena.engine.measure(what, settings, self.handles)
        if operations != rounds:
            raise RuntimeError(f"{what}: {operations} of {rounds} operations succeeded")
        return float(elapsed / rounds)


def allocator(
    runs: int = 5, scale: float = 1.0, variants: Sequence[str] = tuple(VARIANTS)
) -> dict[str, float]:
    """``free_alloc_ns`` and ``map_unmap_ns`` of one process with 10,000 live objects, recorder
    and poison off; ``free_alloc_recorder_ns`` and so on with one thing more."""
    rounds = {
        "free_alloc": max(1, int(FREE_ALLOC_ROUNDS * scale)),
        "map_unmap": max(1, int(MAP_UNMAP_ROUNDS * scale)),
    }
    times: dict[str, list[float]] = {}
    with ExitStack() as stack:
        benches = {name: stack.enter_context(_Bench(**VARIANTS[name])) for name in variants}
        for bench in benches.values():
            bench.ns("free_alloc", max(1, rounds["free_alloc"] // 10))  # fills and warms
        for _ in range(runs):
            for what, n in rounds.items():
                for name, bench in benches.items():
                    key = "_".join(filter(None, (what, name, "ns")))
                    times.setdefault(key, []).append(bench.ns(what, n))
    return {key: round(median(values), 1) for key, values in times.items()}


# locks


def _hammer(arena: Arena, task: int, seconds: float, parent: int, pipe: Any) -> None:
    """A child: takes and lets go of the one hot lock."""
    if not _live.die_with_parent(parent):
        return
    arena.become(task, int(_live.Role.ROLE_WORKER), 0)
    pipe.send("ready")
    pipe.send(arena.engine.measure("lock", {"nanoseconds": int(seconds * 1e9)}))


def _receive(pipe: Any) -> Any:
    if not pipe.poll(PATIENCE):
        raise RuntimeError(f"a process of the lock measurement said nothing for {PATIENCE:g} s")
    try:
        return pipe.recv()
    except EOFError:
        raise RuntimeError("a process of the lock measurement died") from None


def _pairs(kind: str, processes: int, seconds: float) -> tuple[float, float]:
    """Lock pairs a second in total, and the worst wait in clock ticks."""
    context = multiprocess.get_context("fork")
    children: list[Any] = []
    pipes: list[Any] = []
    with Arena(lock=kind, tasks=processes + 1, frames=1) as arena:
        try:
            for task in range(2, processes + 2):
                ours, theirs = context.Pipe(duplex=False)
                child = context.Process(
                    target=_hammer, args=(arena, task, seconds, os.getpid(), theirs), daemon=True
                )
                stopping.start(child)
                theirs.close()
                children.append(child)
                pipes.append(ours)
            for pipe in pipes:
                _receive(pipe)
            start = offset_in("arena", "scratch") + 8 * START_WORD
            struct.pack_into("=Q", arena.memory, start, 1)
            answers = [_receive(pipe) for pipe in pipes]
        finally:
            for child in children:
                child.kill()
                child.join()
            for pipe in pipes:
                pipe.close()
    total = sum(operations / (ns / 1e9) for ns, operations, _ in answers)
    return total, max(worst for _, _, worst in answers)


def locks(
    runs: int = 1,
    seconds: float = 0.3,
    kinds: Sequence[str] = LOCK_KINDS,
    processes: Sequence[int] = LOCK_PROCESSES,
) -> tuple[dict[str, dict[int, float]], dict[str, dict[int, float]]]:
    """Of each kind, by the number of processes on one hot lock: pairs a second in total, and
    the worst wait in milliseconds over all runs."""
    ticks_per_ms = _live.clock_rate() * 1e6
    pairs: dict[str, dict[int, float]] = {kind: {} for kind in kinds}
    waits: dict[str, dict[int, float]] = {kind: {} for kind in kinds}
    for n in processes:
        for kind in kinds:
            results = [_pairs(kind, n, seconds) for _ in range(runs)]
            pairs[kind][n] = round(median(total for total, _ in results))
            waits[kind][n] = round(max(worst for _, worst in results) / ticks_per_ms, 3)
    return pairs, waits


# soaks


def _soak_rates(seed: int, seconds: float, settings: dict[str, Any]) -> dict[str, float]:
    """One soak of two workers, each map verified, and nobody else unless ``settings`` says so.

    Raises RuntimeError when it found something: then its speed means nothing.
    """
    from z3fold_stress.soak import SoakSettings, run

    alone: dict[str, Any] = {"workers": 2, "migrators": 0, "reclaimers": 0, "churners": 0}
    report = run(SoakSettings(**{**alone, "seconds": seconds, "seed": seed, **settings}))
    if report.judgements:
        raise RuntimeError(f"the soak found something: {report.judgements[0]}")
    return {
        f"soak_{name}_per_s": report.totals[name] / report.seconds
        for name in ("allocs", "frees", "maps")
    }


def soaks(
    runs: int = 3, seconds: float = 3.0, variants: Mapping[str, dict[str, Any]] | None = None
) -> dict[str, dict[str, float]]:
    """Allocations, frees and verified maps a second, of each variant: settings by name."""
    chosen = {"": {}} if variants is None else variants
    rates: dict[str, list[dict[str, float]]] = {name: [] for name in chosen}
    for seed in range(1, runs + 1):
        for name, settings in chosen.items():
            rates[name].append(_soak_rates(seed, seconds, settings))
    return {
        name: {key: round(median(row[key] for row in rows)) for key in rows[0]}
        for name, rows in rates.items()
    }


def everything(runs: int = 5, soak_runs: int = 3, soak_seconds: float = 3.0) -> dict[str, Any]:
    """All of it, as one object that JSON can hold."""
    load = os.getloadavg()[0]
    pairs, waits = locks()
    return {
        **allocator(runs),  # with the variants, which take each other's caches
        **allocator(runs, variants=("",)),  # alone: these are the figures to quote
        "lock_pairs_per_s": pairs,
        "lock_worst_wait_ms": waits,
        **soaks(soak_runs, soak_seconds)[""],
        **explorer_speed(runs),
        **live_speed(runs),
        "cpus": len(os.sched_getaffinity(0)),
        "load_before": round(load, 2),
    }
