"""The report of a soak: what was found, and the evidence when nothing was. One object, told as
text for people and as JSON for programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from z3fold_stress import _live
from z3fold_stress.judgement import AuditFinding, Judgement
from z3fold_stress.soak.statistics import LockNumbers

if TYPE_CHECKING:
    from z3fold_stress.soak.supervisor import Soak

__all__ = ["SoakReport"]


@dataclass(frozen=True, slots=True)
class SoakReport:
    """What a soak did and found. Rates are a second, over all tasks."""

    design: str
    seed: int
    seconds: float
    judgements: list[Judgement]
    findings: list[AuditFinding]
    interrupted: bool
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
    dump: str | None = None

    @classmethod
    def of(cls, soak: Soak) -> SoakReport:
        """Read everything while the arena is still there."""
        statistics, layout = soak.statistics, soak.layout
        judgements = soak.judgements()
        return cls(
            design=soak.settings.design.name,
            seed=soak.settings.seed,
            seconds=round(soak.seconds, 2),
            judgements=judgements,
            findings=soak.findings,
            interrupted=soak.interrupted,
            counts=statistics.counts(),
            reasons=statistics.reasons(),
            refusals=statistics.refusals(),
            moved_after=statistics.moved_after(),
            locks=statistics.locks(),
            density=soak.density,
            workers={
                member.name: layout.task_field(task, "progress")
                for task, member in soak.members.items()
                if member.role == _live.Role.ROLE_WORKER
            },
            deaths=[
                {"name": d.name, "signal": d.signal, "inside": d.inside, "text": d.text}
                for d in soak.deaths
            ],
            restarts=soak.restarts,
            quiet_points=soak.quiet_points,
            command=command_of(soak),
            events=last_events(soak, judgements) if judgements else [],
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
        """0 nothing found, 1 found, 4 inconclusive: interrupted, or a worker did no work."""
        if self.judgements:
            return 1
        if self.interrupted or self.idle_workers or not self.counts["verified"]:
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


def command_of(soak: Soak) -> str:
    """A command line that runs the same soak again (a soak is not replayed bit for bit)."""
    s = soak.settings
    words = ["z3fold-stress soak", f"--design {s.design.name}", f"--seed {s.seed}"]
    words += [f"--workers {s.workers}", f"--migrators {s.migrators}"]
    words.append(f"--operations {s.operations}" if s.operations else f"--seconds {s.seconds:g}")
    if s.lock != "ttas":
        words.append(f"--lock {s.lock}")
    words += [f"--fail {name}={value:g}" for name, value in s.faults.items()]
    if s.delay_rate:
        words.append(f"--delay-rate {s.delay_rate:g} --delay-ns {s.delay_ns}")
    if s.kill:
        words.append("--kill")
    return " ".join(words)


def last_events(soak: Soak, judgements: list[Judgement], most: int = 16) -> list[str]:
    """The recorder's last events around the page of the first verdict, else of its task, else
    of everyone."""
    events = soak.layout.all_events()
    first = judgements[0]
    pfn = soak.layout.pfn(first.page) if first.page else None
    near = [e for e in events if pfn is not None and (e.page == pfn or first.page in (e.a, e.b))]
    if not near:
        near = [e for e in events if e.task == first.task] or events
    near = near[-most:]
    end = near[-1].ticks if near else 0
    names = {task: member.name for task, member in soak.members.items()} | {1: "supervisor"}
    return [
        f"{-(end - e.ticks) / soak.statistics.ticks_per_ns / 1000:12.1f} us  "
        f"{names.get(e.task, str(e.task)):<16} {e.op:<10} "
        f"{'' if e.page is None else f'page {e.page}':<10} "
        f"0x{e.a:x} {e.b:#x}" + (f"  = {e.ret}" if e.ret else "")
        for e in near
    ]
