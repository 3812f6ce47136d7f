"""A request to end: SIGINT, SIGTERM and SIGHUP mean the same thing, at any moment.

Owns what these signals do to a command. Where a run may be cut short anywhere (``interruptible``)
they raise KeyboardInterrupt; a run that looks for itself asks (``asked``); what must be done whole
(``undisturbed``) is done first. After the run nothing raises any more, so the report is written.

Child processes are started with the three blocked (``start``): a terminal and timeout(1) signal the
whole group, and it is for whoever started a process to end it. Never ends a process.
"""

from __future__ import annotations

import contextlib
import importlib
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

__all__ = [
    "SIGNALS",
    "asked",
    "check",
    "interruptible",
    "listening",
    "noted",
    "start",
    "undisturbed",
]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AGAIN = 2.0
"""Seconds in which a run that was interrupted ends; a signal after that interrupts it again."""


class _Request:
    """What was asked, and what may be done about it now."""

    signal: signal.Signals | None = None
    listening = False
    fresh = True
    """No run has begun: there is nothing to report, and raising costs nothing."""
    regions = 0
    undisturbed = 0
    raised: float | None = None

    def may_raise(self) -> bool:
        return (self.fresh or self.regions > 0) and not self.undisturbed


_request = _Request()


def _on_signal(number: int, frame: object) -> None:
    _request.signal = _request.signal or signal.Signals(number)
    now = time.monotonic()
    due = _request.raised is None or now - _request.raised > AGAIN
    if due and _request.may_raise():
        _request.raised = now
        raise KeyboardInterrupt


def asked() -> signal.Signals | None:
    """The signal that asked this run to end, if one did."""
    return _request.signal


def check() -> None:
    """Raise KeyboardInterrupt if the run was asked to end. For the loops of a run: an exception
    from a signal handler is lost where it meets a destructor."""
    if _request.signal is not None and _request.may_raise():
        _request.raised = time.monotonic()
        raise KeyboardInterrupt


@contextlib.contextmanager
def listening(*, to_the_end: bool = False) -> Iterator[None]:
    """For a whole command. What is ignored already (nohup, a shell's background job) stays so.
    Only the main thread can listen; in another this does nothing.  ``to_the_end``: the process
    ends afterwards, and is not disturbed in that."""
    if _request.listening or threading.current_thread() is not threading.main_thread():
        yield
        return
    vars(_request).clear()
    before = {
        number: signal.signal(number, _on_signal)
        for number in SIGNALS
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    _request.listening = True
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if to_the_end else handler)
        vars(_request).clear()


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """A run, or a part of one, that KeyboardInterrupt may end anywhere inside. After the outermost
    one signals are only noted."""
    _request.fresh = False
    _request.regions += 1
    try:
        check()
        yield
    finally:
        _request.regions -= 1


@contextlib.contextmanager
def noted() -> Iterator[None]:
    """A run that asks for itself, and may not be cut short anywhere."""
    with listening():
        _request.fresh = False
        with undisturbed():
            yield


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Something short that must not be left half done. The signal waits for its end."""
    _request.undisturbed += 1
    try:
        yield
    finally:
        _request.undisturbed -= 1


def start(process: Any) -> None:
    """Start a process of multiprocessing so that the three signals never reach it."""
    package = type(process).__module__.partition(".")[0]
    tracker = importlib.import_module(f"{package}.resource_tracker")
    with undisturbed():
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            tracker.ensure_running()  # first, for it unblocks them
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
