"""The report of a soak: what was found, and the evidence when nothing was. One object, told as
text for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from z3fold_stress import _live
from z3fold_stress.explore.names import Names
from z3fold_stress.findings.soak_identity import soak_identity
from z3fold_stress.judgement import AuditFinding, Judgement
from z3fold_stress.soak.death import Death
from z3fold_stress.soak.processes import Member
from z3fold_stress.soak.residual import Residual
from z3fold_stress.soak.series import Series
from z3fold_stress.soak.settings import SoakSettings
from z3fold_stress.soak.statistics import LockNumbers, Statistics

if TYPE_CHECKING:
    from z3fold_stress.soak.accesses import AccessChecks

__all__ = ["Course", "SoakReport"]


@dataclass(slots=True)
class Course:
    """What happened in a run, apart from what the arena records."""

    seconds: float = 0.0
    interrupted: bool = False
    ended: str = ""
    """What ended it early, other than a verdict."""
    quiet_points: int = 0
    restarts: int = 0
    deaths: list[Death] = field(default_factory=list)
    findings: list[AuditFinding] = field(default_factory=list)
    density: dict[str, float] = field(default_factory=dict)
    coverage: Residual | None = None


@dataclass(frozen=True, slots=True)
class SoakReport:
    """What a soak did and found. Rates are a second, over all tasks."""

    design: str
    seed: int
    seconds: float
    judgements: list[Judgement]
    findings: list[AuditFinding]
    interrupted: bool
    ended: str
    """What ended the run early, other than a verdict: a signal, a process killed from outside."""
    counts: dict[str, int]
    reasons: dict[str, int]
    refusals: dict[str, int]
    moved_after: list[int]
    locks: dict[str, LockNumbers]
    density: dict[str, float]
    workers: dict[str, int]
    """Operations that each worker finished."""
    deaths: list[dict[str, str]]
    restarts: int
    quiet_points: int
    command: str
    events: list[str]
    """The last events around the failing page, or of all tasks."""
    series: dict[str, Any] = field(default_factory=dict)
    """Its course over time: see Series.to_json."""
    settings: dict[str, Any] = field(default_factory=dict)
    dump: str | None = None
    dump_failed: str | None = None
    """Why the arena could not be saved."""
    coverage: Residual | None = None
    """What is still to come; None where nobody looked."""
    signatures: list[str] = field(default_factory=list)
    """Of the judgements, in their order: see findings/identity.py."""
    checks: AccessChecks | None = None
    """Of a checked soak: what the processes saw of their accesses."""

    @classmethod
    def of(
        cls,
        settings: SoakSettings,
        course: Course,
        members: Iterable[Member],
        statistics: Statistics,
        judgements: list[Judgement],
        series: Series,
        checks: AccessChecks | None = None,
    ) -> SoakReport:
        """Read everything while the arena is still there."""
        arena = Names.of_layout(statistics.layout)
        signatures = [soak_identity(one, arena, checks).signature for one in judgements]
        if checks is not None:
            judgements = [checks.told(judgement) for judgement in judgements]
        names = {member.task: member.name for member in members}
        workers = [m for m in members if m.role == _live.Role.ROLE_WORKER]
        return cls(
            design=settings.design.name,
            seed=settings.seed,
            seconds=round(course.seconds, 2),
            judgements=judgements,
            signatures=signatures,
            findings=course.findings,
            interrupted=course.interrupted,
            ended=course.ended,
            counts=statistics.counts(),
            reasons=statistics.reasons(),
            refusals=statistics.refusals(),
            moved_after=statistics.moved_after(),
            locks=statistics.locks(),
            density=course.density,
            workers={m.name: statistics.layout.task_field(m.task, "progress") for m in workers},
            deaths=[
                {
                    "name": d.name,
                    "signal": d.signal,
                    "inside": d.inside,
                    "text": d.text,
                    "sent_by": "somebody else" if d.foreign else "the run",
                }
                for d in course.deaths
            ],
            restarts=course.restarts,
            quiet_points=course.quiet_points,
            command=command_of(settings),
            events=last_events(statistics, names, judgements[0]) if judgements else [],
            coverage=course.coverage,
            checks=checks,
            series=series.to_json(),
            settings={**asdict(settings), "design": settings.design.name},
        )

    @property
    def totals(self) -> dict[str, int]:
        """Allocations, frees and verified maps."""
        return {
            "allocs": self.counts["alloc"],
            "frees": self.counts["free"],
            "maps": self.counts["verified"],
        }

    @property
    def idle_workers(self) -> list[str]:
        return [name for name, operations in self.workers.items() if operations == 0]

    @property
    def status(self) -> int:
        """0 nothing found, 1 found, 4 inconclusive: ended early, or a worker did no work, or
        nothing was checked that was to be."""
        if self.judgements:
            return 1
        if self.ended or self.idle_workers or not self.counts["verified"]:
            return 4
        if self.checks is not None and not self.checks.watchpoints:
            return 4
        return 0

    @property
    def verdict(self) -> str:
        """One word or name: the first verdict, ``clean`` or ``inconclusive``."""
        if self.judgements:
            return str(self.judgements[0].verdict)
        return "clean" if self.status == 0 else "inconclusive"

    def to_json(self) -> dict[str, Any]:
        body = asdict(self)
        body["judgements"] = [{**asdict(j), "verdict": str(j.verdict)} for j in self.judgements]
        body["findings"] = [{**asdict(f), "verdict": str(f.verdict)} for f in self.findings]
        return {
            "verdict": self.verdict,
            "status": self.status,
            "totals": self.totals,
            "rates": {k: round(n / self.seconds) for k, n in self.totals.items()}
            if self.seconds
            else {},
            **body,
        }


_NOT_OPTIONS = {"design", "seed", "faults", "kill", "offline", "cross_cpu_search", "poison"}
_NOT_OPTIONS |= {"keep_going", "ring", "seconds", "coverage", "checked"}


def command_of(s: SoakSettings) -> str:
    """A command line that runs the same soak again (a soak is not replayed bit for bit)."""
    words = ["z3fold-stress soak", f"--design {s.design.name}", f"--seed {s.seed}"]
    if not s.operations:
        words.append(f"--seconds {s.seconds:g}")
    usual = SoakSettings()
    for option in (f.name for f in fields(s) if f.name not in _NOT_OPTIONS):
        value = getattr(s, option)
        if value != getattr(usual, option) or option in ("workers", "migrators"):
            told = f"{value:g}" if isinstance(value, float) else str(value)
            words.append(f"--{option.replace('_', '-')} {told}")
    words += [f"--fail {name}={value:g}" for name, value in s.faults.items()]
    if s.ring != usual.ring:
        words.append(f"--recorder {s.ring}")
    flags = {
        "--checked": s.checked,
        "--kill": s.kill,
        "--no-offline": not s.offline,
        "--no-cross-cpu-search": not s.cross_cpu_search,
        "--no-poison": not s.poison,
        "--keep-going": s.keep_going,
        "--no-coverage": not s.coverage,
    }
    return " ".join([*words, *(flag for flag, on in flags.items() if on)])


def last_events(
    statistics: Statistics, names: dict[int, str], first: Judgement, most: int = 16
) -> list[str]:
    """The recorder's last events around the page of a verdict, else of its task, else of
    everyone."""
    events = statistics.layout.all_events()
    pfn = statistics.layout.pfn(first.page) if first.page else None
    near = [e for e in events if pfn is not None and (e.page == pfn or first.page in (e.a, e.b))]
    if not near:
        near = [e for e in events if e.task == first.task] or events
    near = near[-most:]
    end = near[-1].ticks if near else 0
    return [
        f"{-(end - e.ticks) / statistics.ticks_per_ns / 1000:12.1f} us  "
        f"{names.get(e.task, 'supervisor'):<16} {e.op:<10} "
        f"{'' if e.page is None else f'page {e.page}':<10} "
        f"0x{e.a:x} {e.b:#x}" + (f"  = {e.ret}" if e.ret else "")
        for e in near
    ]
