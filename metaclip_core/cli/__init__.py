"""The command line `metaclip`: one module a command. Exit status 0, 1 failed, 2 usage."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from metaclip_core import __version__
from metaclip_core.errors import MetaclipError, SettingsError

__all__ = ["main"]

COMMANDS = ("curate", "info", "embed", "search", "dashboard")
"""Modules of this package, in the order of `metaclip --help`; each has `add(commands)`, which adds its parser."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        return int(options.command(options) or 0)
    except SettingsError as error:
        parser.exit(2, f"metaclip: {error}\n")
    except MetaclipError as error:
        print(f"metaclip: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("metaclip: interrupted; the same command goes on where it stopped", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="metaclip", description="Curate image-text pools the MetaCLIP way.")
    parser.add_argument("--version", action="version", version=f"metaclip-dashboard {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name in COMMANDS:
        import_module(f"{__name__}.{name}").add(commands)
    return parser
