"""Runs a soak: makes the arena, starts the processes, watches them, audits at quiet points, kills
and restarts where asked, ends in order whatever happened, and reports."""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import multiprocess

from z3fold_stress import _live, stopping
from z3fold_stress.arena import Arena
from z3fold_stress.dump import save
from z3fold_stress.errors import VerdictError
from z3fold_stress.judgement import AuditFinding, Judgement
from z3fold_stress.sizes import sizes as draw_sizes
from z3fold_stress.soak.account import Pending, account, aftermath, busy_queues, retire_kworkers
from z3fold_stress.soak.coverage import Sampler
from z3fold_stress.soak.death import Death, judge_death, locks_of, oom_kills
from z3fold_stress.soak.processes import Checking, Member, cast, run_member
from z3fold_stress.soak.report import Course, SoakReport
from z3fold_stress.soak.residual import residual
from z3fold_stress.soak.series import Series
from z3fold_stress.soak.settings import SoakSettings
from z3fold_stress.soak.statistics import Statistics
from z3fold_stress.soak.watch import PATIENCE, Watcher
from z3fold_stress.verdicts import Verdict

if TYPE_CHECKING:
    from z3fold_stress.soak.accesses import AccessChecks

__all__ = ["Soak", "ToolFailed"]

TICK = 0.05
GRACE = 0.8
"""Seconds that processes get to leave by themselves after a fatal verdict."""
LEAVES = 0.7
"""Seconds that they get when the run is asked to end."""
NR_SIZES = 8192
PROBED_PAGES = 64
STATE = _live.TaskState
KWORKERS = (_live.Role.ROLE_KWORKER_COMPACT, _live.Role.ROLE_KWORKER_RELEASE)
PARKERS = tuple(role for role in _live.Role if role not in KWORKERS)


class ToolFailed(RuntimeError):
    """A process of the soak failed in a way that says nothing about the locking design."""


