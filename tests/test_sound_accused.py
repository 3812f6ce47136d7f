"""Programs in which the correct protocol was accused of what the tool itself had done: an operation
that read an object without a reference to it, or went on where another had left off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from z3fold_stress.designs import resolve
from z3fold_stress.errors import ScenarioError
from z3fold_stress.explore.explorer import Budget, Status, explore
from z3fold_stress.scenario import Op, Scenario, op
from z3fold_stress.scenario.checks import MOST_MAPPED, MOST_SHARERS

ALLOCS = [op.alloc(name, 64, fill=True) for name in "abc"]

FOUND_BY_FUZZ = {
    "a handle's word is read without a reference": Scenario(
        setup=[op.alloc("a", 4090, fill=True), *ALLOCS[1:], op.drain()],
        actors={
            "task1": [op.map("c"), op.check("c"), op.unmap("c")],
            "task2": [
                *(op.map("b"), op.map("c"), op.check("c"), op.unmap("c")),
                *(op.check("b"), op.unmap("b")),
            ],
            "task3": [
                *(op.free("a"), op.migrate_pages(op.page_of("c"), sync=False)),
                *(op.alloc("c", 3700, fill=True), op.reclaim(2)),
                op.migrate_pages(op.page_of("b"), passes=1),
                op.migrate_pages(op.page_of("a"), sync=False),
            ],
            "compactor": [op.kworker("compact")],
            "destroyer": [op.free("a"), op.free("b"), op.free("c"), op.compact_work()],
        },
        faults={"trylock": 1},
        finish=[op.drain(), op.probe(4), op.drain()],
    ),
    "a page that was tried before is passed on": Scenario(
        setup=[op.alloc("a", 3700, fill=True), op.alloc("b", 600, fill=True)],
        actors={
            "task1": [
                op.alloc("c", 1900, fill=True),
                *(op.isolate(op.page_of("a")), op.migrate(op.page_of("a"))),
                op.migrate_pages(op.page_of("b"), sync=False),
                op.putback(op.page_of("a")),
            ],
            "task2": [op.map("a"), op.check("a"), op.unmap("a")],
        },
        cpus={"task1": 1},
        finish=[op.drain(), op.probe(4), op.drain()],
    ),
}


@pytest.mark.parametrize("name", FOUND_BY_FUZZ)
def test_what_fuzz_found(name: str) -> None:
    tally = explore(
        FOUND_BY_FUZZ[name], resolve("sound"), budget=Budget(executions=4000), seed=1, most=1
    )
    assert not tally.found, tally.found


def assert_sound(actors: Mapping[str, Sequence[Op]], setup: Sequence[Op] = ALLOCS) -> None:
    """Nothing is found, by all orders of what others can notice."""
    scenario = Scenario(
        setup=setup, actors=actors, finish=[op.drain(), op.audit(), op.free_all(), op.drain()]
    )
    tally = explore(
        scenario,
        resolve("sound"),
        strategy="dpor",
        budget=Budget(executions=100_000, seconds=60.0),
        seed=1,
        most=1,
    )
    assert not tally.found, tally.found
    assert tally.status is Status.COMPLETE


USES = {
    "map": [op.map("a"), op.check("a"), op.unmap("a")],
    "map twice": [op.map("a"), op.map("a"), op.check("a"), op.unmap("a")],
    "read": [op.read("a")],
    "fill": [op.fill("a")],
    "free": [op.free("a")],
    "free_all": [op.free_all()],
    "alloc": [op.alloc("a", 600, fill=True)],
    "isolate": [op.isolate(op.page_of("a")), op.putback(op.page_of("a"))],
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("meets", ["freed", "made"])
def test_objects_are_looked_at_with_a_reference_only(use: str, meets: str) -> None:
    """An actor that has another object mapped uses one that comes or goes meanwhile."""
    alone = use == "free_all"  # what it frees may not be mapped: the last user would free it
    user = USES[use] if alone else [op.map("b"), *USES[use], op.check("b"), op.unmap("b")]
    other = [op.free("a")] if meets == "freed" else [op.alloc("a", 64, fill=True)]
    setup = ALLOCS[:2] if meets == "freed" else [*ALLOCS[:2], op.free("a")]
    assert_sound({"user": user, "other": other}, setup)


def test_write_and_read_go_through_a_map_that_the_actor_has() -> None:
    """They end no map that they did not begin."""
    held = [op.map("a"), op.write("a"), op.read("a"), op.check("a"), op.unmap("a")]
    assert_sound({"user": held, "migrator": [op.migrate_pages(op.page_of("a"), passes=2)]})


def test_single_attempts_have_no_limit() -> None:
    """Ten are what one call of migrate_pages has; a program may ask again and again."""
    page, frame = op.page_of("a"), op.frame(0)
    tries = [op.lock_header(frame), op.repeat(12, [op.migrate(page)]), op.unlock_header(frame)]
    assert_sound({"migrator": [op.isolate(page), *tries, op.putback(page)]})


def test_pages_isolated_before_are_left_alone() -> None:
    """migrate_pages is about its own page: the others stay isolated for who isolated them."""
    first, second = op.page_of("a"), op.page_of("b")
    setup = [op.alloc("a", 3700, fill=True), op.alloc("b", 3700, fill=True)]
    migrator = [op.isolate(first), op.migrate_pages(second), op.migrate(first), op.putback(first)]
    assert_sound({"migrator": migrator}, setup)


def test_a_program_names_its_pools() -> None:
    """A pool that is created has the number that it was asked for, and free_all frees no object of
    another."""
    setup = [op.alloc("a", 600, fill=True)]
    guest = [
        *(op.create_pool(2), op.alloc("x", 600, fill=True, pool=2), op.free_all(2)),
        op.destroy_pool(2),
    ]
    user = [op.map("a"), op.check("a"), op.unmap("a")]
    assert_sound({"guest": guest, "user": user}, setup)


def test_the_most_actors_that_there_may_be_refer_to_one_object() -> None:
    """Each has a bit of its own in the object's word, set-up and finish included."""
    actors = {
        f"user{number}": [op.map("a"), op.check("a"), op.unmap("a")]
        for number in range(MOST_SHARERS - 1)
    }
    scenario = Scenario(
        setup=ALLOCS[:1],
        actors={**actors, "owner": [op.free("a")]},
        finish=[op.drain(), op.free_all(), op.drain()],
    )
    tally = explore(
        scenario, resolve("sound"), strategy="random", budget=Budget(executions=50), seed=1
    )
    assert tally.status is Status.CLEAN, tally.found


def test_as_many_objects_mapped_as_there_may_be() -> None:
    names = [f"object{number}" for number in range(MOST_MAPPED)]
    setup = [op.alloc(name, 64, fill=True) for name in names]
    maps = [one(name) for one in (op.map, op.check, op.unmap) for name in names]
    actors = {"user": [*maps[:-MOST_MAPPED], op.reclaim(), *maps[-MOST_MAPPED:]]}
    scenario = Scenario(setup=setup, actors=actors, arena={"frames": 32, "slots": 32})
    tally = explore(scenario, resolve("sound"), budget=Budget(executions=5), seed=1)
    assert not tally.found, tally.found
    with pytest.raises(ScenarioError, match="is one map too many: an actor has at most 30"):
        Scenario(
            setup=[*setup, op.alloc("last", 64)],
            actors={"user": [op.map(name) for name in (*names, "last")]},
        )


def test_who_waits_for_work_that_cannot_come_goes_on() -> None:
    """Though others wait as well: for what it will do next."""
    assert_sound(
        {
            "worker": [op.compact_work(), op.store("done", 1, "release")],
            "other": [op.wait_until("done", 1)],
        }
    )
