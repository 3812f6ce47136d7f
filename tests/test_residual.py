"""What a soak has not seen: the estimate against distributions whose unseen part is known, the
kinds of orders from rings made by hand, and what the report says of a run."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from z3fold_stress import Arena, _live
from z3fold_stress.layout import PAGE_SIZE, Layout
from z3fold_stress.soak import SoakReport, SoakSettings, as_text, run
from z3fold_stress.soak import coverage as looking
from z3fold_stress.soak.coverage import BUDGET, NO_PAGE, Done, Sampler, Step, kinds, window
from z3fold_stress.soak.residual import (
    ASSUMPTIONS,
    ENOUGH_OBSERVATIONS,
    ENOUGH_WINDOWS,
    Incidences,
    good_turing,
    residual,
)

OP = _live.Op
WORKER, MIGRATOR = int(_live.Role.ROLE_WORKER), int(_live.Role.ROLE_MIGRATOR)
EVENT = struct.Struct("=" + _live.RECORDS["event"])


# the estimate

DISTRIBUTIONS = {
    "uniform": [1.0] * 500,
    "zipf": [1 / (i + 1) for i in range(2000)],
    "steep": [0.97**i for i in range(400)],
    "few": [1.0] * 12,
}


DRAWS = 8
"""Situations in a window."""


def weighed(name: str) -> list[float]:
    whole = sum(DISTRIBUTIONS[name])
    return [weight / whole for weight in DISTRIBUTIONS[name]]


def soaked(name: str, together: int, windows: int, seed: int) -> tuple[Incidences[int], float]:
    """Windows of situations drawn at random, each of which shows so many kinds at once; and the
    true chance that an observation of another window is of a kind not seen."""
    chances = weighed(name)
    choose = random.Random(f"{name} {together} {windows} {seed}")
    seen: Incidences[int] = Incidences()
    for _ in range(windows):
        drawn = set(choose.choices(range(len(chances)), chances, k=DRAWS))
        seen.add([together * situation + i for situation in drawn for i in range(together)])
    shows = [1 - (1 - chance) ** DRAWS for chance in chances]
    unseen = sum(it for i, it in enumerate(shows) if together * i not in seen.counts)
    return seen, unseen / sum(shows)


@pytest.mark.parametrize("together", [1, 4, 10, 30])
def test_bound_holds_however_many_kinds_come_together(together: int) -> None:
    """In 94 % or more of what was simulated; and it is a bound that says something."""
    held, errors, excess, runs = 0, 0.0, 0.0, 0
    for name in ("uniform", "zipf", "steep"):
        for windows in (30, 120):
            for seed in range(60):
                seen, truth = soaked(name, together, windows, seed)
                chance, at_most = good_turing(seen)
                assert chance <= at_most <= 1.0
                held += truth <= at_most
                errors += chance - truth
                excess += at_most - truth
                runs += 1
    assert held >= 0.94 * runs, f"{held} of {runs}"
    assert abs(errors) / runs < 0.01, "without a bias"
    assert excess / runs < 0.1


def test_where_all_was_seen_the_bound_is_small() -> None:
    for together in (1, 30):
        seen, truth = soaked("few", together, 120, 1)
        chance, at_most = good_turing(seen)
        assert (truth, chance) == (0.0, 0.0)
        assert 0.0 < at_most < 0.01


def of(*windows: Sequence[str]) -> Incidences[str]:
    seen: Incidences[str] = Incidences()
    for kinds_of_it in windows:
        seen.add(kinds_of_it)
    return seen


def counted(counts: Sequence[int], windows: int) -> Incidences[int]:
    """Kinds that were in so many windows each, begun in turn: none come together."""
    seen: Incidences[int] = Incidences()
    for at in range(windows):
        seen.add([k for k, n in enumerate(counts) if (at - k) % windows < n])
    return seen


def test_incidences_are_by_window() -> None:
    seen = of("abx", "aby", "az", "")
    assert seen.sizes == [3, 3, 2, 0]
    assert seen.counts == {"a": 3, "b": 2, "x": 1, "y": 1, "z": 1}
    assert seen.singletons() == [1, 1, 1, 0]
    assert list(seen.groups(2).values()) == [1]
    assert sorted(of("abc", "abd").groups().values()) == [1, 1, 2]


def test_what_comes_together_counts_as_one() -> None:
    """Ten kinds of one window are one thing seen once; each of its own window, they are ten."""
    usual = ["u"] * 20
    once = of(*usual, "u0123456789")
    apart = of(*(f"u{i}" for i in range(10)), *usual[:11])
    (chance, together), (same, each) = good_turing(once), good_turing(apart)
    assert chance == same == 10 / 31
    assert together > each


def test_all_seen_often_leaves_three_in_so_many() -> None:
    chance, at_most = good_turing(counted([100 - k for k in range(10)], 100))
    assert chance == 0.0
    assert at_most == pytest.approx(3 / 955, rel=0.02)


def test_all_seen_once_says_nothing_but_that() -> None:
    assert good_turing(counted([1] * 50, 50)) == (1.0, 1.0)


def test_nothing_seen_is_no_estimate() -> None:
    with pytest.raises(ValueError, match="nothing was seen"):
        good_turing(of())


def test_numbers_of_a_run() -> None:
    told = residual(counted([150, 99, 2, 1], 150), [0.0, 0.4, 7.0, 9.99], seconds=10.0, spent=0.1)
    assert (told.windows, told.observations, told.kinds) == (150, 252, 4)
    assert (told.singletons, told.doubletons) == (1, 1)
    assert told.discovery == (2, 0, 0, 0, 0, 0, 0, 1, 0, 1)
    assert told.new_per_minute == 24.0
    assert told.chance == pytest.approx(1 / 252, abs=1e-6)
    assert told.at_most is not None
    assert told.chance is not None
    assert told.at_most > told.chance
    assert told.assumptions == ASSUMPTIONS
    assert told.cost == 0.01
    assert told.too_little == ""


@pytest.mark.parametrize(
    ("kinds", "windows", "recorded", "says"),
    [
        (0, 0, True, "0 observations in 0 windows are too few"),
        (ENOUGH_OBSERVATIONS, ENOUGH_WINDOWS - 1, True, "are too few"),
        (ENOUGH_OBSERVATIONS // ENOUGH_WINDOWS, ENOUGH_WINDOWS, True, "run longer"),
        (0, 0, False, "the recorder is off"),
    ],
)
def test_too_little_is_no_number(kinds: int, windows: int, recorded: bool, says: str) -> None:
    seen = counted([windows] * kinds, windows)
    told = residual(seen, [], seconds=0.0, spent=0.0, recorded=recorded)
    assert (told.chance, told.at_most) == (None, None)
    assert says in told.too_little


def test_enough_is_a_number() -> None:
    kinds = -(-ENOUGH_OBSERVATIONS // ENOUGH_WINDOWS)
    seen = counted([ENOUGH_WINDOWS] * kinds, ENOUGH_WINDOWS)
    told = residual(seen, [0.1], seconds=1.0, spent=0.0)
    assert (told.chance, told.too_little) == (0.0, "")


# kinds of orders


def done(ticks: int, op: int, page: int = NO_PAGE, ret: int = 0, a: int = 0) -> Done:
    return ticks, int(op), ret, page, a, 0


ROLES = {1: WORKER, 2: WORKER, 3: MIGRATOR}


def orders(**events: list[Done]) -> set[looking.Kind]:
    """Of tasks named t1, t2, ...; offset 4096 * n is in page n."""
    by_task = {int(name[1:]): list(some) for name, some in events.items()}
    return kinds(by_task, ROLES, lambda offset: offset // PAGE_SIZE)


def test_three_in_a_row_on_a_page_by_two_tasks_are_a_kind() -> None:
    found = orders(
        t1=[done(1, OP.OP_ALLOC, 7), done(3, OP.OP_FREE, 7)],
        t3=[done(2, OP.OP_ISOLATE, 7)],
    )
    assert found == {
        (
            Step(0, WORKER, OP.OP_ALLOC, 0),
            Step(1, MIGRATOR, OP.OP_ISOLATE, 0),
            Step(0, WORKER, OP.OP_FREE, 0),
        )
    }


def test_one_task_alone_makes_no_order() -> None:
    alone = [done(i, OP.OP_FREE, 7) for i in range(9)]
    assert orders(t1=alone) == set()
    assert orders(t1=alone, t2=[done(4, OP.OP_FREE, 8)]) == set(), "on another page"
    assert orders(t1=alone[:2]) == set()


def test_segments_by_one_task_of_a_shared_page_are_none() -> None:
    found = orders(t1=[done(i, OP.OP_FREE, 7) for i in range(6)], t2=[done(9, OP.OP_ALLOC, 7)])
    assert found == {
        (
            Step(0, WORKER, OP.OP_FREE, 0),
            Step(0, WORKER, OP.OP_FREE, 0),
            Step(1, WORKER, OP.OP_ALLOC, 0),
        )
    }


def test_who_it_was_does_not_matter_but_whether_it_was_the_same() -> None:
    first, second, third = (done(i, OP.OP_FREE, 7) for i in range(3))
    assert orders(t1=[first, third], t2=[second]) == orders(t2=[first, third], t1=[second])
    assert orders(t1=[first, third], t2=[second]) != orders(t1=[first, second], t2=[third])
    assert orders(t1=[first, third], t2=[second]) != orders(t1=[first, third], t3=[second])


def test_order_and_result_tell_kinds_apart() -> None:
    around = [done(1, OP.OP_ALLOC, 7), done(5, OP.OP_ALLOC, 7)]
    moved, refused = (orders(t1=around, t3=[done(3, OP.OP_MIGRATE, 7, r, 9)]) for r in (0, -11))
    assert moved != refused
    later = orders(t1=around, t3=[done(6, OP.OP_MIGRATE, 7, -11)])
    assert later != refused


def test_unmap_is_on_the_page_of_its_map() -> None:
    mapped = [done(1, OP.OP_MAP, 7, a=64), done(3, OP.OP_UNMAP, a=64)]
    assert len(orders(t1=mapped, t2=[done(2, OP.OP_FREE, 7)])) == 1
    assert orders(t1=mapped[1:], t2=[done(2, OP.OP_FREE, 7), done(4, OP.OP_FREE, 7)]) == set()


def test_page_that_moved_is_touched_in_both_places() -> None:
    moves = [done(2, OP.OP_MIGRATE, 7, 0, 9 * PAGE_SIZE)]
    on_the_new = [done(3, OP.OP_FREE, 9), done(4, OP.OP_ALLOC, 9)]
    assert len(orders(t3=moves, t1=on_the_new)) == 1
    refused = [done(2, OP.OP_MIGRATE, 7, -11, 9 * PAGE_SIZE)]
    assert orders(t3=refused, t1=on_the_new) == set()


# windows


@pytest.fixture
def arena() -> Iterator[Arena]:
    with Arena(frames=16, tasks=3, ring=8) as arena:
        yield arena


def record(layout: Layout, task: int, *events: Done) -> None:
    """As the recorder does: the event, then the head."""
    for event in events:
        head = layout.task_field(task, "ring_head")
        at = layout.arena("rings") + (task * 8 + head % 8) * EVENT.size
        EVENT.pack_into(layout.buffer, at, *event)
        layout.poke("task", layout.task_offset(task), ring_head=head + 1)


def test_window_of_rings_that_are_whole(arena: Arena) -> None:
    one = [done(10, OP.OP_FREE, 1), done(30, OP.OP_FREE, 1)]
    two = [done(20, OP.OP_ALLOC, 1)]
    record(arena.layout, 1, *one)
    record(arena.layout, 2, *two)
    assert window(arena.layout, arena.layout.tasks()) == {1: one, 2: two, 3: []}


def test_window_begins_where_every_ring_is_whole(arena: Arena) -> None:
    """Eight places, of which one may be half written over: seven are whole."""
    many = [done(100 + i, OP.OP_FREE, 1) for i in range(20)]
    other = [done(t, OP.OP_ALLOC, 1) for t in (5, 112, 113, 114, 200)]
    record(arena.layout, 1, *many)
    record(arena.layout, 2, *other)
    assert window(arena.layout, arena.layout.tasks()) == {1: many[13:], 2: other[2:], 3: []}


def test_window_is_bounded(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "MOST", 3)
    events = [done(10 + i, OP.OP_FREE, 1) for i in range(6)]
    record(arena.layout, 1, *events)
    record(arena.layout, 2, done(9, OP.OP_ALLOC, 1), done(14, OP.OP_ALLOC, 1))
    assert window(arena.layout, arena.layout.tasks()) == {
        1: events[3:],
        2: [done(14, OP.OP_ALLOC, 1)],
        3: [],
    }


def meanwhile(
    arena: Arena, monkeypatch: pytest.MonkeyPatch, happens: Callable[[Layout], None]
) -> None:
    """Let something happen after the heads were read, and before the rings are copied."""
    layout = Layout(arena.memory)
    reads = 0

    def task_field(task: int, field: str) -> int:
        nonlocal reads
        value = layout.task_field(task, field)
        reads += 1
        if reads == 2 * len(layout.tasks()):
            happens(layout)
        return value

    monkeypatch.setattr(arena.layout, "task_field", task_field)


@pytest.mark.parametrize("more", [0, 1, 4, 7, 8, 30])
def test_what_was_written_over_during_the_copy_is_left_out(
    arena: Arena, monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    before = [done(10 + i, OP.OP_FREE, 1) for i in range(8)]
    record(arena.layout, 1, *before)
    record(arena.layout, 2, *(done(9 + i, OP.OP_ALLOC, 2) for i in range(9)))
    later = [done(50 + i, OP.OP_MAP, 3) for i in range(more)]
    meanwhile(arena, monkeypatch, lambda layout: record(layout, 1, *later))
    found = window(arena.layout, arena.layout.tasks())
    assert found.get(1, []) == before[1 + more :]
    begin = before[1 + more][0] if more < 7 else 100
    assert all(event[0] >= begin for event in found.get(2, []))
    assert sum(map(len, found.values())) > 0 or more >= 7


def test_ring_that_begins_anew_during_the_copy(
    arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(arena.layout, 1, *(done(10 + i, OP.OP_FREE, 1) for i in range(4)))
    meanwhile(
        arena, monkeypatch, lambda layout: layout.poke("task", layout.task_offset(1), ring_head=0)
    )
    assert window(arena.layout, arena.layout.tasks()) == {}


# a sampler


def test_sampler_counts_a_kind_once_a_window_and_rests(arena: Arena) -> None:
    dates = iter([0.0, 0.01, 5.0, 5.03])
    it = Sampler(arena.layout, clock=lambda: next(dates))
    for start in (10, 20):
        record(arena.layout, 1, done(start, OP.OP_FREE, 1), done(start + 2, OP.OP_FREE, 1))
        record(arena.layout, 2, done(start + 1, OP.OP_FREE, 1))
    assert it.sample(1.0)
    assert (len(it.seen.sizes), set(it.seen.counts.values())) == (1, {1})
    assert not it.sample(1.0 + 0.009 / BUDGET), "it rests"
    assert it.sample(1.0 + 0.011 / BUDGET)
    assert set(it.seen.counts.values()) == {2}
    assert it.spent == pytest.approx(0.04)
    assert it.discovered == [1.0] * len(it.seen.counts)


def test_without_a_recorder_nothing_is_looked_at() -> None:
    with Arena(frames=16, ring=0) as arena:
        it = Sampler(arena.layout)
        assert not it.sample(1.0)
        assert it.seen.sizes == []


# the report


def soak(**settings: Any) -> SoakReport:
    usual: dict[str, Any] = {"objects": 400, "workers": 3, "seed": 7, "quiet_interval": 0.5}
    return run(SoakSettings(**{**usual, **settings}))


def test_report_of_a_run_that_saw_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it has seen enough, however slow the machine."""
    monkeypatch.setattr(looking, "BUDGET", 1.0)
    for seconds in (4, 20, 80):
        report = soak(seconds=seconds)
        assert report.status == 0, as_text(report)
        told = report.to_json()["coverage"]
        if told["chance"] is not None:
            break
    assert told["windows"] >= ENOUGH_WINDOWS
    assert told["observations"] >= ENOUGH_OBSERVATIONS
    assert told["kinds"] == sum(told["discovery"]) > 0
    assert told["chance"] == pytest.approx(told["singletons"] / told["observations"], abs=1e-6)
    assert told["chance"] <= told["at_most"] <= 1
    assert tuple(told["assumptions"]) == ASSUMPTIONS
    text = as_text(report)
    assert (
        f"Interleavings: {told['kinds']:,} kinds of orders in {told['windows']:,} windows" in text
    )
    assert "residual risk: the next order is of a kind not seen yet in about" in text
    for assumption in ASSUMPTIONS:
        assert assumption in text


def test_report_of_a_short_run_has_no_number() -> None:
    report = soak(seconds=0.2)
    told = report.to_json()["coverage"]
    assert (told["chance"], told["at_most"]) == (None, None)
    assert told["windows"] < ENOUGH_WINDOWS
    assert "residual risk: not to be told; " in as_text(report)
    assert "run longer" in as_text(report)


def test_report_without_a_recorder_says_so() -> None:
    report = soak(seconds=0.2, ring=0)
    assert "residual risk: not to be told; the recorder is off" in as_text(report)


def test_nobody_looks_where_it_is_switched_off() -> None:
    report = soak(seconds=0.2, coverage=False)
    assert report.to_json()["coverage"] is None
    assert "Interleavings" not in as_text(report)
    assert "--no-coverage" in report.command