class Soak:
    """One soak. ``run()`` does it all; ``on_tick(soak)`` is called now and then for a display."""

    def __init__(
        self,
        settings: SoakSettings,
        on_tick: Callable[[Soak], None] | None = None,
        dump: Path | None = None,
        on_failure: Callable[[Arena], None] | None = None,
    ) -> None:
        """``on_failure``: given the arena when something was found, with nobody left in it."""
        self.settings = settings
        self.dump = dump
        self.on_failure = on_failure or (lambda arena: None)
        self.on_tick = on_tick or (lambda soak: None)
        self.members = {member.task: member for member in cast(settings)}
        self.processes: dict[int, Any] = {}
        self.course = Course()
        self._began = 0.0
        self._last_look = 0.0
        self._fatal_since: float | None = None
        self._kills = random.Random(settings.seed)
        self._killed: set[int] = set()
        self._oom_kills = oom_kills()
        self._counted: int | None = None
        self._orphans: set[int] = set()
        self.sizes = draw_sizes(settings.sizes, NR_SIZES, settings.seed)
        self._context = multiprocess.get_context("spawn")

    # the whole

    def run(self) -> SoakReport:
        """Soak, and report. Raises ToolFailed when a process could not do its work."""
        with (
            stopping.noted(),
            Arena.make(self.settings.arena(), beside=self._room_beside()) as arena,
        ):
            self.arena = arena
            self.layout = arena.layout
            self.statistics = Statistics(arena.layout, _live.clock_rate())
            self.sampler = Sampler(arena.layout)
            self.series = Series(self.statistics)
            stall_ticks = max(4, round(self.settings.stall / TICK))
            self.watcher = Watcher(
                arena.layout,
                {task: member.name for task, member in self.members.items()},
                stall_ticks,
                slack=self._slack(),
            )
            arena.engine.set_injection(False)
            _, self.pool, _ = arena.call(_live.Call.CALL_CREATE_POOL, 0, 1)
            try:
                self._set_pause(1)
                for member in self.members.values():
                    if not self._asked():
                        self._start(member)
                self._wait_for_start()
                self._watch()
                self._end()
                return self._report()
            finally:
                self._kill_all()

    def _slack(self) -> float:
        """CPU seconds that what a run injects may cost inside one operation."""
        slack = 100 * self.settings.delay_ns / 1e9 if self.settings.delay_rate else 0.0
        return slack + (100 * self.settings.watch_stall_us / 1e6 if self.settings.checked else 0.0)

    def _room_beside(self) -> int:
        """Bytes of shared memory that the processes need beside the arena."""
        if not self.settings.checked:
            return 0
        from z3fold_stress import _sim

        return _sim.WATCH_BYTES

    def _checks(self) -> AccessChecks | None:
        """What the processes saw of their accesses, if they looked."""
        if not self.settings.checked:
            return None
        from z3fold_stress.soak.accesses import read_checks

        return read_checks(self.arena, {m.task: m.name for m in self.members.values()})

    def _asked(self) -> bool:
        """Whether a signal asked the run to end."""
        if (number := stopping.asked()) is not None and not self.course.interrupted:
            self.course.interrupted = True
            self.course.ended = f"interrupted ({number.name})"
        return self.course.interrupted

    # processes

    def _start(self, member: Member, recover: bool = False) -> None:
        work: dict[str, Any]
        if member.role == _live.Role.ROLE_WORKER:
            work = self.settings.mix(self.pool)
        else:
            migrator = member.role == _live.Role.ROLE_MIGRATOR
            interval = (
                self.settings.migrate_interval_us if migrator else self.settings.reclaim_interval_us
            )
            work = {
                "pool": self.pool,
                "interval_us": interval,
                "offline": self.settings.offline,
                "low_frames": self.settings.nr_frames // 8,
            }
        offset = self.layout.task_offset(member.task)
        self.layout.poke("task", offset, state=STATE.TASK_STARTING, pid=0)
        process = self._context.Process(
            target=run_member,
            args=(
                self.arena,
                member,
                self.pool,
                work,
                self.sizes.tobytes(),
                os.getpid(),
                recover,
                Checking.of(self.settings),
            ),
            name=member.name,
            daemon=True,
        )
        stopping.start(process)
        self.processes[member.task] = process

    def _state(self, task: int) -> int:
        return self.layout.task_field(task, "state")

    def _wait_for_start(self) -> None:
        """All workers parked at their first quiet point; then off they go together."""
        while not self._asked():
            states = {task: self._state(task) for task in self.members}
            if all(state != STATE.TASK_STARTING for state in states.values()):
                break
            self._bury()
            time.sleep(0.01)
        self._began = time.monotonic()
        self._set_pause(0)

    def _set_pause(self, level: int) -> None:
        self.layout.poke("arena", 0, pause=level)

    # the run

    @property
    def elapsed(self) -> float:
        """Seconds since all processes began."""
        return time.monotonic() - self._began if self._began else 0.0

    @property
    def over(self) -> bool:
        return bool(self.layout.arena("stop"))

    def _done(self) -> bool:
        """Whether the run has come to its end, by time, operations or a signal."""
        if self.over or self._asked():
            return True
        if self.settings.operations:
            return all(
                self._state(task) == STATE.TASK_DONE
                for task, member in self.members.items()
                if member.role == _live.Role.ROLE_WORKER
            )
        return self.elapsed >= self.settings.seconds

    def _watch(self) -> None:
        settings = self.settings
        next_quiet = settings.quiet_interval or float("inf")
        next_kill = self._next_kill()
        self.series.take(self.elapsed)
        while not self._done():
            time.sleep(TICK)
            if settings.coverage:  # at once: what ran when this woke is still in the rings
                self.sampler.sample(self.elapsed)
            self._bury()
            alarm = self.watcher.look()
            if alarm is not None:
                self.declare(alarm.verdict, "watch", alarm.text, lock=alarm.lock)
            self.on_tick(self)
            if self.series.due(self.elapsed):
                self.series.take(self.elapsed)
            if self.over:
                break
            if settings.kill and self.elapsed >= next_kill:
                self._kill_one()
                next_kill = self.elapsed + self._next_kill()
            if self.elapsed >= next_quiet:
                self._quiet_point()
                next_quiet = self.elapsed + settings.quiet_interval
        self.course.seconds = self.elapsed
        self.series.take(self.elapsed)

    def declare(self, verdict: Verdict, where: str, text: str, lock: int = 0) -> None:
        kind = list(Verdict).index(verdict) + 1
        self.arena.engine.declare(kind, where, text, 0, lock)

    # death

    def _next_kill(self) -> float:
        return self._kills.expovariate(1.0 / self.settings.kill_interval)

    def _kill_one(self) -> None:
        """SIGKILL to a random process, wherever it is."""
        alive = [task for task in self.members if self._state(task) == STATE.TASK_RUNNING]
        if alive:
            process = self.processes[self._kills.choice(alive)]
            self._killed.add(process.pid)
            process.kill()

    def _bury(self) -> None:
        """Look for processes that ended, and judge each death."""
        for task, process in list(self.processes.items()):
            if process.exitcode is None:
                continue
            member = self.members[task]
            del self.processes[task]
            process.join()
            if process.exitcode == 0 or self._state(task) == STATE.TASK_DONE:
                continue
            if process.exitcode > 0:
                raise ToolFailed(
                    f"{member.name} failed with exit status {process.exitcode}; "
                    "what it printed is above"
                )
            self.layout.poke("task", self.layout.task_offset(task), state=STATE.TASK_DEAD)
            by_run = process.pid in self._killed
            death = judge_death(self.layout, member, -process.exitcode, by_run=by_run)
            self.course.deaths.append(death)
            if death.foreign and death.inside:
                self._give_up_after(death, task)
            elif death.verdict == Verdict.CRASH and self._told_of_crash(task):
                continue
            if death.verdict is not None:
                self.declare(death.verdict, death.inside or "outside", death.text, death.lock)
            elif not self.over:
                self.course.restarts += 1
                self._start(member, recover=True)

    def _give_up_after(self, death: Death, task: int) -> None:
        """What it left half done is nobody's fault, and nothing can be judged after it: what
        others say from now on, or said of its locks meanwhile, does not count."""
        if self._counted is None:
            self._counted = self.layout.arena("nr_verdicts")
            memory = oom_kills() > self._oom_kills
            why = " (the kernel, for want of memory: it counts an OOM kill)" if memory else ""
            self.course.ended = f"{death.text}{why}; nothing can be said about what came after it"
        self._orphans |= {lock for _, lock in locks_of(self.layout, task)}
        self.layout.poke("arena", 0, stop=2)

    def _told_of_crash(self, task: int) -> bool:
        """Whether the process itself recorded what it died of."""
        return any(j.verdict == Verdict.CRASH and j.task == task for j in self.judgements())

    # quiet points

    def _absent(self, roles: Iterable[int]) -> Pending:
        """Who is not parked, and how far each is."""
        return tuple(
            (member.name, self.layout.task_field(task, "progress"))
            for task, member in self.members.items()
            if member.role in roles
            and self._state(task) not in (STATE.TASK_PARKED, STATE.TASK_DONE)
        )

    def _wait_for(self, pending: Callable[[], Pending]) -> bool:
        """Wait until nothing is pending, under watch. False when the run ended meanwhile, or the
        wait is given up. A stall is where the same is pending and nothing of it moves, while all
        processes get their turns."""
        ticks = still = rounds = 0
        seen: Pending = ()
        while missing := pending():
            if self.over or self._asked() or ticks > 4 * self._patience:
                return False
            if missing != seen:
                seen, still, rounds = missing, ticks, self.watcher.rounds.done
            turns = self.watcher.rounds.done - rounds
            if ticks - still > self._patience and turns >= self.watcher.stall_ticks:
                names = ", ".join(name for name, _ in missing)
                self.declare(Verdict.STALL, "quiet point", f"{names} did not come to rest")
                return False
            time.sleep(0.005)
            ticks += self._slow_tick()
        return not self.over

    @property
    def _patience(self) -> int:
        """Ticks after which it matters whether somebody stalls, or gets no CPU time."""
        return round(PATIENCE * max(1.0, self.settings.stall) / TICK)

    def _slow_tick(self) -> bool:
        """The watcher counts in TICKs: give it no more than that while waiting closely. True when
        it had one."""
        now = time.monotonic()
        if now - self._last_look < TICK:
            return False
        self._last_look = now
        self._bury()
        alarm = self.watcher.look(count=True)
        if alarm is not None and self._counted is None:
            self.declare(alarm.verdict, "watch", alarm.text, lock=alarm.lock)
        return True

    def _quiet_point(self) -> None:
        """Audit, ask quiet pages to move, audit again."""
        with self.at_rest() as quiet:
            if quiet:
                self.audit_quiet(probe=True)
                self.course.density = self.statistics.density()
                self.course.quiet_points += 1

    @contextlib.contextmanager
    def at_rest(self) -> Iterator[bool]:
        """Everyone outside, queues empty: true, unless the run ended meanwhile."""
        self._set_pause(1)
        yield self._all_quiet()
        self._set_pause(0)

    def _all_quiet(self) -> bool:
        """Park everyone, the kworkers last: whether all came."""
        if not self._wait_for(lambda: self._absent(PARKERS)):
            return False
        if not self._wait_for(lambda: busy_queues(self.layout)):
            return False
        self._set_pause(2)
        return self._wait_for(lambda: self._absent(tuple(_live.Role)))

    def audit_quiet(self, probe: bool) -> bool:
        """Audit, and where all is well ask some pages to move; true when nothing was found."""
        self.take(self.arena.audit())
        if self.course.findings or not probe:
            return not self.course.findings
        try:
            self.arena.call(_live.Call.CALL_PROBE, self.pool, PROBED_PAGES)
        except VerdictError:
            return False
        self.take(self.arena.audit())
        return not self.course.findings

    def take(self, findings: list[AuditFinding]) -> None:
        self.course.findings.extend(findings)
        if findings and not self.layout.arena("nr_verdicts"):
            first = findings[0]
            kind = list(Verdict).index(first.verdict) + 1
            where = f"audit rule {first.rule}"
            self.arena.engine.declare(kind, where, first.text, first.page, 0, False)

    # the end

    def _end(self) -> None:
        """Stop everyone; then, as nobody is left, account for everything."""
        if not self.over:
            self.layout.poke("arena", 0, stop=1)
        self._set_pause(0)
        self._join()
        if self.course.ended:
            return  # what was cut short cannot be accounted for
        clean = self.layout.arena("stop") == 1 and not self.layout.arena("nr_verdicts")
        self.layout.poke("arena", 0, stop=0 if clean else self.layout.arena("stop"))
        retire_kworkers(self.layout)
        if not clean:
            if not self.course.findings:
                self.course.findings.extend(
                    f for f in self.arena.audit() if not aftermath(self.layout, f)
                )
            return
        with contextlib.suppress(VerdictError):  # it is in the arena's record, as any other
            account(self)

    def _join(self) -> None:
        """Everyone ends by itself. Who does not, the watcher judges; at long last it is killed."""
        ticks, rounds, asked = 0, self.watcher.rounds.done, 0.0
        while self.processes and not self._gave_up() and ticks <= self._patience:
            time.sleep(0.005)
            ticks += self._slow_tick()
            if self._asked():
                asked = asked or time.monotonic()
                if time.monotonic() - asked > LEAVES or not self._anyone_inside():
                    break
        judged = self.layout.arena("nr_verdicts") or self.course.ended
        if self.processes and not judged:
            self._judge_late(self.watcher.rounds.done - rounds)
        self._kill_all()

    def _anyone_inside(self) -> bool:
        """Whether a process still has to leave the allocator."""
        away = (STATE.TASK_DONE, STATE.TASK_STARTING)
        return any(self._state(task) not in away for task in self.processes)

    def _judge_late(self, rounds: int) -> None:
        """Somebody did not end, in so many rounds of all: no stall where it had no CPU time."""
        task = next(iter(self.processes))
        inside = " > ".join(name for name, _, _ in self.layout.inside(self.layout.task(task)))
        text = f"{self.members[task].name} did not end (inside {inside or 'no operation'})"
        if rounds >= self.watcher.stall_ticks:
            self.declare(Verdict.STALL, "end of the run", text)
        else:
            self.course.ended = f"{text}; it was given no CPU time, so nothing can be said"

    def _gave_up(self) -> bool:
        """A fatal verdict some while ago: who is not gone yet waits for what never comes."""
        if self.layout.arena("stop") != 2:
            self._fatal_since = None
            return False
        now = time.monotonic()
        if self._fatal_since is None:
            self._fatal_since = now
        return now - self._fatal_since > GRACE

    def _kill_all(self) -> None:
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.join()
        self.processes.clear()

    def _report(self) -> SoakReport:
        """The report; with something found and a place for it, the arena is saved."""
        if self.settings.coverage:
            self.course.coverage = residual(
                self.sampler.seen,
                self.sampler.discovered,
                seconds=self.course.seconds,
                spent=self.sampler.spent,
                recorded=self.settings.ring > 0,
            )
        report = SoakReport.of(
            self.settings,
            self.course,
            list(self.members.values()),
            self.statistics,
            self.judgements(),
            self.series,
            self._checks(),
        )
        if report.judgements:
            self.on_failure(self.arena)
        if not report.judgements or self.dump is None:
            return report
        told = replace(report, dump=str(self.dump))
        try:
            save(self.arena, self.dump, told.to_json())
        except OSError as error:
            return replace(report, dump_failed=f"{self.dump}: {error.strerror}")
        return told

    # for the report and the display

    def judgements(self) -> list[Judgement]:
        """What counts of what the arena recorded."""
        told = self.arena.judgements()
        if self._counted is None:
            return told
        orphaned = Verdict.ORPHANED_LOCK
        return [
            judgement
            for judgement in told[: self._counted]
            if not (judgement.verdict is orphaned and judgement.lock in self._orphans)
        ]
