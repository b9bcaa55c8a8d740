"""The commands: thin wrappers of documented functions."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, NoReturn

import typer

from indexes.errors import NearfarError
from pipeline.command_line.atlas_command import atlas
from pipeline.command_line.export_command import export
from pipeline.command_line.ingest_command import ingest
from pipeline.command_line.leaving import INTERRUPTED, TerminatedError, leave, say_stopped, terminate
from pipeline.command_line.option_types import (
    AsJson,
    AuditOverrides,
    Described,
    Device,
    Outputs,
    Overrides,
    Overwrite,
    Plans,
    Scheduler,
    Workers,
)  # fmt: skip
from pipeline.command_line.purge_command import purge
from pipeline.command_line.verify_command import verify
from pipeline.execution.light_start import start_light
from pipeline.files.standard_streams import open_closed_streams, silence
from pipeline.files.storage import NO_ROOM

# What typer raises for a wrong command line; it brings its own copy of click, so only its bases are public.
USAGE_ERROR: type[Exception] = typer.BadParameter.__bases__[0]

# Said at once, without what the commands load.
_SHORT = frozenset(("--help", "--version"))

app = typer.Typer(
    help="Prune and audit image-text pools by their similarity to benchmarks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _say_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"nearfar {version('nearfar')}")
        raise typer.Exit


@app.callback()
def nearfar(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Prune and audit image-text pools by their similarity to benchmarks."""


@app.command()
def run(
    plan: Plans,
    overrides: Overrides = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Do what is not yet done of a plan."""
    from pipeline import commands

    options = commands.options(workers, scheduler, device, overwrite)
    commands.run(plan, overrides or [], options, as_json)


@app.command(name="plan")
def plan_(
    plan: Plans,
    overrides: Overrides = None,
    workers: Workers = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Say what a run would do and cost; touches nothing."""
    from pipeline import commands
    from pipeline.command_line import plan_command

    plan_command.plan(plan, overrides or [], commands.options(workers, None, device, False), as_json)


@app.command()
def status(out: Outputs, as_json: AsJson = False) -> None:
    """Say how far a run or a fetch has come."""
    from pipeline.command_line.status_command import status as say_status

    say_status(out, as_json)


app.command()(verify)


@app.command()
def audit(
    pool: Annotated[str, typer.Option(help="The pool, in any format that nearfar reads.")],
    benchmark: Annotated[list[str], typer.Option(metavar="NAME=PATH", help="A benchmark; may be repeated.")],
    out: Annotated[str, typer.Option(help="Folder for the report.")],
    reference: Annotated[str | None, typer.Option(help="The set that calibrates thresholds.")] = None,
    model: Annotated[str | None, typer.Option(help="open_clip model that embeds images.")] = None,
    pretrained: Annotated[str | None, typer.Option(help="Its weights: a name or a file.")] = None,
    images: Annotated[
        list[str] | None,
        typer.Option(metavar="SET=PLACE", help="Folder or tars with the pictures of a set of embeddings."),
    ] = None,
    fail_above: Annotated[
        str | None,
        typer.Option(
            metavar="SIM[:SHARE]", help="Exit 1 if more than SHARE of the queries have a sample above SIM."
        ),
    ] = None,
    allow_lost: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help="Rows that a set may lose before --fail-above fails; else none of a benchmark, 0.05 of the pool.",
        ),
    ] = None,
    overrides: AuditOverrides = None,
    workers: Workers = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Report the train-test similarity of a pool; needs no plan file."""
    from pipeline import commands
    from pipeline.auditing import audit_plan

    plan = audit_plan(pool, benchmark, reference, out, (model, pretrained), overrides or [], images or [])
    chosen = commands.options(workers, None, device, overwrite)
    raise typer.Exit(commands.audit(plan, fail_above, allow_lost, chosen, as_json))


@app.command()
def report(out: Outputs, as_json: AsJson = False) -> None:
    """Write the report of a finished run again, and say where it is."""
    from pipeline import commands

    commands.report(out, as_json)


app.command()(export)
app.command()(atlas)
app.command()(ingest)
app.command()(purge)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Look at this machine and say what will work."""
    from pipeline.doctor import as_json as json_of
    from pipeline.doctor import as_text, examine, worst

    findings = examine()
    typer.echo(json_of(findings) if as_json else as_text(findings))
    raise typer.Exit(1 if worst(findings) == "fail" else 0)


@app.command()
def schema(
    of: Annotated[
        Described, typer.Argument(help="plan, or answer: the last line of --json.")
    ] = Described.PLAN,
) -> None:
    """Print the JSON Schema of a plan, for editors, or of what `--json` ends with, for programs."""
    from pipeline.command_line.schema_command import schema as text

    typer.echo(text(of), nl=False)


def perform(given: Sequence[str], alone: bool, begin: Callable[[], None]) -> NoReturn:
    """Do what a command line says, and exit as `pipeline.cli.main` tells.

    Args:
        given: The command line, without the program's name.
        alone: Whether the process is nearfar's own.
        begin: Called when all is loaded, to have Ctrl-C raise `KeyboardInterrupt` from now on.
    """
    signal.signal(signal.SIGTERM, terminate)
    open_closed_streams()
    try:
        if alone and given and not _SHORT.intersection(given):
            start_light()
        begin()
        code = app(args=list(given), standalone_mode=False)
        sys.stdout.flush()
    except NearfarError as error:
        leave(str(error), error.exit_code, given)
    except USAGE_ERROR as error:
        error.show()  # type: ignore[attr-defined]
        say_stopped(error.format_message(), 2, given)  # type: ignore[attr-defined]
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except TerminatedError:
        leave("terminated; run the same command again to go on where it stopped", 143, given)
    except BrokenPipeError:
        silence(sys.stdout)
        sys.exit(1)
    except OSError as error:
        if error.filename is not None or error.errno not in NO_ROOM:
            raise
        silence(sys.stdout)
        leave(f"cannot write to standard output: {error.strerror}", 1, ())
    if code == INTERRUPTED:  # typer makes this code of Ctrl-C, and says nothing
        leave("interrupted; run the same command again to go on where it stopped", INTERRUPTED, given)
    sys.exit(code if isinstance(code, int) else 0)
