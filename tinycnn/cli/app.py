"""The commands and their options; what they do is in the files of their names."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

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


class _Grouped(TyperCommand):
    """Shows its options under the headings that they name."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                kind = "Arguments" if param.param_type_name == "argument" else "Options"
                groups.setdefault(getattr(param, "rich_help_panel", None) or kind, []).append(record)
        for title, records in groups.items():
            with formatter.section(title):
                formatter.write_dl(records)


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


_DATA, _NETWORK, _STEPS, _RATE = "Data", "Network", "Optimisation", "Learning rate"
_RUN, _MACHINE = "Run", "Machine"


def _given(values: dict[str, Any]) -> dict[str, Any]:
    """The options that were given."""
    found = {name: value for name, value in values.items() if value is not None and value != []}
    if "data_dir" in found:
        found["data_dir"] = str(found["data_dir"])  # it goes into the record
    return found


def _option(*names: str, metavar: str | None = None, panel: str, help: str) -> Any:
    return typer.Option(*names, metavar=metavar, rich_help_panel=panel, help=help, show_default=False)


_Device = Annotated[
    str | None, _option(metavar="NAME", panel=_MACHINE, help="cpu, cuda, cuda:1; else $TINYCNN_DEVICE.")
]
_Kernels = Annotated[
    str | None, _option(metavar="SET", panel=_MACHINE, help="fast (Numba, CUDA), or reference, which is for reading.")
]
_Threads = Annotated[int | None, _option(metavar="N", panel=_MACHINE, help="CPU threads; else every core.")]
_DataDir = Annotated[Path | None, _option(metavar="DIR", panel=_DATA, help="Where data sets are; else $TINYCNN_DATA.")]
_Download = Annotated[bool, _option("--download", panel=_DATA, help="Fetch what is missing from its publisher.")]


@app.command(cls=_Grouped)
def train(
    network: Annotated[
        str | None,
        typer.Argument(metavar="NETWORK", help="One of `tinycnn models`; lenet if none is said.", show_default=False),
    ] = None,
    data: Annotated[
        str | None,
        _option(
            metavar="NAME",
            panel=_DATA,
            help="digits (if none is said), fashion-mnist, mnist, cifar-10, cifar-100, folder or synthetic.",
        ),
    ] = None,
    data_dir: _DataDir = None,
    download: _Download = False,
    resize: Annotated[int | None, _option(metavar="N", panel=_DATA, help="Bring images to NxN.")] = None,
    augment: Annotated[
        bool | None,
        _option("--augment", panel=_DATA, help="Crop and flip training images at random (digits are not flipped)."),
    ] = None,
    limit: Annotated[
        int | None, _option(metavar="N", panel=_DATA, help="Train on N images only, drawn by the seed.")
    ] = None,
    validation: Annotated[
        float | None,
        _option(
            metavar="X",
            panel=_DATA,
            help="Hold out this share of the training images and measure each epoch on them, not on the test images.",
        ),
    ] = None,
    option: Annotated[
        list[str] | None,
        _option("--option", metavar="NAME=VALUE", panel=_NETWORK, help="An argument of the network; may be repeated."),
    ] = None,
    activation: Annotated[
        str | None,
        _option(metavar="NAME", panel=_NETWORK, help="sigmoid, tanh, relu, gelu (if the network has a choice)."),
    ] = None,
    init: Annotated[
        str | None, _option(metavar="NAME", panel=_NETWORK, help="Weights: default, xavier or kaiming.")
    ] = None,
    epochs: Annotated[int | None, _option(metavar="N", panel=_STEPS, help="Passes over the training data.")] = None,
    batch_size: Annotated[int | None, _option(metavar="N", panel=_STEPS, help="Images a step.")] = None,
    optimizer: Annotated[
        str | None, _option(metavar="NAME", panel=_STEPS, help="sgd, adam, adamw, rmsprop or adagrad.")
    ] = None,
    momentum: Annotated[
        float | None, _option(metavar="X", panel=_STEPS, help="Momentum of sgd and rmsprop, 0 for none.")
    ] = None,
    weight_decay: Annotated[float | None, _option(metavar="X", panel=_STEPS, help="Weight decay (L2).")] = None,
    clip: Annotated[float | None, _option(metavar="X", panel=_STEPS, help="Scale gradients down to this norm.")] = None,
    amp: Annotated[
        str | None,
        _option(
            metavar="NAME",
            panel=_STEPS,
            help="Mixed precision: off, float16 or bfloat16 (which only a GPU is faster with).",
        ),
    ] = None,
    early_stop: Annotated[
        int | None, _option(metavar="N", panel=_STEPS, help="End after N epochs without a lower loss.")
    ] = None,
    lr: Annotated[
        float | None, _option(metavar="X", panel=_RATE, help="Learning rate; at first, or at its highest.")
    ] = None,
    scheduler: Annotated[
        str | None,
        _option(metavar="NAME", panel=_RATE, help="none, step, multistep, exponential, cosine, onecycle or plateau."),
    ] = None,
    decay: Annotated[float | None, _option(metavar="X", panel=_RATE, help="What the rate is multiplied by.")] = None,
    decay_at: Annotated[
        str | None,
        _option(
            metavar="N[,N]",
            panel=_RATE,
            help="step: every N epochs; multistep: at these epochs; plateau: after more than N without a lower loss.",
        ),
    ] = None,
    warmup: Annotated[
        int | None, _option(metavar="N", panel=_RATE, help="Let the rate rise, step by step, for N epochs first.")
    ] = None,
    seed: Annotated[int | None, _option(metavar="N", panel=_RUN, help="The same seed gives the same run; 0.")] = None,
    out: Annotated[Path | None, _option(metavar="DIR", panel=_RUN, help="Where results go; else runs/NETWORK.")] = None,
    checkpoint_every: Annotated[
        int | None, _option(metavar="N", panel=_RUN, help="Checkpoint every N steps too, not only after epochs.")
    ] = None,
    resume: Annotated[
        Path | None,
        _option(
            metavar="DIR",
            panel=_RUN,
            help="Go on with the run in DIR, with its settings, as if it had not been interrupted. "
            "--epochs may be raised.",
        ),
    ] = None,
    device: _Device = None,
    kernels: _Kernels = None,
    threads: _Threads = None,
    prefetch: Annotated[
        int | None, _option(metavar="N", panel=_MACHINE, help="Batches to make ahead in the background; 1.")
    ] = None,
) -> None:
    """Train a network and save its curves and checkpoints.

    With no arguments: LeNet on 1,797 handwritten digits that tinycnn carries.
    What is not given comes from a recipe for the network and the data.

    Ctrl-C saves before it leaves; --resume goes on from there, bit for bit.
    """
    given = _given(locals())
    from .train import run

    run(given)


