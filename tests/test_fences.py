"""Fences of programs: what they order is no race, whoever runs them; and they are real ones."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from checking import arena_with_room, checked_process, compiled, reports, totals, until

from z3fold_stress import Arena, Scenario, _live, _sim, op
from z3fold_stress.designs import resolve
from z3fold_stress.errors import ScenarioError
from z3fold_stress.explore.explorer import Budget, Exploration, Status, explore, explore_world
from z3fold_stress.explore.portfolio import Arm, arms_of
from z3fold_stress.explore.world import World
from z3fold_stress.findings import Finding
from z3fold_stress.findings.finding import make_finding, world_of
from z3fold_stress.findings.replay import Result, replay_in
from z3fold_stress.live.replay import replay_live
from z3fold_stress.live.world import LiveWorld
from z3fold_stress.report import report_text
from z3fold_stress.scenario import Op
from z3fold_stress.verdicts import Verdict

SOUND = resolve("sound")
NOTHING: list[Op] = []


def handed(release: list[Op], acquire: list[Op]) -> Scenario:
    """Data that is written before a relaxed flag, and read after it."""
    return Scenario(
        name="handed",
        actors={
            "a": [op.store("data", 1), *release, op.store("flag", 1, "relaxed")],
            "b": [
                op.load("flag", "f", "relaxed"),
                *acquire,
                op.when("f", [op.load("data", "d"), op.expect("d", "==", 1, "what was handed")]),
            ],
        },
        finish=[],
    )


RIGHT = [
    pytest.param(handed([op.fence(one)], [op.fence(other)]), id=f"{one} {other}")
    for one in ("release", "acq_rel", "seq_cst")
    for other in ("acquire", "acq_rel", "seq_cst")
]
WRONG = [
    pytest.param(handed(NOTHING, [op.fence("acquire")]), id="no release"),
    pytest.param(handed([op.fence("release")], NOTHING), id="no acquire"),
    pytest.param(handed([op.fence("acquire")], [op.fence("acquire")]), id="acquire twice"),
    pytest.param(handed([op.fence("release")], [op.fence("release")]), id="release twice"),
]


def look(scenario: Scenario, *, every_access: bool, strategy: str = "dpor") -> Exploration:
    return explore(
        scenario,
        SOUND,
        strategy=strategy,
        bound=-1,
        budget=Budget(1000),
        every_access=every_access,
    )


@pytest.mark.parametrize("every_access", [False, True])
@pytest.mark.parametrize("strategy", ["dpor", "dfs"])
@pytest.mark.parametrize("scenario", RIGHT)
def test_what_fences_order_is_no_race(
    scenario: Scenario, strategy: str, every_access: bool
) -> None:
    tally = look(scenario, every_access=every_access, strategy=strategy)
    assert (tally.status, tally.verdicts) == (Status.COMPLETE, frozenset())


@pytest.mark.parametrize("every_access", [False, True])
@pytest.mark.parametrize("scenario", WRONG)
def test_half_of_it_orders_nothing(scenario: Scenario, every_access: bool) -> None:
    assert look(scenario, every_access=every_access).verdicts == {Verdict.DATA_RACE}


def test_a_fence_is_no_switch() -> None:
    """Nobody else can notice when it is done."""
    body = [op.fetch_add("x", 1), op.fence("seq_cst"), op.fetch_add("x", 1)]
    tally = look(Scenario(actors={"a": body, "b": body}), every_access=False, strategy="dfs")
    assert tally.executions == 6


def test_what_it_cannot_be() -> None:
    with pytest.raises(ScenarioError, match="fence: order cannot be 'consume': it is one of acq"):
        op.fence("consume")  # type: ignore[arg-type]
    assert str(op.fence("release")) == "fence release"
    assert Op.from_json(op.fence("seq_cst").to_json()) == op.fence("seq_cst")


def found_in(scenario: object) -> Finding:
    assert isinstance(scenario, Scenario)
    with World(scenario, SOUND) as world:
        (found,) = explore_world(world, arms_of("dpor"), budget=Budget(100)).found
        return make_finding(world, found)[0]


def test_a_report_tells_it() -> None:
    finding = found_in(*WRONG[1].values)
    with world_of(finding) as world:
        done = replay_in(world, finding)
        assert done.result is Result.IDENTICAL
        assert "fence release" in report_text(world, finding, done.evidence)


# Real processes


@pytest.mark.parametrize("scenario", [RIGHT[0], RIGHT[-1]])
def test_processes_pass_them_too(scenario: Scenario) -> None:
    with LiveWorld(scenario, SOUND) as world:
        tally = explore_world(world, (Arm("random"),), budget=Budget(100), seed=1)
        hashes = {world.follow(schedule)["hash"] for schedule in ([], [(0, 3, 0, 1)])}
        with world.by_coroutines():
            again = {world.follow(schedule)["hash"] for schedule in ([], [(0, 3, 0, 1)])}
    assert (tally.status, tally.verdicts) == (Status.CLEAN, frozenset())
    assert hashes == again


def test_processes_race_where_coroutines_do() -> None:
    with replay_live(found_in(*WRONG[0].values)) as done:
        assert done.same


def test_by_itself_a_program_passes_them() -> None:
    fences = [op.fence(order) for order in ("acquire", "release", "acq_rel", "seq_cst")]
    programs = compiled(a=[op.store("x", 5), *fences, op.load("x", "r"), op.store("y", "r")])
    with Arena(frames=8) as arena:
        arena.engine.run_program(programs.actors[0].program)
        at = _live.fields()["arena"][1]["scratch"][0]
        assert arena.memory[at + 64 :][0] == arena.memory[at:][0] == 5


def test_processes_that_check_their_accesses_pass_them() -> None:
    body = [op.repeat(50, [op.fence("seq_cst"), op.load("word", "x", "relaxed")])]
    programs = compiled(reader=body)
    with (
        arena_with_room() as arena,
        checked_process(arena, 2, programs.actors[0].program),
    ):
        until(lambda: totals(arena)["accesses"] > 200, "it works")
        assert reports(arena) == []


@pytest.mark.parametrize("module", [_live, _sim])
def test_they_are_real(module: object) -> None:
    objdump = shutil.which("objdump")
    if objdump is None:
        pytest.skip("objdump is not here")
    name = "__tsan_atomic_thread_fence" if module is _sim else "run_fence"
    told = subprocess.run(
        [objdump, "-d", module.__file__], capture_output=True, text=True, check=True
    ).stdout
    bodies = re.findall(rf"<\S*{name}>:\n(.*?)\n\n", told, re.DOTALL)
    assert any("mfence" in body or re.search(r"lock (or|add)", body) for body in bodies)
