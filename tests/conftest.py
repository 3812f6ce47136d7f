"""What holds for every test: none writes to the findings store of whoever runs it, and signals
are heard, also where the run was started under nohup, or by a shell that has its background jobs
ignore Ctrl-C. And the command, as most tests give it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from cli_files import saved  # noqa: F401  (fixtures)
from commanding import Answer, Run, answer_to
from healthy import healthy  # noqa: F401

from z3fold_stress.findings.database import ENVIRONMENT

for _number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    if signal.getsignal(_number) is signal.SIG_IGN:  # processes that tests start inherit it
        _usual = signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL
        signal.signal(_number, _usual)


@pytest.fixture(scope="session", autouse=True)
def store_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> object:
    """Also for the processes that tests start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ENVIRONMENT, str(tmp_path_factory.mktemp("store") / "findings.db"))
        yield


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*args: object) -> Answer:
        return answer_to(capsys, *args)

    return run