@app.command(cls=_Grouped)
def evaluate(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="A checkpoint, or the folder of a run.")],
    data: Annotated[str | None, _option(metavar="NAME", panel=_DATA, help="Other data than the run's.")] = None,
    data_dir: _DataDir = None,
    download: _Download = False,
    batch_size: Annotated[int | None, _option(metavar="N", panel=_MACHINE, help="Images at a time.")] = None,
    device: _Device = None,
    kernels: _Kernels = None,
    threads: _Threads = None,
) -> None:
    """Measure a trained network on the test images.

    Prints loss, accuracy, top-5 accuracy, and for each class how many are right and
    what it is most often taken for. Of a run's folder the best checkpoint is taken.
    """
    given = _given(locals())
    from .evaluate import run

    run(given.pop("checkpoint"), given, given.pop("download"))


@app.command()
def info() -> None:
    """Print devices, versions, threads and kernels."""
    from .info import run

    run()


@app.command()
def warmup(
    networks: Annotated[list[str] | None, typer.Argument(metavar="NETWORK", help="Networks; else all.")] = None,
    processes: Annotated[int | None, typer.Option(metavar="N", help="How many; else one a core.")] = None,
) -> None:
    """Compile the CPU's kernels beforehand, on all cores.

    Else the first training step on a machine does so. Compiled kernels are kept in
    the user's cache folder, or in that of TINYCNN_CACHE_DIR.
    """
    from .warmup import run

    run(networks or [], processes)


@app.command()
def models(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Networks; else all, as a table.")] = None,
    layers: Annotated[bool, typer.Option("--layers", help="Every layer instead of the stages.")] = False,
) -> None:
    """List the networks with their parameters, MACs and smallest input."""
    from .models import run

    run(names or [], layers)


@app.command()
def gradcheck(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Operations and networks.")] = None,
    all_ops: Annotated[bool, typer.Option("--all", help="Check every operation.")] = False,
    second: Annotated[bool, typer.Option("--second", help="Check second derivatives too.")] = False,
    kernels: Annotated[str | None, typer.Option(metavar="SET", help="fast or reference; else the one in use.")] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of inputs and directions.")] = 0,
    mutants: Annotated[bool, typer.Option("--mutants", help="Put wrong backwards to the checks.")] = False,
) -> None:
    """Compare gradients with slopes measured by differences.

    An operation is checked on its sample inputs, in float64. A network is checked
    in its parameters, along random directions, on a batch of two.

    With --mutants the checks themselves are checked: they must find every wrong
    backward in tests/mutants, which a source checkout has.
    """
    if mutants:
        from .mutants import run as run_mutants

        run_mutants(names or [], kernels, seed)
        return
    from .gradcheck import run

    run(names or [], all_ops, second, kernels, seed)


@app.command(cls=_Grouped)
def bench(
    networks: Annotated[
        list[str] | None, typer.Argument(metavar="NETWORK", help="Networks; else one or two of each kind.")
    ] = None,
    against: Annotated[str | None, typer.Option(metavar="torch", help="Measure PyTorch too, by turns.")] = None,
    channels_last: Annotated[bool, typer.Option("--channels-last", help="PyTorch in channels_last.")] = False,
    evaluation: Annotated[bool, typer.Option("--eval", help="Forward passes instead of training steps.")] = False,
    size: Annotated[str | None, typer.Option(metavar="N[,N]", help="Sides of the images.")] = None,
    batch: Annotated[str | None, typer.Option(metavar="N[,N]", help="Images a step.")] = None,
    threads: Annotated[str | None, typer.Option(metavar="N[,N]", help="CPU threads; else every core.")] = None,
    option: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="An argument of the networks; may be repeated.")
    ] = None,
    repeats: Annotated[int, typer.Option(metavar="N", help="Steps that count.")] = 7,
    layers: Annotated[bool, typer.Option("--layers", help="Each layer by itself, beside the machine's peak.")] = False,
    memory: Annotated[bool, typer.Option("--memory", help="The peak of memory, in a fresh process.")] = False,
    device: Annotated[str | None, typer.Option(metavar="NAME", help="cpu, cuda, cuda:1; else $TINYCNN_DEVICE.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where results go; else runs/bench-TIME.")] = None,
) -> None:
    """Time training steps, beside PyTorch where it is installed.

    A step is zero_grad, forward, cross entropy, backward and SGD, on random images.
    Both engines run by turns in one process; the table shows medians and the
    quartiles of their ratio. Leaves every time in bench.json, and a plot.
    """
    from .bench import run

    run(
        networks or [], against, channels_last, evaluation, size, batch, threads, option or [], repeats, layers, memory,
        device, out,
    )  # fmt: skip
