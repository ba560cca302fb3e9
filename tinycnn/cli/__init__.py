"""The command line: `tinycnn train`, `evaluate`, `models`, `gradcheck`, `info`. Typer and Rich load when it runs."""

from __future__ import annotations


def main() -> None:
    """The entry point of the command `tinycnn`."""
    from .app import app

    app()


__all__ = ["main"]
