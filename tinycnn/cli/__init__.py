"""The command line: `tinycnn train`, `tinycnn info`, `tinycnn gradcheck`. Typer and Rich are imported when it runs."""

from __future__ import annotations


def main() -> None:
    """The entry point of the command `tinycnn`."""
    from .app import app

    app()


__all__ = ["main"]
