"""The commands and their options; what they do is in the files of their names."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import tinycnn


class _Group(TyperGroup):
    """Says what is wrong with a command line in one line instead of a panel."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
        try:
            code = super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
        except typer.Abort:
            code = 130
        except Exception as error:
            if not (hasattr(error, "format_message") and hasattr(error, "exit_code")):
                raise
            message = " ".join(error.format_message().split())
            if message:  # a bare `tinycnn` has printed its help
                context = getattr(error, "ctx", None)
                hint = f" (see: {context.command_path} --help)" if context is not None else ""
                typer.echo(f"tinycnn: {message}{hint}", err=True)
            code = error.exit_code
        sys.exit(code if isinstance(code, int) else 0)


app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tinycnn {tinycnn.__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """A deep-learning engine for convolutional networks, on NumPy and CuPy."""


@app.command()
def train(
    network: Annotated[str, typer.Argument(metavar="NETWORK", help="The network to train.")] = "lenet",
    data: Annotated[str, typer.Option(metavar="NAME", help="digits, fashion-mnist or mnist.")] = "digits",
    data_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where data sets are; else $TINYCNN_DATA.", show_default=False)
    ] = None,
    epochs: Annotated[int | None, typer.Option(metavar="N", help="Passes over the training data.")] = None,
    batch_size: Annotated[int | None, typer.Option(metavar="N", help="Images a step.")] = None,
    lr: Annotated[float | None, typer.Option(metavar="X", help="Learning rate.")] = None,
    momentum: Annotated[float | None, typer.Option(metavar="X", help="Momentum, 0 for none.")] = None,
    weight_decay: Annotated[float | None, typer.Option(metavar="X", help="Weight decay (L2).")] = None,
    init: Annotated[str | None, typer.Option(metavar="NAME", help="Weights: default, xavier or kaiming.")] = None,
    activation: Annotated[
        str | None, typer.Option(metavar="NAME", help="sigmoid, tanh, relu, gelu (if the network has a choice).")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed gives the same run.")] = 0,
    device: Annotated[str | None, typer.Option(metavar="NAME", help="cpu, cuda, cuda:1; else $TINYCNN_DEVICE.")] = None,
    kernels: Annotated[
        str | None, typer.Option(metavar="SET", help="fast (Numba, CUDA), or reference, which is for reading.")
    ] = None,
    threads: Annotated[int | None, typer.Option(metavar="N", help="CPU threads; else every core.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where results go; else runs/NETWORK.")] = None,
) -> None:
    """Train a network and save its curves and a checkpoint.

    With no arguments: LeNet on 1,797 handwritten digits that tinycnn carries.
    What is not given comes from a recipe for the network and the data.
    """
    from .train import Request, run

    run(
        Request(
            network=network,
            data=data,
            data_dir=data_dir,
            epochs=epochs,
            batch_size=batch_size,
            lr=lr,
            momentum=momentum,
            weight_decay=weight_decay,
            init=init,
            activation=activation,
            seed=seed,
            device=device,
            kernels=kernels,
            threads=threads,
            out=out,
        )
    )


@app.command()
def info() -> None:
    """Print devices, versions, threads and kernels."""
    from .info import run

    run()


@app.command()
def gradcheck(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Operations and networks.")] = None,
    all_ops: Annotated[bool, typer.Option("--all", help="Check every operation.")] = False,
    second: Annotated[bool, typer.Option("--second", help="Check second derivatives too.")] = False,
    kernels: Annotated[str | None, typer.Option(metavar="SET", help="fast or reference; else the one in use.")] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of inputs and directions.")] = 0,
) -> None:
    """Compare gradients with slopes measured by differences.

    An operation is checked on its sample inputs, in float64. A network is checked
    in its parameters, along random directions, on a batch of two.
    """
    from .gradcheck import run

    run(names or [], all_ops, second, kernels, seed)
