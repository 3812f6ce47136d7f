"""The same questions to the judge and to the engine's exhaustive searches.

A question is a scenario, whether races are a verdict, and what the judge says can be found. One
program makes several: a verdict ends an execution, so each is asked for by itself (the others'
checks left out, races muted), and so is each final state, by a finish that expects another one.
Whatever a search finds must be among what can be; one that says "complete" must have found
something where anything can be.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from judge.program import program_of
from judge.search import Answer, ask
from z3fold_stress.designs import resolve
from z3fold_stress.explore.explorer import Budget, Exploration, Status, explore
from z3fold_stress.scenario import Scenario, op
from z3fold_stress.scenario.value import Op
from z3fold_stress.verdicts import Verdict

SEARCHES = (("dfs", False), ("dpor", False), ("dfs", True), ("dpor", True))
"""Strategies without a bound; whether every access is a schedule point."""
MOST_EXECUTIONS = 100_000
"""Of one search. One that is cut there claims nothing, and is asked only for what it found."""
MOST_STATES = 60
"""Final states that one finish can tell apart in reasonable time."""


@dataclass(frozen=True, slots=True)
class Question:
    """``about``: what is asked, for people."""

    about: str
    scenario: Scenario
    races: bool
    possible: frozenset[str]


@dataclass(frozen=True, slots=True)
class Disagreement:
    question: Question
    strategy: str
    every_access: bool
    says: str

    @property
    def search(self) -> str:
        return f"{self.strategy}{' --every-access' if self.every_access else ''}"

    def __str__(self) -> str:
        judge = ", ".join(sorted(self.question.possible)) or "nothing can be found"
        return f"{self.question.about}: {self.search} says {self.says}; the judge: {judge}"


@dataclass(slots=True)
class Tally:
    """What was compared."""

    programs: int = 0
    questions: int = 0
    searches: int = 0
    cut: int = 0
    """Searches that came to no end."""
    executions: int = 0
    found: int = 0
    disagreements: list[Disagreement] = field(default_factory=list)


def questions(scenario: Scenario, answer: Answer, checks: Sequence[str]) -> Iterator[Question]:
    """``checks``: the labels of the numbers in ``answer.failed``."""
    ends = frozenset(answer.ends)
    everything = frozenset(answer.verdicts)
    yield Question("the program", scenario, True, everything)
    if answer.racy:
        yield Question("without races", scenario, False, everything - {"data-race"})
    bare = without_checks(scenario, lambda message: False)
    if answer.verdicts - {"deadlock"}:
        stuck = {"deadlock"} if answer.stuck else set()
        stuck |= {"orphaned-lock"} if answer.orphaned else set()
        yield Question("deadlocks alone", bare, False, ends | stuck)
    quiet = replace(bare, deadlock_ok=True)
    if answer.failed or answer.stuck or answer.orphaned:
        race = {"data-race"} if answer.racy else set()
        yield Question("races alone", quiet, True, ends | race)
    failed = {checks[number].split(": ", 1)[1] for number in answer.failed}
    messages = dict.fromkeys(label.split(": ", 1)[1] for label in checks)
    for message in messages if len(messages) > 1 else ():
        alone = without_checks(scenario, lambda each, message=message: each == message)
        possible = {"invariant"} if message in failed else set()
        yield Question(f"{message} alone", replace(alone, deadlock_ok=True), False, ends | possible)
    yield from _states(quiet, answer, ends)


def _states(quiet: Scenario, answer: Answer, ends: frozenset[str]) -> Iterator[Question]:
    """Any final state but those that can be; and some that can be, one by one."""
    words = list(program_of(quiet).words)
    if not words or len(words) > 7 or not 0 < len(answer.finals) <= MOST_STATES:
        return
    finals = sorted(answer.finals)
    known = [*_loads(words), op.set("ok", 0)]
    known += [_when(words, state, [op.set("ok", 1)]) for state in finals]
    known.append(op.expect("ok", "==", 1, "a final state that can be"))
    yield Question("other final states", replace(quiet, finish=known), False, ends)
    chosen = finals if len(finals) <= 3 else random.Random(len(finals)).sample(finals, 3)
    for state in chosen:
        never = [op.expect(_register(0), "!=", _signed(state[0]), "this final state")]
        finish = [*_loads(words), _when(words, state, never)]
        about = "final state " + ", ".join(
            f"{word}={_signed(value)}" for word, value in zip(words, state, strict=True)
        )
        yield Question(about, replace(quiet, finish=finish), False, ends | {"invariant"})


def _register(number: int) -> str:
    return f"w{number}"


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _loads(words: Sequence[str]) -> list[Op]:
    return [op.load(word, _register(number)) for number, word in enumerate(words)]


def _when(words: Sequence[str], state: Sequence[int], body: list[Op]) -> Op:
    """The body, if the words are as in this state."""
    for number in range(len(words)):
        body = [op.when(_register(number), "==", _signed(state[number]), body)]
    return body[0]


def without_checks(scenario: Scenario, keep: Callable[[str], bool]) -> Scenario:
    """The scenario with only those expects whose message is to be kept."""

    def left(ops: Iterable[Op]) -> list[Op]:
        made = []
        for one in ops:
            if one.name == "expect" and not keep(one.named["message"]):
                continue
            if one.body:
                body = left(one.body)
                if not body:
                    continue
                one = replace(one, body=tuple(body))
            made.append(one)
        return made

    nothing = [op.might_sleep()]  # an actor has to do something; it holds no lock before
    return replace(
        scenario,
        setup=left(scenario.setup),
        actors={name: left(ops) or nothing for name, ops in scenario.actors.items()},
        finish=left(scenario.finish),
    )


def search(
    question: Question, strategy: str, every_access: bool, most: int = MOST_EXECUTIONS
) -> Exploration:
    return explore(
        question.scenario,
        resolve(question.scenario.design),
        strategy=strategy,
        bound=-1,
        budget=Budget(executions=most),
        races=question.races,
        every_access=every_access,
    )


def found_by(exploration: Exploration) -> frozenset[str]:
    """Verdicts; the order of locks is a warning, and no execution's."""
    return frozenset(str(each) for each in exploration.verdicts - {Verdict.LOCK_ORDER})


def complaint(question: Question, exploration: Exploration) -> str | None:
    """What a search says that cannot be true; None: it agrees, or claims nothing."""
    found = found_by(exploration)
    wrong = found - question.possible
    if wrong:
        return f"found {', '.join(sorted(wrong))}"
    if found or exploration.status is Status.CLEAN:
        return None
    if not exploration.claims:
        return f"{exploration.status} after {exploration.executions} executions"
    if question.possible:
        return f"complete after {exploration.executions} executions"
    return None


def compare(
    scenario: Scenario,
    tally: Tally,
    most: int = MOST_EXECUTIONS,
) -> list[Disagreement]:
    """All that the searches say wrong about one program, which is also added to the tally."""
    program = program_of(scenario)
    answer = ask(program)
    wrong = []
    tally.programs += 1
    for question in questions(scenario, answer, program.checks):
        tally.questions += 1
        for strategy, every_access in SEARCHES:
            exploration = search(question, strategy, every_access, most)
            tally.searches += 1
            tally.executions += exploration.executions
            tally.found += bool(found_by(exploration))
            tally.cut += not found_by(exploration) and exploration.status is Status.CLEAN
            says = complaint(question, exploration)
            if says is not None:
                wrong.append(Disagreement(question, strategy, every_access, says))
    tally.disagreements += wrong
    return wrong
