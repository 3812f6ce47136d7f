"""What holds for every test: none writes to the findings store of whoever runs it, and Ctrl-C is
heard, also where the run was started by a shell that has its background jobs ignore it."""

from __future__ import annotations

import signal

import pytest

from z3fold_stress.findings.database import ENVIRONMENT

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # processes that tests start inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def store_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> object:
    """Also for the processes that tests start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ENVIRONMENT, str(tmp_path_factory.mktemp("store") / "findings.db"))
        yield
