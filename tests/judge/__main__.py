"""From tests/: ``python -m judge`` compares many programs, and prints where there is disagreement,
made small, as scenario files. Exit status 1 where there is any."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import replace

from judge import allocator, compare, generate, shrink
from judge.compare import Disagreement, Question
from judge.program import program_of
from judge.ratio import MOST_RATIO, Ratio, measure
from judge.search import TooLarge, ask
from z3fold_stress.scenario import Scenario

SHOWN = 10
"""Disagreements that are made small and printed."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="judge", description=__doc__)
    parser.add_argument(
        "what", choices=("words", "allocator", "classes"), nargs="?", default="words"
    )
    parser.add_argument("--programs", type=int, default=1000, help="how many (default: 1000)")
    parser.add_argument("--first", type=int, default=0, help="the number of the first")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so many")
    parser.add_argument("--executions", type=int, help="the most of one search")
    parser.add_argument(
        "--features",
        default=",".join(sorted(generate.FEATURES)),
        help="of the programs on words (default: all)",
    )
    options = parser.parse_args()
    began = time.monotonic()

    def numbers() -> list[int]:
        return list(range(options.first, options.first + options.programs))

    def over() -> bool:
        return time.monotonic() - began > options.seconds

    run = {"words": words, "allocator": allocators, "classes": ratios}[options.what]
    return run(options, numbers(), over)


def words(options: argparse.Namespace, numbers: list[int], over: Callable[[], bool]) -> int:
    tally, large, shown = compare.Tally(), 0, 0
    most = options.executions or compare.MOST_EXECUTIONS
    for number in numbers:
        if over():
            break
        scenario = generate.generate(options.seed, number, options.features.split(","))
        try:
            wrong = compare.compare(scenario, tally, most)
        except TooLarge:
            large += 1
            continue
        if wrong and shown < SHOWN:
            shown += 1
            print(f"\n# {scenario.name}: {len(wrong)} disagreements", flush=True)
            print(small(wrong[0], most), flush=True)
    print(
        f"{tally.programs} programs ({large} too large for the judge), "
        f"{tally.questions} questions, "
        f"{tally.searches} searches ({tally.found} found, {tally.cut} cut), "
        f"{tally.executions} executions: {len(tally.disagreements)} disagreements"
    )
    return bool(tally.disagreements)


def small(wrong: Disagreement, most: int) -> str:
    """A file of what a search says wrong, with as little in it as possible."""

    def asked(scenario: Scenario) -> Question:
        possible = ask(program_of(scenario), races=wrong.question.races).verdicts
        return replace(wrong.question, scenario=scenario, possible=frozenset(possible))

    def says(scenario: Scenario) -> str | None:
        try:
            question = asked(scenario)
        except TooLarge:
            return None
        return compare.complaint(
            question, compare.search(question, wrong.strategy, wrong.every_access, most)
        )

    least = shrink.shrink(wrong.question.scenario, lambda each: says(each) is not None)
    question = asked(least)
    story = str(replace(wrong, question=question, says=says(least) or wrong.says))
    races = "" if question.races else " --no-races"
    story = f"{story}.\n\nexplore FILE --strategy {wrong.search} --bound -1{races}\n"
    return shrink.text_of(least, story)


def allocators(options: argparse.Namespace, numbers: list[int], over: Callable[[], bool]) -> int:
    tally, shown = allocator.Tally(), 0
    most = options.executions or allocator.MOST_EXECUTIONS
    for number in numbers:
        if over():
            break
        scenario = allocator.generate(options.seed, number)
        wrong = allocator.compare(scenario, tally, bool(number % 3), most)
        if wrong and shown < SHOWN:
            shown += 1
            print(f"\n# {scenario.name}", flush=True)
            print(small_allocator(wrong[0], most), flush=True)
    print(
        f"{tally.programs} programs of the allocator ({tally.found} with a find, {tally.complete} "
        f"with a complete search, {tally.checked} of all that another search could refute), "
        f"{tally.executions} executions: {len(tally.contradictions)} contradictions"
    )
    return bool(tally.contradictions)


def small_allocator(wrong: allocator.Contradiction, most: int) -> str:
    shares = {(one, every): share for one, every, share in allocator.SEARCHES}

    def again(scenario: Scenario) -> list[allocator.Said]:
        return [
            allocator.search(
                scenario,
                said.strategy,
                said.every_access,
                wrong.races,
                most * shares[said.strategy, said.every_access],
            )
            for said in (wrong.complete, wrong.finds)
        ]

    def shows(scenario: Scenario) -> bool:
        complete, finds = again(scenario)
        return complete.complete and bool(allocator.found_by(finds.exploration))

    least = shrink.shrink(wrong.scenario, shows)
    races = "" if wrong.races else " --no-races"
    story = "\n".join(str(said) for said in again(least))
    return shrink.text_of(least, f"{story}\n\n(bound -1{races})\n")


def ratios(options: argparse.Namespace, numbers: list[int], over: Callable[[], bool]) -> int:
    made = Ratio()
    for number in numbers:
        if over():
            break
        measure(generate.generate(options.seed, number, options.features.split(",")), made)
    print(made)
    return made.average > MOST_RATIO


if __name__ == "__main__":
    sys.exit(main())
