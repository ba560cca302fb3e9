"""Where the command line writes: a terminal gets colours and a progress bar, a file or a pipe plain lines."""

from __future__ import annotations

import sys
from typing import NoReturn

import typer
from rich.console import Console

WRONG_USE, FAILED, INTERRUPTED = 2, 1, 130


def make_console() -> Console:
    """A console on the standard output as it is now; it never breaks lines that go to a file."""
    console = Console(file=sys.stdout, highlight=False)
    if not console.is_terminal:
        console = Console(file=sys.stdout, highlight=False, soft_wrap=True, color_system=None)
    return console


def fail(message: object, code: int = WRONG_USE) -> NoReturn:
    """Say in one line what is wrong, and end."""
    typer.echo(f"tinycnn: {' '.join(str(message).split())}", err=True)
    raise typer.Exit(code)
