"""The command ``z3fold-stress``: finds the subcommand, and turns what goes wrong into an exit
status and one line.

0 nothing found, 1 found or differs, 2 bad usage or input, 3 the tool failed, 4 inconclusive.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import click

import z3fold_stress
from z3fold_stress import stopping
from z3fold_stress.cli.standard_output import keep_output

__all__ = ["main"]

NAME = "z3fold-stress"
FOUND, BAD_INPUT, FAILED, INCONCLUSIVE = 1, 2, 3, 4
PIPE_CLOSED = 141
"""What a shell says of a program whose reader went away."""
DEBUG = "Z3FOLD_STRESS_DEBUG"
COMPLETE = "_Z3FOLD_STRESS_COMPLETE"

COMMANDS: dict[str, tuple[str, str]] = {
    "soak": ("soak:soak", "Hammer the allocator with real processes while its pages move."),
    "explore": ("explore:explore", "Run scenarios through all their interleavings that matter."),
    "hunt": ("explore:hunt_command", "Explore all scenarios with one design, on all CPUs."),
    "fuzz": ("fuzz:fuzz_command", "Make scenarios up, and explore them."),
    "museum": ("museum:museum_command", "Find every known fault again."),
    "replay": ("replay:replay_command", "Do a finding again, exactly."),
    "shrink": ("replay:shrink_command", "Make a finding as small as it can be."),
    "report": ("report:report_command", "Tell a finding: as text, as a page to step through."),
    "findings": ("findings:findings_command", "What was found so far: list, show, export, prune."),
    "scenarios": ("scenarios:scenarios_command", "List the scenarios, or tell one."),
    "inspect": ("inspect:inspect_dump", "Show what is in a saved arena, and audit it."),
    "tame": ("tame:tame_command", "Make a scenario of a soak's failure, from its saved arena."),
    "trace": ("trace:trace", "Play a recorded trace of operations, and compare."),
    "defects": ("catalogue:defects", "List the named defects, or tell the story of one."),
    "designs": ("catalogue:designs", "List the designs, or the defects of one."),
    "bench": ("bench:bench", "Measure this machine."),
}
"""Where each command is, and its line in the help: the module is imported when it is used."""


def _bad_input() -> tuple[type[Exception], ...]:
    """The exceptions that say what a user can put right."""
    from z3fold_stress._live import ArenaError
    from z3fold_stress.defects import UnknownDefect
    from z3fold_stress.designs import UnknownDesign
    from z3fold_stress.dump import DumpError
    from z3fold_stress.errors import ScenarioError, SettingsError
    from z3fold_stress.findings.finding import FindingError
    from z3fold_stress.trace import TraceError

    known = (SettingsError, ScenarioError, FindingError, UnknownDesign, UnknownDefect)
    return (*known, TraceError, DumpError, ArenaError)


def _say(what: str, message: str) -> None:
    print(f"{NAME}: {what}: {' '.join(message.split())}", file=sys.stderr)


def _usage(error: click.ClickException) -> str:
    message = error.format_message().rstrip(".")
    context = getattr(error, "ctx", None)
    return f"{message} (see '{context.command_path} --help')" if context else message


def _tool_failed(error: BaseException) -> int:
    if os.environ.get(DEBUG) == "1":
        traceback.print_exc()
    _say(
        "failed",
        f"{type(error).__name__}: {error} -- this is a fault of the tool: please report it "
        f"with the command line and what {DEBUG}=1 adds",
    )
    return FAILED


def _answer(run: Callable[[], Any]) -> int:
    """What a command returned, or exited with."""
    try:
        answer = run()
    except click.exceptions.Exit as end:
        answer = end.exit_code
    except SystemExit as end:
        answer = end.code
    return answer if isinstance(answer, int) else 0


def _status_of(run: Callable[[], Any]) -> int:
    """Run a command; its exit status, with whatever went wrong told."""
    try:
        answer = _answer(run)
        sys.stdout.flush()
        return answer
    except click.ClickException as error:
        _say("error", _usage(error))
        return BAD_INPUT
    except (KeyboardInterrupt, click.Abort):
        _say("interrupted", "nothing can be said about the rest")
        return INCONCLUSIVE
    except BrokenPipeError:
        _forget_output()
        return PIPE_CLOSED
    except Exception as error:
        named_file = isinstance(error, OSError) and error.filename is not None
        if isinstance(error, _bad_input()) or named_file:
            _say("error", str(error))
            return BAD_INPUT
        return _tool_failed(error)


def _forget_output() -> None:
    """Nobody reads what is left: let the interpreter's last flush go nowhere."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Commands(click.Group):
    """Subcommands by name, imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, n=1, cutoff=0.0)[0]
            raise click.UsageError(f"no command {args[0]!r}; the nearest is {near!r}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        if not standalone_mode or COMPLETE in os.environ:
            return super().main(args, prog_name, complete_var, standalone_mode, **extra)
        return self._main(list(sys.argv[1:] if args is None else args), extra)

    def _main(self, args: list[str], extra: dict[str, Any]) -> NoReturn:
        def run() -> Any:
            with self.make_context(NAME, args, **extra) as context:
                return self.invoke(context)

        keep_output()
        with stopping.listening():
            status = _status_of(run)
        sys.exit(status)


@click.group(
    cls=_Commands,
    invoke_without_command=True,
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(z3fold_stress.__version__, prog_name=NAME, message="%(prog)s %(version)s")
@click.pass_context
def main(ctx: click.Context) -> int:
    """Find the races, deadlocks, leaks and corruption of a locking design.

    The subject is the z3fold allocator with page migration, on shared memory.

    Exit status: 0 nothing found, 1 found or differs, 2 bad usage or input, 3 the tool failed,
    4 inconclusive.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        return BAD_INPUT
    return 0
