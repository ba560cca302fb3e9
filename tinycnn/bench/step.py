"""Whole steps, tinycnn and PyTorch by turns in one process.

A training step is zero_grad, forward, cross entropy, backward and a plain SGD step; in evaluation a step is a forward
pass without a tape. Both engines have the same weights and see the same images. By turns, because a machine's speed
drifts: what slows one engine slows the other, and the ratio of each pair of steps stays what it is.
"""

from __future__ import annotations

import importlib
import importlib.util
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from .. import backend, models, nn, optim
from ..autograd import Tensor, no_grad
from ..ops import randint, randn
from .cases import Case

Mode = Literal["train", "eval"]
_WARM_UP = 2  # steps before the first that counts: kernels are compiled, caches and pools filled


@dataclass(frozen=True)
class StepTime:
    """How long the steps took, in seconds, in the order in which they ran.

    Attributes:
        case: what was measured.
        mode: "train" or "eval".
        ours: a time for each repeat.
        theirs: PyTorch's; empty if it was not asked for.
    """

    case: Case
    mode: Mode
    ours: tuple[float, ...]
    theirs: tuple[float, ...] = ()

    @property
    def median(self) -> float:
        return statistics.median(self.ours)

    @property
    def their_median(self) -> float:
        return statistics.median(self.theirs)

    @property
    def ratio(self) -> float:
        """PyTorch's median over ours: above 1, tinycnn is the faster."""
        return self.their_median / self.median

    @property
    def quartiles(self) -> tuple[float, float]:
        """The lower and the upper quartile of the ratio, pair by pair."""
        pairs = [theirs / ours for ours, theirs in zip(self.ours, self.theirs, strict=True)]
        if len(pairs) < 2:
            return pairs[0], pairs[0]
        low, _, high = statistics.quantiles(pairs, n=4, method="inclusive")
        return low, high


def load_torch() -> bool:
    """Import PyTorch; False if it is not installed.

    It is to be imported before our kernels are, which say in the environment how OpenMP's idle threads wait: then its
    threads wait as they do where there is no tinycnn.
    """
    if importlib.util.find_spec("torch") is None:
        return False
    importlib.import_module("torch")
    return True


def set_num_threads(n: int, torch_too: bool = False) -> None:
    """Let both engines use n threads of the CPU.

    Raises:
        ValueError: if n is not between 1 and the number of cores.
    """
    torch = importlib.import_module("torch") if torch_too else None  # first: see load_torch
    backend.set_num_threads(n)
    if torch is not None:
        torch.set_num_threads(n)


def time_step(
    case: Case,
    against_torch: bool = False,
    mode: Mode = "train",
    repeats: int = 7,
    channels_last: bool = False,
) -> StepTime:
    """Measure a case.

    Args:
        case: the network, the size and number of its images.
        against_torch: measure PyTorch too; see `set_num_threads`.
        mode: "train" for training steps, "eval" for forward passes without a tape.
        repeats: how many steps of each engine count.
        channels_last: give PyTorch its network and images in `torch.channels_last`.

    Raises:
        ValueError: if repeats is not positive.
        ModuleNotFoundError: if PyTorch is asked for and not installed.

    Example:
        >>> found = time_step(Case("mlp", 28, 2), repeats=3)
        >>> len(found.ours), found.median > 0
        (3, True)
    """
    if repeats < 1:
        raise ValueError(f"time_step: repeats must be at least 1, got {repeats}")
    net, images, labels = prepare(case)
    steps = [our_step(net, images, labels, mode)]
    if against_torch:
        steps.append(their_step(case, net, images, labels, mode, channels_last))
    for step in steps * _WARM_UP:
        step()
    times: list[list[float]] = [[] for _ in steps]
    for _ in range(repeats):
        for step, found in zip(steps, times, strict=True):
            start = time.perf_counter()
            step()
            found.append(time.perf_counter() - start)
    return StepTime(case, mode, *map(tuple, times))


def prepare(case: Case) -> tuple[nn.Module, Tensor, Tensor]:
    """The network, random images (N, C, H, W) and labels (N,)."""
    net = models.create(case.network, **case.arguments)
    return net, randn(*case.image_shape()), randint(0, int(case.options.get("num_classes", 10)), (case.batch,))


def our_step(net: nn.Module, images: Tensor, labels: Tensor, mode: Mode = "train") -> Callable[[], object]:
    """A function that does one step and waits until it is done."""
    engine = no_grad, optim.SGD, nn.functional.cross_entropy
    return _step(engine, net, images, labels, mode, images.backend.synchronize)


def their_step(
    case: Case,
    ours: nn.Module,
    images: Tensor,
    labels: Tensor,
    mode: Mode = "train",
    channels_last: bool = False,
) -> Callable[[], object]:
    """The same of PyTorch's, from the same weights."""
    import torch

    from .torch_networks import build, copy_weights

    net = build(case.network, **case.arguments)
    copy_weights(ours, net)
    device = str(images.device)
    net = net.to(device)
    X, y = (torch.tensor(x.cpu().numpy(), device=device) for x in (images, labels))
    wait = torch.cuda.synchronize if images.device.type == "cuda" else (lambda: None)
    if channels_last:
        net, X = net.to(memory_format=torch.channels_last), X.to(memory_format=torch.channels_last)
    engine = torch.no_grad, torch.optim.SGD, torch.nn.functional.cross_entropy
    return _step(engine, net, X, y, mode, wait)


def _step(
    engine: tuple[Any, Any, Any], net: Any, images: Any, labels: Any, mode: Mode, wait: Callable[[], object]
) -> Callable[[], object]:
    """The step itself, which reads the same in both engines: (no_grad, SGD, cross_entropy) of either."""
    without_tape, sgd, cross_entropy = engine
    net.train(mode == "train")
    if mode == "eval":

        def look() -> None:
            with without_tape():
                net(images)
            wait()

        return look
    optimizer = sgd(net.parameters(), lr=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        cross_entropy(net(images), labels).backward()
        optimizer.step()
        wait()

    return step
