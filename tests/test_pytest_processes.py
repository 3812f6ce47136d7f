"""The pytest plugin where processes are: arenas that are audited, workers and children that die, a
run that always ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from plugin_runs import TESTS, TIMEOUT, run

pytest_plugins = ["pytester"]


def test_arenas_are_audited(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        TESTS
        + """
import time
bent = pytest.mark.z3fold_arena(frames=8, design="sound+putback-forgets-unbuddied")

def there_and_back(pool):
    page = pool.page_of(pool.alloc(1200))
    assert pool.isolate(page)
    pool.putback(page)

def test_good(z3fold_pool, z3fold_arena):
    there_and_back(z3fold_pool)
    label = os.readlink(f"/proc/self/fd/{z3fold_arena.fd}")
    assert "z3fold-stress-" in label and "-main-test_good" in label

@bent
def test_audit(z3fold_pool):
    there_and_back(z3fold_pool)

@bent
def test_fails_itself(z3fold_pool):
    there_and_back(z3fold_pool)
    assert False, "as it was meant"

def test_still_isolated(z3fold_pool):
    assert z3fold_pool.isolate(z3fold_pool.page_of(z3fold_pool.alloc(1200)))

@pytest.mark.z3fold_arena(frams=1)
def test_typo(z3fold_arena):
    pass

@pytest.mark.parametrize("z3fold_pool", [{"auto_drain": True}], indirect=True)
def test_parameter(z3fold_pool):
    assert z3fold_pool.auto_drain

def work(pool):
    pool.free(pool.alloc(700))

def test_processes(z3fold_process, z3fold_pool):
    for task in (2, 3):
        z3fold_process(work, z3fold_pool, task=task)

def test_killed_child(z3fold_process, z3fold_pool):
    z3fold_process(lambda: os.kill(os.getpid(), signal.SIGKILL))

def test_child_that_raises(z3fold_process):
    z3fold_process(lambda: 1 / 0)

@pytest.mark.z3fold_arena(delay_rate=1.0, delay_ns=20_000_000)
def test_lock_in_hand(z3fold_pool, z3fold_arena, z3fold_process):
    def endless():
        while True:
            z3fold_pool.free(z3fold_pool.alloc(100))

    process = z3fold_process(endless)
    while not z3fold_arena.layout.task_field(2, "nr_held"):
        os.sched_yield()
    process.kill()

def test_endless_child(monkeypatch, z3fold_process):
    from z3fold_stress.pytest_plugin import arenas
    monkeypatch.setattr(arenas, "PATIENCE", 0.2)
    z3fold_process(time.sleep, 1000)

def test_no_such_task(z3fold_process):
    with pytest.raises(ValueError, match="task 9 cannot be a process"):
        z3fold_process(work, task=9)
"""
    )
    result = run(pytester, "-rE", "--hunt-save=found")
    result.assert_outcomes(passed=10, failed=1, errors=8)
    result.stdout.fnmatch_lines(
        [
            "arena z3fold-stress-*-main-test_audit: 1 finding when the test was over",
            "  lost-page: *audit rule *",
            "  what it looks like: z3fold-stress inspect */found/*-test_audit.dump",
            "arena z3fold-stress-*-main-test_fails_itself: 1 finding *",
            "  this task has pages isolated: put them back before the pool goes",
            "marker z3fold_arena: *frams*",
            "  task 2 (*): * was ended by SIGKILL outside the allocator",
            "  task 2 (*) ended with status 1: see its stderr",
            "  orphaned-lock: task 2 (*): * inside *, holding the * lock *",
            "  stall: task 2 (*) did not end within 0.2 s, inside its own code",
        ]
    )


def test_a_worker_that_dies_fails_its_test(pytester: pytest.Pytester) -> None:
    """Nor does what it forked outlive it, and keep the controller waiting."""
    pytester.makepyfile(
        TESTS
        + """
import time

@hunt
@pytest.mark.parametrize("number", range(4))
def test_others(number):
    return Scenario(actors={"a": SAFE, "b": SAFE}, finish=LOST)

def test_dies(z3fold_pool):
    child = os.fork()
    if not child:
        time.sleep(1000)
        os._exit(0)
    with open("child", "w") as file:
        file.write(str(child))
    os.kill(os.getpid(), signal.SIGKILL)
"""
    )
    result = run(pytester, "-n2")
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(
        [
            "worker 'gw?' crashed while running '*.py::test_dies'",
            "degraded: worker gw? died: what it had in hand was not explored",
        ]
    )
    assert is_gone(int(pytester.path.joinpath("child").read_text()))


def is_gone(pid: int) -> bool:
    """Whether it ends; who reaps an orphan may take its time."""
    for _ in range(200):
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


KILLS = [("spawned", 0.3 * step) for step in range(10)] + [
    ("begun", 0.15 * step) for step in range(10)
]


@pytest.mark.parametrize(
    ("since", "wait"),
    [
        ("spawned", 0.2),
        ("begun", 0.2),
        *(pytest.param(*kill, marks=pytest.mark.soak) for kill in KILLS),
    ],
)
def test_a_run_ends_whenever_a_worker_is_killed(
    pytester: pytest.Pytester, since: str, wait: float
) -> None:
    pytester.makepyfile(
        TESTS
        + """
@hunt(executions=100_000, strategy="random")
@pytest.mark.parametrize("number", range(20))
def test_safe(number):
    open("begun", "w").close()
    return Scenario(actors={"a": SAFE, "b": SAFE, "c": SAFE})
"""
    )
    command = [sys.executable, "-m", "pytest", "-n2", "-p", "no:cacheprovider"]
    with (
        pytester.path.joinpath("out").open("w") as out,
        subprocess.Popen(command, cwd=pytester.path, stdout=out, stderr=out) as pytest_run,
    ):
        try:
            workers = _workers(pytest_run.pid)
            if since == "begun":
                _wait_for(pytester.path / "begun")
            time.sleep(wait)
            workers[0].kill()
            status = pytest_run.wait(TIMEOUT)
        finally:
            pytest_run.kill()
    said = pytester.path.joinpath("out").read_text()
    assert status in (0, 1), said
    assert (status == 1) == ("crashed while running" in said), said
    assert "20 explorations" in said or status == 1, said
    assert not [one for one in workers if one.is_running()]


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _workers(pid: int) -> list[psutil.Process]:
    """The workers of a run, as soon as there are two."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        workers = psutil.Process(pid).children()
        if len(workers) == 2:
            return workers
        time.sleep(0.01)
    raise AssertionError("no workers came")


def test_ctrl_c_ends_with_the_summary(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        TESTS
        + """
from z3fold_stress.explore import explorer

def told(*arguments, really=explorer._take_turns):
    open("begun", "w").close()
    really(*arguments)

explorer._take_turns = told

@hunt(seconds=1000, strategy="random")
def test_long():
    return Scenario(actors={"a": SAFE, "b": SAFE})
"""
    )
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist"]
    with subprocess.Popen(
        command, cwd=pytester.path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as pytest_run:
        try:
            _wait_for(pytester.path / "begun")
            pytest_run.send_signal(signal.SIGINT)
            said, _ = pytest_run.communicate(timeout=TIMEOUT)
        finally:
            pytest_run.kill()
    assert pytest_run.returncode == pytest.ExitCode.INTERRUPTED, said
    told = pytest.LineMatcher(said.splitlines())
    told.fnmatch_lines(["1 explorations, *", "inconclusive: *::test_long"])
