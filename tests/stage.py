"""A stage on which a defect is shown, and what is to be shown on it."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from z3fold_stress import Arena, ArenaSettings, Design, Handle, Pool, Verdict, VerdictError
from z3fold_stress._live import fields

POOL_LIVE = 1
CHUNK = 64
OWNER = 0x3FF  # the bits of a lock word that name its owner
NOBODY = 4  # a task that nobody plays, and that may hold a lock for ever


@dataclass
class Stage:
    """An arena of the design that is shown, with a pool, and what there is to break it with."""

    arena: Arena
    evict: Callable[[Handle], int] = lambda _: -errno.EIO
    pools: list[Pool] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.layout = self.arena.layout
        self.seen: set[Verdict] = set()

    @property
    def pool(self) -> Pool:
        if not self.pools:
            self.pools.append(Pool(self.arena, evict=lambda handle: self.evict(handle)))
        return self.pools[0]

    def alloc(self, *chunks: int) -> list[Handle]:
        return [self.pool.alloc(n * CHUNK) for n in chunks]

    def reclaim(self, rounds: int = 1) -> None:
        """Reclaim; that no page could be emptied is no failure here."""
        with suppress(OSError):
            self.pool.reclaim(rounds)

    @contextmanager
    def other(self) -> Iterator[Arena]:
        """Task 2, played by this process too."""
        with Arena.attach(self.arena.fd, task=2) as arena:
            yield arena

    def header(self, page: int) -> int:
        return self.layout.frame_offset(page)

    def page_lock(self, page: int) -> int:
        return self.header(page) + fields()["header"][1]["page_lock"][0]

    def audit(self) -> None:
        """Audit now, and remember what it says: later steps may mend it."""
        self.seen |= {finding.verdict for finding in self.arena.audit()}

    def judge(self) -> set[Verdict]:
        """What was said while the steps were done, and if they could be finished, the audit."""
        self.seen |= {judgement.verdict for judgement in self.arena.judgements()}
        if not self.arena.abandoned and self.layout.arena("stop") < 2:
            self.audit()
        return self.seen


Steps = Callable[[Stage], None]


@dataclass(frozen=True)
class Show:
    """How a defect is shown: the steps, the verdicts one of which must come, the settings."""

    defect: str
    expected: frozenset[Verdict]
    steps: Steps
    settings: dict[str, Any]
    with_defects: tuple[str, ...]


SHOWS: list[Show] = []


def shows(
    defect: str, *expected: Verdict, also: tuple[str, ...] = (), **settings: Any
) -> Callable[[Steps], Steps]:
    """Register the steps for a defect; `also` is set with it, and alone in the sound run."""

    def note(steps: Steps) -> Steps:
        SHOWS.append(Show(defect, frozenset(expected), steps, settings, also))
        return steps

    return note


def run(show: Show, defects: tuple[str, ...]) -> set[Verdict]:
    design = Design("shown", "the sound protocol with these defects", frozenset(defects))
    settings: dict[str, Any] = {"frames": 16, **show.settings}
    with Arena.make(ArenaSettings(design=design, **settings)) as arena:
        stage = Stage(arena)
        with suppress(VerdictError):
            show.steps(stage)
        return stage.judge()
