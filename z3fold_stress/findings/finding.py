"""A finding: scenario, design and schedule of one failure, with what it was, as one JSON value.

Two forms: a file, for people and programs, and a line (``zs1:...``) to paste.  Both hold all that
a replay needs.  Loading either checks everything and runs nothing.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import z3fold_stress
from z3fold_stress import _sim
from z3fold_stress._vocabulary import NO_TASK, Decision
from z3fold_stress.designs import Design, resolve
from z3fold_stress.explore.explorer import Found
from z3fold_stress.explore.world import MAX_STEPS, World, known_release_sequence
from z3fold_stress.findings.evidence import Evidence, Schedule, gather, order_text
from z3fold_stress.findings.identity import SCHEME, Identity, words
from z3fold_stress.scenario import Scenario
from z3fold_stress.verdicts import Verdict

__all__ = ["PREFIX", "VERSION", "Finding", "FindingError", "load_finding", "make_finding"]

VERSION = 1
PREFIX = "zs1:"


class FindingError(ValueError):
    """Not a finding, or one that this version cannot read; the message says which and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One failure, replayable."""

    scenario: Scenario
    design: str
    schedule: Schedule
    lead: tuple[Schedule, ...] = ()
    """Of a lock-order finding, schedules of executions that show its cycle: nothing went wrong in
    them.  Older findings have several."""
    verdict: Verdict
    where: str
    text: str
    signature: str
    scheme: int = SCHEME
    """By which rules the signature was made: see identity.py."""
    hash: str
    """Of all events of the replay, 16 hex digits."""
    max_steps: int = MAX_STEPS
    races: bool = True
    """Whether data races were looked for."""
    lifetimes: bool = True
    """Whether an access to what was freed ended it; without, only the subject's own checks."""
    release_sequence: str = "c11"
    """By which standard a relaxed store continues one."""
    repeated: bool = True
    """Whether doing it again showed the same.  One that did not is kept, as what it is: it accuses
    nobody, and it is no pass."""
    sides: tuple[dict[str, Any], ...] = ()
    steps: int = 0
    switches: int = 0
    preemptions: int = 0
    found: dict[str, Any] = field(default_factory=dict)
    """seed, strategy, executions: how it was found."""
    version: str = z3fold_stress.__version__
    build: str = _sim.BUILD
    """Of the engine's sources."""

    def to_json(self) -> dict[str, Any]:
        return {
            "finding": VERSION,
            "verdict": str(self.verdict),
            "text": self.text,
            "signature": self.signature,
            "scheme": self.scheme,
            "scenario": self.scenario.to_json(),
            "content": self.scenario.content_hash(),
            "design": self.design,
            "schedule": [list(choice) for choice in self.schedule],
            "lead": [[list(choice) for choice in one] for one in self.lead],
            "where": self.where,
            "repeated": self.repeated,
            "sides": list(self.sides),
            "steps": self.steps,
            "switches": self.switches,
            "preemptions": self.preemptions,
            "hash": self.hash,
            "max_steps": self.max_steps,
            "races": self.races,
            "lifetimes": self.lifetimes,
            "release_sequence": self.release_sequence,
            "found": self.found,
            "version": self.version,
            "build": self.build,
            "replay": "z3fold-stress replay THIS_FILE",
        }

    def dumps(self) -> str:
        return json.dumps(self.to_json(), indent=1) + "\n"

    def line(self) -> str:
        """The finding as one word to paste: all but what only people read."""
        short = self.to_json()
        for name in ("sides", "found", "replay"):
            del short[name]
        packed = zlib.compress(json.dumps(short, separators=(",", ":")).encode(), 9)
        return PREFIX + base64.urlsafe_b64encode(packed).decode().rstrip("=")

    @staticmethod
    def from_json(value: Any) -> Finding:
        """Raises FindingError for what is none, of another version, or changed since."""
        if not isinstance(value, dict) or "finding" not in value:
            raise FindingError("not a finding: it has no key 'finding'")
        if type(value["finding"]) is not int or value["finding"] != VERSION:
            raise FindingError(
                f"a finding of version {value['finding']!r}: this z3fold-stress reads version "
                f"{VERSION}; use the one that wrote it ({value.get('version', 'unknown')})"
            )
        try:
            scenario = Scenario.from_json(value["scenario"])
            finding = Finding(
                scenario=scenario,
                design=resolve(_text(value, "design")).name,
                schedule=_schedule(value["schedule"], scenario),
                lead=tuple(_schedule(one, scenario) for one in value.get("lead", [])),
                verdict=Verdict(value["verdict"]),
                where=_text(value, "where"),
                text=_text(value, "text"),
                signature=_text(value, "signature"),
                scheme=_count(value.get("scheme", 1)),
                hash=_text(value, "hash"),
                max_steps=_count(value.get("max_steps", MAX_STEPS)),
                races=bool(value.get("races", True)),
                lifetimes=bool(value.get("lifetimes", True)),
                release_sequence=known_release_sequence(value.get("release_sequence", "c11")),
                repeated=bool(value.get("repeated", True)),
                sides=tuple(value.get("sides", ())),
                steps=_count(value.get("steps", 0)),
                switches=_count(value.get("switches", 0)),
                preemptions=_count(value.get("preemptions", 0)),
                found=dict(value.get("found", {})),
                version=str(value.get("version", "unknown")),
                build=str(value.get("build", "unknown")),
            )
        except KeyError as missing:
            raise FindingError(f"a damaged finding: it has no key {missing}") from None
        except (TypeError, ValueError, AttributeError, RecursionError) as error:
            raise FindingError(f"a damaged finding: {error}") from None
        if value.get("content") != scenario.content_hash():
            raise FindingError(
                "the scenario in this finding was changed after it was found: its schedule means "
                "nothing for another scenario; explore the changed one instead"
            )
        return finding


