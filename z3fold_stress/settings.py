"""How an arena is to be: sizes, design, lock kind, injected failures. Checked before anything
is made, so that what cannot work is refused with a word that names it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from z3fold_stress import _live
from z3fold_stress._vocabulary import Fault, LockKind
from z3fold_stress.designs import Design, resolve
from z3fold_stress.errors import SettingsError
from z3fold_stress.numbered import names_of

__all__ = ["FAULTS", "LOCK_KINDS", "ArenaSettings", "design_bits"]

LOCK_KINDS = names_of(LockKind, "KIND_")
FAULTS = names_of(Fault, "FAIL_")
"""What may be made to fail: allocation of a page, of slots, of a migration target; eviction; a
try-lock; a step of pool creation."""


def design_bits(design: Design) -> int:
    """The engine's word for a design: a bit a defect."""
    return sum(_live.DEFECT_BITS[name] for name in design.defects)


def _between(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise SettingsError(f"{name} is {value}: it must be from {low} to {high}")


def rate(name: str, value: float) -> int:
    """A probability as the engine wants it: of 2**32."""
    if not 0.0 <= value <= 1.0:
        raise SettingsError(f"{name} is {value}: a rate is from 0 to 1")
    return min(int(value * 2**32), 2**32 - 1)


@dataclass(frozen=True, slots=True)
class ArenaSettings:
    """All that an arena is made from."""

    frames: int = 1024
    """Page frames of 4096 bytes."""
    slots: int = 0
    """Slots objects, one a page with a header; 0: twice the frames."""
    objects: int = 0
    """Entries of the object table (soaks); 0: none, handles are the caller's."""
    swap: int = 0
    """Pages of the swap area that evicted objects go to."""
    tasks: int = 4
    """Processes that may be in the arena at once."""
    cpus: int = 1
    """CPUs that tasks believe to run on: lists a pool."""
    ring: int = 0
    """Events that the flight recorder keeps of each task; a power of two, 0: off."""
    header_chunks: int = 2
    """Chunks of 64 bytes that a page's header takes; more models a debug kernel's."""
    design: Design = field(default_factory=lambda: resolve("sound"))
    lock: str = "ttas"
    seed: int = 0
    cross_cpu_search: bool = True
    """Patch 2/4: an exact fit is looked for on every CPU's lists."""
    poison: bool = True
    """Fill freed frames, and look for writes to them when they are handed out again."""
    keep_going: bool = False
    """A verdict does not end the run where it can go on."""
    delay_rate: float = 0.0
    delay_ns: int = 2000
    faults: Mapping[str, float] = field(default_factory=dict)
    """Probability of each injected failure, by name (FAULTS)."""

    def __post_init__(self) -> None:
        limits = _live.LIMITS
        _between("frames", self.frames, 1, 2**22)
        _between("slots", self.slots, 0, 2**24)
        _between("objects", self.objects, 0, 2**24)
        _between("swap", self.swap, 0, 2**22)
        _between("tasks", self.tasks, 1, limits["tasks"])
        _between("cpus", self.cpus, 1, limits["cpus"])
        _between("header_chunks", self.header_chunks, 1, limits["total_chunks"])
        _between("seed", self.seed, 0, 2**64 - 1)
        _between("delay_ns", self.delay_ns, 0, 10**9)
        if self.ring & (self.ring - 1) or not 0 <= self.ring <= 2**20:
            raise SettingsError(f"ring is {self.ring}: it must be 0 or a power of two up to 2**20")
        if self.lock not in LOCK_KINDS:
            raise SettingsError(f"lock is {self.lock!r}: the kinds are {', '.join(LOCK_KINDS)}")
        rate("delay_rate", self.delay_rate)
        for name, value in self.faults.items():
            if name not in FAULTS:
                raise SettingsError(f"no failure is named {name!r}: there are {', '.join(FAULTS)}")
            rate(f"the failure rate of {name}", value)

    @staticmethod
    def of(design: str = "sound", defects: Iterable[str] = (), **settings: Any) -> ArenaSettings:
        """Settings with the design given by name and extra defects."""
        return ArenaSettings(design=resolve(design, defects), **settings)

    def geometry(self) -> dict[str, int]:
        return {
            "frames": self.frames,
            "slots": self.slots or 2 * self.frames,
            "objects": self.objects,
            "swap": self.swap,
            "tasks": self.tasks,
            "cpus": self.cpus,
            "ring": self.ring,
            "header_chunks": self.header_chunks,
        }

    def config(self) -> dict[str, Any]:
        return {
            "design": design_bits(self.design),
            "seed": self.seed,
            "lock_kind": LOCK_KINDS.index(self.lock),
            "cross_cpu_search": self.cross_cpu_search,
            "poison": self.poison,
            "keep_going": self.keep_going,
            "delay_rate": rate("delay_rate", self.delay_rate),
            "delay_ns": self.delay_ns,
            "faults": [rate(name, self.faults.get(name, 0.0)) for name in FAULTS],
        }
