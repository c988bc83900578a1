"""Prints results and messages, and turns exceptions into exit codes."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator


def say(text: object, *, nl: bool = True) -> None:
    """Print to stdout. When nobody reads it any more (``| head``), what follows is not printed, and nothing else changes."""
    try:
        typer.echo(text, nl=nl)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class UsageError(Exception):
    """Invalid arguments. The message says which, and what is valid."""


def _stop(name: str, message: str) -> typer.Exit:
    """Print a message and return the exit with that name."""
    from scanner.pipeline.outcome import Exit
    from scanner.safe_text import plain_lines
    from scanner.secrets.redact import redact

    typer.echo(plain_lines(redact(message)), err=True)
    return typer.Exit(Exit[name])


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn exceptions into a message and an exit code. Unexpected ones are printed as a redacted traceback."""
    # Python evaluates an except clause only after an exception, so these imports are lazy.
    try:
        yield
    except typer.Exit:
        raise
    except _usage_errors() as exc:
        raise _stop("USAGE", str(exc)) from None
    except _locked_errors() as exc:
        raise _stop("LOCKED", str(exc)) from None
    except _internal_errors() as exc:
        raise _stop("INTERNAL", str(exc)) from None
    except _stopped_errors() as exc:
        raise _stop("DEADLINE", str(exc)) from None
    except OSError as exc:
        from scanner.collect.run import write_problem

        raise _stop("INTERNAL", write_problem(exc)) from None


def _usage_errors() -> tuple[type[Exception], ...]:
    from scanner.analyze.explain import NoSuchFindingError
    from scanner.analyze.patch import NoPatchError
    from scanner.collect.interrupted import ResumeError
    from scanner.collect.night_order import ImplausibleTimeError
    from scanner.collect.run import NothingCollectedError
    from scanner.config import SecretMissingError
    from scanner.config_file import ConfigError
    from scanner.document import DocumentError
    from scanner.pipeline.state_folder import NoSuchRunError
    from scanner.private_files import UnsafeFolderError
    from scanner.questions.blast_radius import NoSuchThingError
    from scanner.questions.who_can import NoSuchPlaceError
    from scanner.signing import SigningError
    from scanner.snapshot import UnknownNightError

    asked = (ConfigError, DocumentError, SecretMissingError, UsageError, NoSuchRunError, NoSuchFindingError)
    return (
        *asked,
        NoPatchError,
        NoSuchThingError,
        NoSuchPlaceError,
        NothingCollectedError,
        ImplausibleTimeError,
        ResumeError,
        UnsafeFolderError,
        SigningError,
        UnknownNightError,
    )


def _locked_errors() -> type[Exception]:
    from scanner.pipeline.state_folder import LockedError

    return LockedError


def _stopped_errors() -> type[Exception]:
    from scanner.stop import StoppedError

    return StoppedError


def _internal_errors() -> tuple[type[Exception], ...]:
    from scanner.analyze.rule_runs import AnalysisError
    from scanner.pipeline.reporting import ReportFailedError
    from scanner.snapshot import SnapshotError

    return (SnapshotError, AnalysisError, ReportFailedError)
