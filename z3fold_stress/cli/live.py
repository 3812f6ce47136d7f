"""What ``replay --live`` and ``explore --live`` say of their processes, and how they end."""

from __future__ import annotations

import sys
import time

import click

from z3fold_stress import stopping
from z3fold_stress.live.deadlock import Deadlock
from z3fold_stress.live.replay import LiveReplay
from z3fold_stress.live.world import LiveError

__all__ = ["live_failed", "tell_live"]

FAILED, INCONCLUSIVE = 3, 4


def live_failed(error: LiveError) -> int:
    """A process of an actor failed by itself: the exit status, with that told."""
    click.echo(f"z3fold-stress: failed: {error}; nothing can be said about the rest", err=True)
    return FAILED


def tell_live(done: LiveReplay, hold: float, *, quietly: bool) -> int:
    """What the processes did, on stdout unless ``quietly``; deadlocked ones stay for ``hold``
    seconds. The exit status where they did not do as the coroutines do, else 0. Signals are only
    noted by then (``stopping.noted``): what was found stays found."""
    if not quietly:
        click.echo("\n".join(_lines(done)))
    sys.stdout.flush()
    if not done.same:
        return INCONCLUSIVE
    if done.deadlock is None:
        return 0
    if not done.deadlock.real:
        return INCONCLUSIVE
    if hold and not quietly:
        click.echo(f"they stay for {hold:g} s; Ctrl-C ends them")
        sys.stdout.flush()
    return _hold(done.deadlock, time.monotonic() + hold)


def _hold(deadlock: Deadlock, until: float) -> int:
    while time.monotonic() < until and not stopping.asked():  # else they have seen enough
        time.sleep(min(0.2, max(0.0, until - time.monotonic())))
        if not deadlock.still():
            click.echo("a deadlocked process ended, or went on: somebody has meddled", err=True)
            return INCONCLUSIVE
    return 0


def _lines(done: LiveReplay) -> list[str]:
    pids = ", ".join(f"{actor} {pid}" for actor, pid in done.pids.items())
    if done.same:
        what = "nothing fails" if done.verdict is None else "the same failure"
        said = f"by processes: {what}, by the same events ({done.hash})"
    else:
        said = (
            f"by processes: NOT the same: {done.verdict or 'nothing fails'} {done.text}, "
            f"events {done.hash}"
        )
    lines = [said, f"  pids: {pids}"]
    lines += [f"  the process of {actor} was killed by the schedule" for actor in done.killed]
    return lines + ([] if done.deadlock is None else done.deadlock.lines())
