"""The options and ini settings of hunts, and what they come to.

The command line wins over the ini file; the controller settles it all and tells the workers, so
that every process of a run has the same settings. What cannot work is a usage error.
"""

from __future__ import annotations

import os
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from z3fold_stress.pytest_plugin import seeds

__all__ = ["KEY", "WORKER_KEY", "Settings", "add_options", "on_worker", "settle"]

WORKER_KEY = "z3fold_stress"
INCONCLUSIVE = ("fail", "xfail", "skip")
PREFIX = "hunt"


@dataclass(frozen=True, slots=True)
class Settings:
    """What this run was asked for; plain values, for it travels to workers."""

    seed: int
    run: str
    """Names the run; arenas carry it."""
    seed_asked: bool = False
    executions: int | None = None
    seconds: float | None = None
    budget_typed: bool = False
    """The budget was given on the command line: it wins over a marker's."""
    design: str = ""
    strategy: str = "portfolio"
    release_sequence: str = "c11"
    strict_order: bool = False
    save: str = ""
    """Absolute; empty: findings are not saved as files."""
    store: str = ""
    """Absolute; empty: the user's; "off": none."""
    inconclusive: str = "fail"
    worker: str = ""


KEY = pytest.StashKey[Settings]()

_OPTIONS = (
    # The name, what stands for its value (nothing: a switch), and what it is.
    ("seed", "N", "Base seed of hunts (default: drawn, and shown)."),
    ("executions", "N", "Executions that an item does where nothing is to be found."),
    ("seconds", "S", "Seconds that such an item takes, for nightly runs; it may do more or less "
     "on another machine."),
    ("design", "DESIGN", "Hunt with this design: whatever is found in a scenario of the allocator "
     "fails."),
    ("strategy", "NAME", "How to explore (default: portfolio)."),
    ("release-sequence", "RULE", "Whether a task's relaxed store continues its release sequence "
     "(c11, the default) or ends it (c20)."),
    ("strict-order", "", "An order of locks that could deadlock is a failure, not a warning."),
    ("save", "DIR", "Save each finding that fails a test as a file there."),
    ("store", "FILE", "The findings store that they are counted in (default: in the user's data "
     "directory; off: none)."),
    ("inconclusive", "HOW", "What an item is that did no work or ended at a limit: fail, xfail "
     "or skip (default: fail)."),
)  # fmt: skip


def add_options(parser: pytest.Parser) -> None:
    group = parser.getgroup("z3fold_stress", "race hunts (z3fold_stress)")
    for name, metavar, text in _OPTIONS:
        takes: dict[str, Any] = {"metavar": metavar}
        if not metavar:
            takes = {"action": "store_const", "const": "true"}
        group.addoption(f"--{PREFIX}-{name}", dest=_key(name), default=None, help=text, **takes)
        parser.addini(_key(name), f"As --{PREFIX}-{name}.", type="string", default="")
    parser.addini(
        f"{PREFIX}_files",
        "Patterns of scenario files to collect: of the name, or where there is a '/', of the path "
        "below the root folder.",
        type="args",
        default=[],
    )


def on_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def settle(config: pytest.Config) -> Settings:
    """The settings of this run. Raises UsageError, which names the option or the ini key."""
    told: dict[str, Any] | None = getattr(config, "workerinput", None)
    if told is None:
        return _asked(config)
    if WORKER_KEY not in told:
        raise pytest.UsageError(
            "z3fold_stress is here in a worker, and not in its controller, which draws the seed: "
            "install it there too, or give -p no:z3fold_stress"
        )
    here = {"run": str(told["testrunuid"])[:12], "worker": str(told["workerid"])}
    return Settings(**{**told[WORKER_KEY], **here})


def for_worker(settings: Settings) -> dict[str, Any]:
    """As what pytest-xdist can send."""
    return asdict(settings)


@dataclass(frozen=True, slots=True)
class _Asked:
    """The text of one setting, and where it stands."""

    text: str
    where: str
    typed: bool
    base: Path


def _key(name: str) -> str:
    return f"{PREFIX}_{name.replace('-', '_')}"


def _text(config: pytest.Config, name: str) -> _Asked | None:
    key = _key(name)
    typed = config.getoption(key, default=None)
    if typed is not None:
        return _Asked(str(typed), f"--{PREFIX}-{name}", True, config.invocation_params.dir)
    text = str(config.getini(key) or "").strip()
    base = config.inipath.parent if config.inipath else config.rootpath
    return _Asked(text, f"ini setting {key}", False, base) if text else None


