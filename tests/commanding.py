"""The command, as tests give it: in this process (the fixture ``run`` of conftest.py), or in one of
its own, which works until it is interrupted."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from z3fold_stress import cli

PROGRAM = [sys.executable, "-P", "-c", "from z3fold_stress.cli import main; main()"]


class Answer(NamedTuple):
    status: int
    out: str
    err: str

    def json(self) -> Any:
        """All of stdout is one JSON value."""
        return json.loads(self.out)


Run = Callable[..., Answer]


def answer_to(capsys: pytest.CaptureFixture[str], *args: object) -> Answer:
    """Of a command line in this process."""
    with pytest.raises(SystemExit) as caught:
        cli.main([str(arg) for arg in args])
    out, err = capsys.readouterr()
    assert isinstance(caught.value.code, int)
    assert "Traceback" not in out + err or os.environ.get("Z3FOLD_STRESS_DEBUG")
    return Answer(caught.value.code, out, err)


def refused(answer: Answer, says: str) -> None:
    """One line on stderr that says what; status 2."""
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.startswith("z3fold-stress: error: ")
    assert answer.err.count("\n") == 1
    assert says in answer.err


@contextlib.contextmanager
def started(*args: object, cwd: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """A command in a process of its own, which is not left behind."""
    process = subprocess.Popen(
        [*PROGRAM, *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def works_on(process: subprocess.Popen[str], more: float) -> None:
    """Until it and its children have used so many seconds more of a CPU, however long it takes."""
    root = psutil.Process(process.pid)

    def used() -> float:
        total = 0.0
        for one in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += sum(one.cpu_times()[:2])
        return total

    target = used() + more
    while used() < target and process.poll() is None:
        with contextlib.suppress(psutil.TimeoutExpired):
            root.wait(0.05)


def interrupted(process: subprocess.Popen[str]) -> Answer:
    """By Ctrl-C; nobody is left."""
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    _, alive = psutil.wait_procs(children, timeout=60)
    assert alive == []
    assert "Traceback" not in out + err
    return Answer(process.returncode, out, err)
