"""The text report of a failure, at most 40 lines: what it is in one sentence, who was where with
which locks, which order is missing, and a column for each task with the steps that mattered.

After Lincheck's: time goes down, a step stands in the column of its task.  What does not matter is
folded away; ``--json`` and the finding's file have all of it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from z3fold_stress._vocabulary import HEADER_SIZE, OWNER_MASK, PAGE_SIZE
from z3fold_stress.defects import DEFECTS
from z3fold_stress.explore.names import Names
from z3fold_stress.explore.sites import subject_site
from z3fold_stress.explore.world import World
from z3fold_stress.findings.evidence import Event, Evidence
from z3fold_stress.findings.finding import Finding
from z3fold_stress.findings.shrink import Flip
from z3fold_stress.verdicts import Verdict

__all__ = ["report_text", "summary_line", "unrepeated_text"]

LINES = 40
COLUMNS = 4
WIDTH = 100
QUIET = {"begins", "access", "load", "store"}
ORDERING = {
    Verdict.DATA_RACE: "Nothing orders the second after the first: no lock that both hold, no "
    "release by the first that the second acquires.",
    Verdict.DEADLOCK: "Each waits for what another holds; none can let go first.",
    Verdict.LOCK_ORDER: "Both orders happen: two tasks that meet half way wait for ever.",
}


def summary_line(finding: Finding) -> str:
    """One line: what, where, in which design."""
    return f"{finding.verdict}: {finding.text} ({finding.scenario.name}, {finding.design})"


def unrepeated_text(finding: Finding, saved: str = "") -> str:
    """Of a failure that was met once: what is known of it, which is no accusation."""
    found = finding.found
    told = (
        "This is no verdict about the design, and no pass: either something outside the arena "
        "decides, or this is a bug in z3fold-stress. Please report it with this finding."
    )
    return "\n".join(
        [
            f"DID NOT REPEAT: {finding.verdict} in scenario {finding.scenario.name}, "
            f"design {finding.design}",
            *_wrap(finding.text + "."),
            *_wrap(told),
            f"Met by {found.get('strategy', '?')}, seed {found.get('seed', '?')}, execution "
            f"{found.get('executions', '?')}; schedule of {len(finding.schedule)} choices",
            f"Kept: {saved or finding.line()}",
        ]
    )


def _wrap(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent + "  ", break_on_hyphens=False
    )


def report_text(
    world: World,
    finding: Finding,
    evidence: Evidence,
    *,
    flip: Flip | None = None,
    saved: str = "",
) -> str:
    """The whole report, without a final newline."""
    names = Names(world)
    head = [
        f"{finding.verdict.upper()} in scenario {finding.scenario.name}, design {finding.design}",
        *_wrap(finding.verdict.meaning),
        *_wrap(evidence.text + "."),
        "",
        *_who(evidence),
    ]
    foot = [*_ends(finding, flip, saved)]
    room = max(8, LINES - len(head) - len(foot) - 3)
    return "\n".join([*head, "", *_columns(world, names, evidence, room), "", *foot])


def _who(evidence: Evidence) -> list[str]:
    lines = []
    for number, side in enumerate(evidence.sides[:4], 1):
        mark = f"({number}) " if len(evidence.sides) > 1 else ""
        lines.append(f"{mark}{side.task}: {side.what}"[:WIDTH])
        where = [site for site in side.chain if not site.startswith(("sync/", "base/"))]
        if where and not where[0].startswith("run/"):
            lines.append(f"    at {' < '.join(where[:3])}"[:WIDTH])
        lines.append(f"    holding {', '.join(side.held) or 'no lock'}"[:WIDTH])
    if evidence.verdict in ORDERING:
        lines += _wrap(ORDERING[evidence.verdict])
    return lines


def _ends(finding: Finding, flip: Flip | None, saved: str) -> list[str]:
    lines = []
    if flip is not None:
        lines += _wrap(str(flip))
    if finding.verdict is Verdict.DATA_RACE and finding.release_sequence != "c11":
        lines.append("A release sequence ends as C++20 has it (--release-sequence c20)")
    stories = [name for name in finding.scenario.shows if name in DEFECTS]
    if stories:
        lines.append(f"The story: z3fold-stress defects {stories[0]}")
    lines.append(f"Replay: z3fold-stress replay {saved or finding.line()}")
    return lines


# the columns


def _source(world: World, event: Event) -> str:
    actors = world.compiled.actors
    if event.task >= len(actors):
        return ""
    source = actors[event.task].source
    return source[event.at] if event.at < len(source) else ""


def _matters(event: Event, around: Sequence[int]) -> bool:
    """A step on the memory or the lock that the failure is about: of a page's header only locks
    and references."""
    return any(
        event.object <= at < event.object + max(event.size, 1)
        or (
            at % PAGE_SIZE == 0
            and at <= event.object < at + HEADER_SIZE
            and event.kind not in QUIET
        )
        for at in around
    )


def _step(names: Names, event: Event) -> str:
    if event.kind == "fails":
        return "! fails on purpose"
    if event.kind == "dies":
        return "! dies here"
    site = subject_site(event.sites)
    what = event.kind
    if event.kind == "access":
        what = "store" if event.writes else "load"
    if event.kind in ("allocates", "frees"):
        return f"  {event.kind} {names.memory(event.object)}"
    said = f"{what} {names.of(event.object)}"
    if event.kind == "trylock":
        said += " (busy)" if event.value & OWNER_MASK else ""
    if event.size in (4, 8) and event.kind in ("access", "load", "store", "atomic"):
        said += f" = {event.value:#x}" if event.value > 9 else f" = {event.value}"
    return f"  {said}" + (f"  {site.file.rpartition('/')[2]}:{site.line}" if site.file else "")


def _rows(world: World, names: Names, evidence: Evidence) -> list[tuple[int, str, int]]:
    """(task, text, weight): the heavier, the later it is folded away."""
    rows: list[tuple[int, str, int]] = []
    around = sorted(evidence.objects)
    tasks = len(world.compiled.actors)
    before = -1
    folded = 0
    for event in evidence.events:
        if event.task >= tasks:
            continue
        if event.task != before:
            folded = _flush(rows, before, folded)
        if event.kind == "begins":
            folded = _flush(rows, event.task, folded)
            source = _source(world, event)
            if source and source != "end":
                rows.append((event.task, source, 3))
        elif event.kind in ("fails", "dies", "frees"):
            rows.append((event.task, _step(names, event), 4))
        elif _matters(event, around):
            folded = _flush(rows, event.task, folded)
            row = (event.task, _step(names, event), 2)
            if not rows or rows[-1] != row:
                rows.append(row)
        elif event.kind not in QUIET:
            folded += 1
        before = event.task
    _flush(rows, before, folded)
    return rows


def _flush(rows: list[tuple[int, str, int]], task: int, folded: int) -> int:
    if folded and task >= 0:
        rows.append((task, f"  ... {folded} step{'s' if folded > 1 else ''}", 1))
    return 0


def _fold(rows: list[tuple[int, str, int]], room: int) -> list[tuple[int, str, int]]:
    """At most ``room`` rows: first the counts go, then from the beginning what is oldest."""
    for weight in (1, 2):
        light = [i for i, row in enumerate(rows[:-6]) if row[2] == weight]
        fold = set(light[: max(0, len(rows) - room)])
        rows = [row for i, row in enumerate(rows) if i not in fold]
    if len(rows) > room:
        gone = len(rows) - room + 1
        rows = [(rows[gone][0], f"  ... {gone} lines before", 1), *rows[gone:]]
    return rows


def _columns(world: World, names: Names, evidence: Evidence, room: int) -> list[str]:
    every_row = _rows(world, names, evidence)
    shown = _who_matters(world, evidence, every_row)
    rows = _fold([row for row in every_row if row[0] in shown], room - 3)
    if not rows:
        return ["(no steps of a task were recorded)"]
    present = sorted({task for task, _, _ in rows})
    width = max(24, (WIDTH + 20) // len(present) - 3)
    lines = [
        " | ".join(f"{world.actor(task)[:width]:<{width}}" for task in present).rstrip(),
        "-+-".join("-" * width for _ in present),
    ]
    for task, text, _ in rows:
        cells = [
            (text if len(text) <= width else text[: width - 1] + "~") if task == at else ""
            for at in present
        ]
        lines.append(" | ".join(f"{cell:<{width}}" for cell in cells).rstrip())
    others = len({task for task, _, _ in every_row}) - len(present)
    if others > 0:
        lines.append(f"(and {others} other task{'s' if others > 1 else ''}, left out here)")
    return lines


def _who_matters(
    world: World, evidence: Evidence, rows: Sequence[tuple[int, str, int]]
) -> set[int]:
    """At most COLUMNS tasks: those that the failure names, then those that ran last."""
    named = {side.task for side in evidence.sides}
    chosen = [task for task in range(len(world.compiled.actors)) if world.actor(task) in named]
    chosen += [task for task, _, _ in reversed(rows)]
    return set(list(dict.fromkeys(chosen))[:COLUMNS])
