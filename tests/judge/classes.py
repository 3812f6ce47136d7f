"""How many different executions there are, up to swaps of steps that do not depend on each other.

Two steps of different tasks depend on each other when they touch the same word and one of them
writes (a lock operation reads and writes its word, a wait reads it). Executions that are equal up
to swaps of independent neighbours are one trace (Mazurkiewicz); a step is told here by its whole
past, so a trace is the set of its steps' last ones. Counts the traces that end.
"""

from __future__ import annotations

from judge.machine import Machine
from judge.program import Program
from judge.search import MOST, Answer, TooLarge, alone, moves


def count(program: Program, most: int = MOST) -> int:
    """Raises TooLarge."""
    machine = Machine(program)
    words = alone(machine, program.actors, program.initial, Answer())
    if words is None:
        return 0
    locals_ = tuple(machine.begin(task).local for task in range(program.actors))
    start = locals_, words, program.budget
    numbers: dict[object, int] = {}
    nobody = (-1,) * program.actors
    seen = {nobody}
    todo = [(start, nobody, ((-1, frozenset[int]()),) * len(words))]
    ended = 0
    while todo:
        state, last, cells = todo.pop()
        ways = moves(machine, state)
        ended += not ways
        for task, after, step in ways:
            if step is None:
                raise ValueError("a death is no step of a trace")
            if step.verdict:
                ended += 1
                continue
            event = step.event
            writer, readers = cells[event.word]
            past = frozenset((writer, *readers)) if event.writes else frozenset((writer,))
            number = numbers.setdefault((task, last[task], past), len(numbers))
            trace = (*last[:task], number, *last[task + 1 :])
            if trace in seen:
                continue
            seen.add(trace)
            cell = (number, frozenset[int]()) if event.writes else (writer, readers | {number})
            todo.append((after, trace, (*cells[: event.word], cell, *cells[event.word + 1 :])))
        if len(seen) > most:
            raise TooLarge
    return ended