def _whole(asked: _Asked, low: int, high: int) -> int:
    try:
        number = int(asked.text.replace("_", ""), 10)
    except ValueError:
        raise pytest.UsageError(f"{asked.where}: {asked.text!r} is no whole number") from None
    if not low <= number <= high:
        raise pytest.UsageError(
            f"{asked.where}: {asked.text} is out of range: it must be from {low} to {high}"
        )
    return number


def _seconds(asked: _Asked) -> float:
    try:
        number = float(asked.text)
    except ValueError:
        raise pytest.UsageError(f"{asked.where}: {asked.text!r} is no number of seconds") from None
    if not 0 < number < 1e9:
        raise pytest.UsageError(
            f"{asked.where}: {asked.text} seconds show nothing: it must be more than 0, and finite"
        )
    return number


def _asked(config: pytest.Config) -> Settings:
    asked = {name: _text(config, name) for name, _, _ in _OPTIONS}
    seed, executions, seconds = asked["seed"], asked["executions"], asked["seconds"]
    design, strategy, save = asked["design"], asked["strategy"], asked["save"]
    store, rule, strict = asked["store"], asked["release-sequence"], asked["strict-order"]
    return Settings(
        seed=seeds.draw() if seed is None else _whole(seed, 0, seeds.SEEDS - 1),
        run=uuid.uuid4().hex[:12],
        seed_asked=seed is not None,
        executions=None if executions is None else _whole(executions, 1, 10**12),
        seconds=None if seconds is None else _seconds(seconds),
        budget_typed=any(one is not None and one.typed for one in (executions, seconds)),
        design="" if design is None else _design(design),
        strategy="portfolio" if strategy is None else _strategy(strategy),
        release_sequence="c11" if rule is None else _release_sequence(rule),
        strict_order=strict is not None and _yes(strict),
        save="" if save is None else _folder(save),
        store="" if store is None else _store(store),
        inconclusive=_how(asked["inconclusive"]),
    )


def _design(asked: _Asked) -> str:
    from z3fold_stress.defects import UnknownDefect
    from z3fold_stress.designs import UnknownDesign, resolve

    try:
        return resolve(asked.text).name
    except (UnknownDesign, UnknownDefect) as error:
        raise pytest.UsageError(f"{asked.where}: {error}") from None


def _strategy(asked: _Asked) -> str:
    from z3fold_stress.errors import SettingsError
    from z3fold_stress.explore.portfolio import arms_of

    try:
        arms_of(asked.text)
    except SettingsError as error:
        raise pytest.UsageError(f"{asked.where}: {error}") from None
    return asked.text


def _release_sequence(asked: _Asked) -> str:
    from z3fold_stress.errors import SettingsError
    from z3fold_stress.explore.world import known_release_sequence

    try:
        return known_release_sequence(asked.text)
    except SettingsError as error:
        raise pytest.UsageError(f"{asked.where}: {error}") from None


def _yes(asked: _Asked) -> bool:
    if asked.text.lower() not in ("true", "false"):
        raise pytest.UsageError(f"{asked.where}: {asked.text!r} is neither true nor false")
    return asked.text.lower() == "true"


def _how(asked: _Asked | None) -> str:
    if asked is None:
        return "fail"
    if asked.text not in INCONCLUSIVE:
        raise pytest.UsageError(
            f"{asked.where}: {asked.text!r} is none of {', '.join(INCONCLUSIVE)}"
        )
    return asked.text


def _store(asked: _Asked) -> str:
    from z3fold_stress.findings.store import Store, StoreError

    if asked.text == "off":
        return "off"
    path = (asked.base / Path(asked.text).expanduser()).absolute()
    try:
        Store(path).check()
    except StoreError as error:
        raise pytest.UsageError(f"{asked.where}: {error}") from None
    return str(path)


def _folder(asked: _Asked) -> str:
    """It need not exist yet, and is made by the first finding."""
    folder = (asked.base / Path(asked.text).expanduser()).absolute()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        raise pytest.UsageError(f"{asked.where}: {there} is no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise pytest.UsageError(f"{asked.where}: {there} may not be written to")
    return str(folder)
