"""From settings to what is trained: device, data, network, optimiser, schedule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tinycnn
from tinycnn import backend, data, models, nn, optim, train as training
from tinycnn.data import transforms
from tinycnn.optim import lr_scheduler

from .console import fail
from .settings import Settings

MEANT_AS_THEY_STAND = ("digits", "mnist")  # a mirrored digit is none


@dataclass(frozen=True)
class Data:
    """The parts of the data, and what of them the network must know.

    Attributes:
        train, test: data sets.
        validation: what was held out of the training data, or None.
        whole: how many training images there are in all.
        classes: their names.
        shape: (C, H, W) of an image as the network sees it.
    """

    train: Any
    test: Any
    validation: Any
    whole: int
    classes: tuple[str, ...]
    shape: tuple[int, int, int]


def choose_machine(device: str | None, kernels: str | None, threads: int | None) -> tuple[str, str]:
    """Set kernels, device and threads as asked for; the names of the device and the kernels in use.

    Raises:
        ValueError, RuntimeError: if there is no such thing.
    """
    if kernels is not None:
        backend.use_kernels(kernels)
    if device is not None:
        backend.set_default_device(device)
    found = str(backend.get_default_device())
    if threads is not None:
        backend.set_num_threads(threads)
    return found, backend.get_kernels()


def load_data(
    settings: Settings, download: bool = False, progress: Callable[[int, int | None], None] | None = None
) -> Data:
    """The data, at the size asked for, changed at random if asked for, and cut as asked for.

    Raises:
        ValueError, OSError: if they cannot be had, or not so.
    """
    side = settings.resize
    own_size = {"size": side} if side is not None and "size" in data.get(settings.data).options else {}
    train, test = data.load(settings.data, settings.data_dir, download, progress, **own_size)
    steps: list[Any] = []
    if side is not None and not own_size:
        steps.append(transforms.Resize((side, side)))
    plain = train.with_transform(transforms.Compose(steps) if steps else None)
    test = test.with_transform(plain.transform)
    channels, height, width = (int(n) for n in plain[0][0].shape)
    train = plain
    if settings.augment:
        steps.append(transforms.RandomCrop((height, width), padding=max(height // 8, 1)))
        if settings.data not in MEANT_AS_THEY_STAND:
            steps.append(transforms.RandomHorizontalFlip())
        train = plain.with_transform(transforms.Compose(steps))
    whole, held_out = len(plain), round(len(plain) * (settings.validation or 0))
    wanted = whole - held_out if settings.limit is None else settings.limit
    if settings.validation is not None and not 0 < held_out < whole:
        raise ValueError(f"--validation {settings.validation:g} of {whole:,} images leaves nothing on one side")
    if wanted > whole - held_out:
        raise ValueError(f"--limit {settings.limit}: there are {whole - held_out:,} training images")
    validation = None
    if held_out or wanted < whole:
        # A generator of its own: the choice is the seed's alone.
        order = tinycnn.randperm(whole, device="cpu", generator=tinycnn.Generator().manual_seed(settings.seed)).tolist()
        if held_out:
            validation = data.Subset(plain, sorted(order[:held_out]))
        train = data.Subset(train, sorted(order[held_out : held_out + wanted]))
    return Data(train, test, validation, whole, tuple(plain.classes), (channels, height, width))


def make_network(settings: Settings, found: Data) -> nn.Module:
    """The network for the data's images and classes, its weights as asked for and drawn from the seed.

    Raises:
        ValueError: if the images are too small for it, or an option is out of range.
    """
    info = models.get(settings.network)
    channels, height, width = found.shape
    if min(height, width) < info.smallest:
        sides = sorted({info.smallest, max(info.input_shape[1:])})
        raise ValueError(
            f"{info.name} needs images of {info.smallest}x{info.smallest} or more, these are {height}x{width}; "
            f"say {' or '.join(f'--resize {side}' for side in sides)}"
        )
    given = {"num_classes": len(found.classes), "in_channels": channels, "image_size": (height, width)}
    options = {name: value for name, value in given.items() if name in info.options}
    for name in {"cpu", str(backend.get_default_device())}:
        backend.get_backend(name).random.seed(settings.seed)
    network = models.create(info.name, **options, **settings.options)
    return training.initialize(network, settings.init)


def make_optimizer(settings: Settings, network: nn.Module) -> optim.Optimizer:
    """The optimiser over all parameters."""
    make: Any = {
        "sgd": optim.SGD,
        "adam": optim.Adam,
        "adamw": optim.AdamW,
        "rmsprop": optim.RMSprop,
        "adagrad": optim.Adagrad,
    }[settings.optimizer]
    momentum = {} if settings.momentum is None else {"momentum": settings.momentum}
    optimizer: optim.Optimizer = make(
        network.parameters(), lr=settings.lr, weight_decay=settings.weight_decay, **momentum
    )
    return optimizer


def make_scheduler(
    settings: Settings, optimizer: optim.Optimizer, steps_per_epoch: int
) -> tuple[lr_scheduler.LRScheduler | None, Any]:
    """The schedule, and whether it steps by "epoch" or by "step": the latter if the rate is to rise within epochs."""
    kind, warmup = settings.scheduler, settings.warmup
    by_steps = bool(warmup) or kind == "onecycle"
    unit = steps_per_epoch if by_steps else 1
    length = (settings.epochs - warmup) * unit
    decay, at = settings.decay or 1.0, settings.decay_at or [1]
    scheduler: lr_scheduler.LRScheduler | None
    match kind:
        case "step":
            scheduler = lr_scheduler.StepLR(optimizer, at[0] * unit, decay)
        case "multistep":
            scheduler = lr_scheduler.MultiStepLR(optimizer, [(epoch - warmup) * unit for epoch in at], decay)
        case "exponential":
            scheduler = lr_scheduler.ExponentialLR(optimizer, decay ** (1 / unit))
        case "cosine":
            scheduler = lr_scheduler.CosineAnnealingLR(optimizer, length)
        case "onecycle":
            scheduler = lr_scheduler.OneCycleLR(optimizer, settings.lr, total_steps=length, cycle_momentum=False)
        case "plateau":
            scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=decay, patience=at[0])
        case _:
            scheduler = lr_scheduler.ConstantLR(optimizer, 1.0) if warmup else None
    if warmup and scheduler is not None:
        rise = lr_scheduler.LinearLR(optimizer, 1 / (warmup * unit + 1), 1.0, warmup * unit)
        scheduler = lr_scheduler.SequentialLR(optimizer, [rise, scheduler], [warmup * unit])
    return scheduler, "step" if by_steps else "epoch"


def machine_or_fail(device: str | None, kernels: str | None, threads: int | None) -> tuple[str, str]:
    """`choose_machine`, or a line that says what is wrong."""
    try:
        return choose_machine(device, kernels, threads)
    except (ValueError, RuntimeError) as error:
        fail(error)
