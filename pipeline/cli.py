"""The command line: thin wrappers of documented functions."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Annotated, NoReturn

import typer

from indexes.errors import NearfarError
from pipeline.command_line.export_command import export
from pipeline.command_line.ingest_command import ingest
from pipeline.command_line.option_types import (
    AsJson,
    AuditOverrides,
    Device,
    Outputs,
    Overrides,
    Overwrite,
    Plans,
    Scheduler,
    Workers,
)  # fmt: skip
from pipeline.command_line.verify_command import verify
from pipeline.files.standard_streams import open_closed_streams, silence
from pipeline.files.storage import NO_ROOM

# What typer raises for a wrong command line; it brings its own copy of click, so only its bases are public.
USAGE_ERROR: type[Exception] = typer.BadParameter.__bases__[0]

_INTERRUPTED = 130

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

    commands.plan(plan, overrides or [], commands.options(workers, None, device, False), as_json)


@app.command()
def status(out: Outputs, as_json: AsJson = False) -> None:
    """Say how far a run has come."""
    from pipeline import commands

    commands.status(out, as_json)


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
app.command()(ingest)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Look at this machine and say what will work."""
    from pipeline.doctor import as_json as json_of
    from pipeline.doctor import as_text, examine, worst

    findings = examine()
    typer.echo(json_of(findings) if as_json else as_text(findings))
    raise typer.Exit(1 if worst(findings) == "fail" else 0)


@app.command()
def schema() -> None:
    """Print the JSON Schema of a plan, for editors."""
    from pipeline.plan import schema_text

    typer.echo(schema_text(), nl=False)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line; exit 0 done, 1 failed, 2 bad input, 130 or 143 interrupted and resumable."""
    signal.signal(signal.SIGTERM, _terminate)
    open_closed_streams()
    try:
        code = app(args=None if arguments is None else list(arguments), standalone_mode=False)
        sys.stdout.flush()
    except NearfarError as error:
        _leave(f"nearfar: {error}", error.exit_code)
    except USAGE_ERROR as error:
        error.show()  # type: ignore[attr-defined]
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        code = _INTERRUPTED
    except _TerminatedError:
        _leave("nearfar: terminated; run the same command again to go on where it stopped", 143)
    except BrokenPipeError:
        silence(sys.stdout)
        sys.exit(1)
    except OSError as error:
        if error.filename is not None or error.errno not in NO_ROOM:
            raise
        silence(sys.stdout)
        _leave(f"nearfar: cannot write to standard output: {error.strerror}", 1)
    if code == _INTERRUPTED:  # typer makes this code of Ctrl-C, and says nothing
        _leave("nearfar: interrupted; run the same command again to go on where it stopped", _INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


class _TerminatedError(BaseException):
    """SIGTERM, as Slurm and Kubernetes send it before they kill."""


def _terminate(signum: int, frame: FrameType | None) -> None:
    raise _TerminatedError


def _leave(message: str, code: int) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
