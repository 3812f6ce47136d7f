"""All interleavings of a program, each state once.

Two walks. The first knows no clocks: which final states there are, which checks fail, whether all
can come to wait, what else ends an execution. The second has the clocks in its states, and asks
for a race. In both an execution goes on after a failing check: what fails is a set, and any
program that has only some of the checks has the answers of those.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from judge.machine import COUNT, LOCK, OWNER, Local, Machine, Step
from judge.order import Order
from judge.program import Program

MOST = 200_000


class TooLarge(Exception):
    """More states than are to be looked at."""


State = tuple[tuple[Local, ...], tuple[int, ...], tuple[int, int]]
"""The actors, the words, and how many may still die, and tries fail."""


@dataclass(slots=True)
class Answer:
    """What can come of a program."""

    finals: set[tuple[int, ...]] = field(default_factory=set)
    """The words when the actors have ended (or, where that is asked for, wait for ever)."""
    failed: set[int] = field(default_factory=set)
    """Checks that can fail; those of the finish run in the final states."""
    stuck: bool = False
    """Whether all that are left can come to wait."""
    orphaned: bool = False
    """The same, for a lock of somebody dead."""
    ends: set[str] = field(default_factory=set)
    """Verdicts that end an execution where they come up: misused locks and the like."""
    racy: bool = False
    states: int = 0

    @property
    def verdicts(self) -> set[str]:
        """All that may be said about it; none is said if this is empty."""
        return (
            self.ends
            | ({"invariant"} if self.failed else set())
            | ({"deadlock"} if self.stuck else set())
            | ({"orphaned-lock"} if self.orphaned else set())
            | ({"data-race"} if self.racy else set())
        )


def ask(program: Program, *, races: bool = True, most: int = MOST) -> Answer:
    """Raises TooLarge."""
    machine, answer = Machine(program), Answer()
    words = alone(machine, program.actors, program.initial, answer)
    if words is None:
        return answer
    locals_ = []
    for task in range(program.actors):
        begun = machine.begin(task)
        answer.failed |= begun.failed
        locals_.append(begun.local)
    start = tuple(locals_), words, program.budget
    _walk(machine, start, answer, most)
    if races:
        _walk_with_clocks(machine, start, answer, most)
    return answer


def alone(
    machine: Machine, task: int, words: tuple[int, ...], answer: Answer
) -> tuple[int, ...] | None:
    """The words after the set-up or the finish; None if it does not get to its end."""
    local, failed, _ = machine.begin(task)
    answer.failed |= failed
    while not machine.ended(task, local):
        word = machine.word_of(task, local)
        step = machine.step(task, local, words[word] if words else 0)
        if step is None or step.verdict:
            answer.ends.add("deadlock" if step is None else step.verdict)
            return None
        local = step.local
        answer.failed |= step.failed
        words = (*words[:word], step.value, *words[word + 1 :]) if words else words
    return words


def moves(machine: Machine, state: State) -> list[tuple[int, State, Step | None]]:
    """All that can come next: the task, the state then, the step (None: it dies)."""
    locals_, words, (deaths, failures) = state
    made: list[tuple[int, State, Step | None]] = []

    def add(task: int, local: Local, value: int | None, left: tuple[int, int], step: Step | None):
        after = words
        if value is not None and words:
            after = (*words[:word], value, *words[word + 1 :])
        made.append((task, ((*locals_[:task], local, *locals_[task + 1 :]), after, left), step))

    for task, local in enumerate(locals_):
        ended = machine.ended(task, local)
        if local.dead or (ended and not local.held):
            continue
        if deaths and task in machine.program.mortal:
            dead = Local(local.at, (), local.held, dead=True)
            add(task, dead, None, (deaths - 1, failures), None)
        if ended:
            continue
        word = machine.word_of(task, local)
        value = words[word] if words else 0
        step = machine.step(task, local, value)
        if step is None:
            continue
        add(task, step.local, step.value, (deaths, failures), step)
        fails = machine.failing(task, local, value) if failures else None
        if fails is not None:
            add(task, fails.local, fails.value, (deaths, failures - 1), fails)
    return made


def _walk(machine: Machine, start: State, answer: Answer, most: int) -> None:
    seen = {start}
    todo = [start]
    while todo:
        state = todo.pop()
        ways = moves(machine, state)
        if all(step is None for _, _, step in ways):
            _at_the_end(machine, state, answer)
        for _, after, step in ways:
            if step is not None:
                if step.verdict:
                    answer.ends.add(step.verdict)
                    continue
                answer.failed |= step.failed
            if after not in seen:
                seen.add(after)
                todo.append(after)
        if len(seen) > most:
            raise TooLarge
    answer.states = len(seen)


def _at_the_end(machine: Machine, state: State, answer: Answer) -> None:
    """Nobody has a step left."""
    locals_, words, _ = state
    program = machine.program
    left = [
        machine.word_of(task, local)
        for task, local in enumerate(locals_)
        if not local.dead and not machine.ended(task, local)
    ]
    if left and program.deadlock_ok:
        answer.finals.add(words)
        return
    orphaned = {
        word
        for task, local in enumerate(locals_)
        for word, reading in (local.held if local.dead else ())
        if (words[word] & LOCK >= COUNT if reading else words[word] & OWNER == task + 1)
    }
    if left:
        answer.orphaned |= bool(orphaned.intersection(left))
        answer.stuck |= not orphaned.issuperset(left)
        return
    if any(local.held and not local.dead for local in locals_):
        answer.ends.add("lock-misuse")  # somebody ended with a lock held
    if orphaned:
        answer.ends.add("orphaned-lock")
    if not orphaned and not any(local.held and not local.dead for local in locals_):
        answer.finals.add(words)
        alone(machine, program.actors + 1, words, answer)


def _walk_with_clocks(machine: Machine, start: State, answer: Answer, most: int) -> None:
    tasks = machine.program.actors
    order = Order(machine.program)
    begun = [machine.begin(task).fences for task in range(tasks)]
    views = tuple(order.pass_fences(order.nothing, fences) for fences in begun)
    first = start, views, (order.untouched,) * len(start[1])
    seen = {first}
    todo = [first]
    while todo:
        state, views, cells = todo.pop()
        for task, after, step in moves(machine, state):
            now, cells_after = views, cells
            if step is not None:
                if step.event is None:
                    continue
                word = step.event.word
                view, cell, racy = order.access(task, step.event, views[task], cells[word])
                if racy:
                    answer.racy = True
                    return
                if step.verdict:
                    continue
                view = order.pass_fences(view, step.fences)
                now = (*views[:task], view, *views[task + 1 :])
                cells_after = (*cells[:word], cell, *cells[word + 1 :])
            following = after, now, cells_after
            if following not in seen:
                seen.add(following)
                todo.append(following)
        if len(seen) > most:
            raise TooLarge