def _text(value: dict[str, Any], key: str) -> str:
    if not isinstance(value[key], str):
        raise ValueError(f"{key!r} must be text")
    return str(value[key])


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31:
        raise ValueError(f"{value!r} is no count")
    return value


def _schedule(value: Any, scenario: Scenario) -> Schedule:
    choices = []
    actors = len(scenario.actors)
    for choice in value:
        if (
            not isinstance(choice, (list, tuple))
            or len(choice) != 4
            or not all(type(n) is int and 0 <= n < 2**63 for n in choice)
        ):
            raise ValueError(f"{choice!r} is no intervention of a schedule")
        task, at, decision, to = choice
        if (
            not (task < actors or task == NO_TASK)
            or to >= max(actors, 1)
            or decision > Decision.DECIDE_START
        ):
            raise ValueError(f"the intervention {choice!r} names a task that there is not")
        choices.append((task, at, decision, to))
    return tuple(choices)


def load_finding(text_or_path: str) -> Finding:
    """From a line ``zs1:...``, or the path of a file.  Raises FindingError."""
    if text_or_path.startswith(PREFIX):
        return _from_line(text_or_path)
    path = Path(text_or_path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise FindingError(f"{text_or_path}: {error.strerror or error}") from None
    except ValueError as error:
        raise FindingError(f"no file has this name: {error}") from None
    if raw.startswith(PREFIX.encode()):
        return _from_line(raw.decode(errors="replace").strip())
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise FindingError(f"{text_or_path} is not a finding: {error}") from None
    return Finding.from_json(value)


def _from_line(line: str) -> Finding:
    word = line[len(PREFIX) :].strip()
    try:
        packed = base64.b64decode(word + "=" * (-len(word) % 4), altchars=b"-_", validate=True)
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(packed, 16 << 20)
        if not unpacker.eof:
            raise ValueError("it is cut short")
        value = json.loads(text)
    except (ValueError, binascii.Error, zlib.error, RecursionError) as error:
        raise FindingError(
            f"a corrupted replay string: {error}; copy all of it, from {PREFIX} to its end"
        ) from None
    return Finding.from_json(value)


def lead_of(found: Found) -> tuple[Schedule, ...]:
    """The execution that shows a lock-order cycle; none for other verdicts."""
    if found.verdict is not Verdict.LOCK_ORDER:
        return ()
    return (tuple(map(tuple, found.outcome["schedule"])),)


def make_finding(
    world: World, found: Found, *, seed: int = 0, evidence: Evidence | None = None
) -> tuple[Finding, Evidence]:
    """A finding from what an exploration met: done again, with everything recorded.

    Where doing it again shows something else the finding is not ``repeated``: something outside
    the arena decides, or the tool is at fault.  Either way it is kept as it was met.
    """
    schedule = tuple(map(tuple, found.outcome["schedule"]))
    lead = lead_of(found)
    text = order_text(world, found.outcome["cycle"]) if lead else ""
    evidence = evidence or gather(world, schedule, lead, text=text)
    how = {"seed": seed, "strategy": found.arm.name, "executions": found.execution}
    repeated = evidence.verdict is found.verdict
    if not repeated:
        evidence = as_met(found, evidence)
    return replace(finding_of(world, evidence, lead, how), repeated=repeated), evidence


def as_met(found: Found, again: Evidence) -> Evidence:
    """What the exploration itself said of an execution that did not repeat."""
    outcome = found.outcome
    told = outcome["verdict"] or {"where": str(found.verdict), "text": str(found.verdict)}
    shown = again.verdict or "nothing"
    identity = Identity(found.verdict, "did not repeat", (told["where"], words(told["text"])))
    return Evidence(
        verdict=found.verdict,
        where=told["where"],
        text=f"{told['text']} (this did not repeat: doing the same again shows {shown})",
        hash=outcome["hash"],
        steps=outcome["steps"],
        switches=outcome["switches"],
        preemptions=outcome["preemptions"],
        schedule=tuple(map(tuple, outcome["schedule"])),
        unused=0,
        signature=identity.signature,
    )


def finding_of(
    world: World, evidence: Evidence, lead: Sequence[Schedule], found: dict[str, Any]
) -> Finding:
    assert evidence.verdict is not None
    return Finding(
        scenario=world.scenario,
        design=world.design.name,
        schedule=evidence.schedule,
        lead=tuple(lead),
        verdict=evidence.verdict,
        where=evidence.where,
        text=evidence.text,
        signature=evidence.signature,
        hash=f"{evidence.hash:016x}",
        max_steps=world.max_steps,
        races=world.races,
        lifetimes=world.lifetimes,
        release_sequence=world.release_sequence,
        sides=tuple(side.to_json() for side in evidence.sides),
        steps=evidence.steps,
        switches=evidence.switches,
        preemptions=evidence.preemptions,
        found=found,
    )


def design_of(finding: Finding) -> Design:
    return resolve(finding.design)


def checks_of(finding: Finding) -> dict[str, Any]:
    """What its world looks at, as that takes it."""
    names = ("races", "lifetimes", "release_sequence", "max_steps")
    return {name: getattr(finding, name) for name in names}


def world_of(finding: Finding, scenario: Scenario | None = None) -> World:
    """The world that a finding is of, or the same with another scenario."""
    return World(scenario or finding.scenario, design_of(finding), **checks_of(finding))
