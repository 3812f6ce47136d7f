"""What a soak is to do. Checked as a whole before a process is started."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from z3fold_stress import _live
from z3fold_stress.designs import Design, resolve
from z3fold_stress.errors import SettingsError
from z3fold_stress.settings import ArenaSettings

__all__ = ["SoakSettings"]

SUPERVISOR_TASKS = 3
"""Tasks besides workers, migrators and reclaimers: the supervisor and the two kworkers."""


LONGEST_WATCH_US = 10_000
"""A wait that others may have to wait for, lock in hand, must not look like a stall."""


def available_cpus() -> int:
    return len(os.sched_getaffinity(0))


@dataclass(frozen=True, slots=True)
class SoakSettings:
    """All options of a soak; rates are probabilities, times are seconds unless named."""

    workers: int = 4
    migrators: int = 1
    reclaimers: int = 1
    churners: int = 1
    """Processes that create pools and destroy them with work still queued."""
    seconds: float = 20.0
    operations: int = 0
    """Per worker; 0: until the time is up."""
    design: Design = field(default_factory=lambda: resolve("sound"))
    lock: str = "ttas"
    cpus: int = field(default_factory=available_cpus)
    objects: int = 8192
    frames: int = 0
    """0: enough for all objects, with a little pressure."""
    swap: int = 0
    """Pages of swap for evicted objects; 0: a quarter of the objects."""
    sizes: str = "zswap"
    seed: int = 0
    fill: float = 0.7
    """The part of the object table that is live, about."""
    maps: float = 2.0
    """Verified maps for each allocation."""
    rewrite: float = 0.05
    atomic: float = 0.1
    linger: float = 0.05
    """Of the maps, those held while another object is mapped."""
    hot: float = 0.02
    """Of the operations, those on a few objects that every worker likes."""
    delay_rate: float = 0.0
    delay_ns: int = 2000
    faults: Mapping[str, float] = field(default_factory=dict)
    kill: bool = False
    kill_interval: float = 0.4
    migrate_interval_us: int = 100
    reclaim_interval_us: int = 2000
    offline: bool = True
    quiet_interval: float = 2.0
    """Between two quiet points, at which everything is audited; 0: only at the end."""
    stall: float = 1.2
    """How long a task may stay inside an operation without getting on."""
    ring: int = 1024
    cross_cpu_search: bool = True
    poison: bool = True
    keep_going: bool = False
    coverage: bool = True
    """Whether the orders of operations are counted, for the residual risk."""
    checked: bool = False
    """Processes run the instrumented build, and check each access to the arena."""
    watch_rate: int = 1000
    """Checked: of so many plain accesses about one sets a watchpoint."""
    watch_stall_us: int = 50
    """Checked: how long it waits there for a conflicting access."""
    access_delay: float = 0.0
    """Checked: how often an access is delayed, up to the stall."""

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise SettingsError(f"workers is {self.workers}: at least 1 has to do the work")
        for name in ("migrators", "reclaimers", "churners", "operations", "frames", "swap"):
            if getattr(self, name) < 0:
                raise SettingsError(f"{name} is {getattr(self, name)}: it cannot be negative")
        if self.tasks > _live.LIMITS["tasks"]:
            raise SettingsError(
                f"{self.tasks - SUPERVISOR_TASKS} processes are too many: an arena holds "
                f"{_live.LIMITS['tasks'] - SUPERVISOR_TASKS} workers, migrators, reclaimers and "
                "churners in all"
            )
        if self.seconds <= 0 and not self.operations:
            raise SettingsError(f"seconds is {self.seconds}: give a time, or operations")
        for name in ("fill", "rewrite", "atomic", "linger", "hot"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise SettingsError(f"{name} is {getattr(self, name)}: a rate is from 0 to 1")
        if not 0.05 <= self.fill <= 0.95:
            raise SettingsError(f"fill is {self.fill}: it must be from 0.05 to 0.95")
        if self.maps < 0:
            raise SettingsError(f"maps is {self.maps}: it cannot be negative")
        if self.objects < 2 * self.workers:
            raise SettingsError(
                f"{self.objects} objects are too few for {self.workers} workers: "
                f"at least {2 * self.workers}"
            )
        if self.nr_frames < 16:
            raise SettingsError(f"an arena of {self.nr_frames} frames is too small: at least 16")
        if self.stall < 0.2:
            raise SettingsError(
                f"stall is {self.stall}: shorter than 0.2 s is what a busy machine does"
            )
        if self.kill and self.kill_interval <= 0:
            raise SettingsError(f"kill_interval is {self.kill_interval}: it must be above 0")
        self._check_watching()
        for name in ("migrate_interval_us", "reclaim_interval_us"):
            if not 0 <= getattr(self, name) <= 10**6:
                raise SettingsError(f"{name} is {getattr(self, name)}: from 0 to 1000000")
        if self.churners > _live.LIMITS["pools"] - 1:
            raise SettingsError(
                f"churners is {self.churners}: an arena holds {_live.LIMITS['pools']} pools, "
                "one of them the workers'"
            )
        self.arena()

    def _check_watching(self) -> None:
        usual = type(self).__dataclass_fields__
        for name in ("watch_rate", "watch_stall_us", "access_delay"):
            if not self.checked and getattr(self, name) != usual[name].default:
                raise SettingsError(f"{name} is {getattr(self, name)}: only a checked soak has it")
        if not 1 <= self.watch_rate <= 10**9:
            raise SettingsError(
                f"watch_rate is {self.watch_rate}: one access in so many, from 1 to 1000000000"
            )
        if not 1 <= self.watch_stall_us <= LONGEST_WATCH_US:
            raise SettingsError(
                f"watch_stall_us is {self.watch_stall_us}: from 1 to {LONGEST_WATCH_US}"
            )
        if not (self.access_delay == 0.0 or 1e-9 <= self.access_delay <= 1.0):
            raise SettingsError(
                f"access_delay is {self.access_delay}: 0, or a rate from 0.000000001 to 1"
            )

    @property
    def tasks(self) -> int:
        return self.workers + self.migrators + self.reclaimers + self.churners + SUPERVISOR_TASKS

    @property
    def nr_frames(self) -> int:
        # Pages hold about 2.2 objects of the usual sizes; migration wants some free frames.
        return self.frames or max(64, int(self.objects * 0.6))

    def arena(self) -> ArenaSettings:
        """The arena that this soak needs."""
        return ArenaSettings(
            frames=self.nr_frames,
            objects=self.objects,
            swap=self.swap or max(16, self.objects // 4),
            tasks=self.tasks,
            cpus=self.cpus,
            ring=self.ring,
            design=self.design,
            lock=self.lock,
            seed=self.seed,
            cross_cpu_search=self.cross_cpu_search,
            poison=self.poison,
            keep_going=self.keep_going,
            delay_rate=self.delay_rate,
            delay_ns=self.delay_ns,
            faults=self.faults,
        )

    def mix(self, pool: int) -> dict[str, int]:
        """The worker's thresholds. In balance as many are freed as allocated:
        (1 - fill) alloc = fill free, and a live object that is not freed is mapped."""
        whole = 2**32 - 1
        free = 1.0 / (1.0 + self.maps)
        alloc = self.fill * free / (1.0 - self.fill)
        if alloc > 1.0:
            free, alloc = free / alloc, 1.0
        return {
            "pool": pool,
            "operations": self.operations,
            "alloc_below": int(alloc * whole),
            "free_below": int(free * whole),
            "rewrite_below": int((free + (1.0 - free) * self.rewrite) * whole),
            "atomic_below": int(self.atomic * whole),
            "linger_below": int(self.linger * whole),
            "hot_below": int(self.hot * whole),
        }
