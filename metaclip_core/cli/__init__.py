"""The command line `metaclip`: one module a command. Exit status 0, 1 failed, 2 usage."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from metaclip_core import __version__
from metaclip_core.errors import MetaclipError, SettingsError

__all__ = ["main"]

COMMANDS = ("curate", "append", "info", "export", "embed", "search", "metadata", "dashboard")
"""Modules of this package, in the order of `metaclip --help`; each has `add(commands)`, which adds its parser."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    from metaclip_core.jobs import working_as_job  # here, so that --help need not wait for it

    with working_as_job() as job:
        state, message, status = "done", "", 0
        try:
            status = int(options.command(options) or 0)
        except SettingsError as error:
            state, message, status = "failed", _one_line(error), 2
        except MetaclipError as error:
            state, message, status = "failed", _one_line(error), 1
        except KeyboardInterrupt:
            state, message, status = "cancelled", "interrupted; the same command goes on where it stopped", 1
        except Exception as error:
            if job:
                job.result("failed", f"{type(error).__name__}: {error}")
            raise
        if message:
            print(f"metaclip: {message}", file=sys.stderr)
        if job:
            job.result(state, message)
        return status


def _one_line(error: MetaclipError) -> str:
    """What a foreign library says of a damaged file may have several."""
    return " ".join(line.strip() for line in str(error).splitlines())


class _Command(argparse.ArgumentParser):
    """Options may stand between RUN and TEXT; Python 3.11 by itself takes an optional TEXT for absent there."""

    _mixing = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        if self._mixing or self._subparsers is not None:
            return super().parse_known_args(args, namespace)
        self._mixing = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._mixing = False


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="metaclip", description="Curate image-text pools the MetaCLIP way.")
    parser.add_argument("--version", action="version", version=f"metaclip-dashboard {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Command)
    for name in COMMANDS:
        import_module(f"{__name__}.{name}").add(commands)
    return parser
