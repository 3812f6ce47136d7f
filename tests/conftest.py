"""What holds for every test: none writes to the findings store of whoever runs it."""

from __future__ import annotations

import pytest

from z3fold_stress.findings.database import ENVIRONMENT


@pytest.fixture(scope="session", autouse=True)
def store_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> object:
    """Also for the processes that tests start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ENVIRONMENT, str(tmp_path_factory.mktemp("store") / "findings.db"))
        yield
