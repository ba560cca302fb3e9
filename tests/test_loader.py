"""data: the loader: order, batches, prefetching by a thread, and going on in the middle of an epoch."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

import tinycnn
from tinycnn import data
from tinycnn.data import transforms
from tinycnn.data.prefetch import Prefetcher


class Squares(data.Dataset[tuple[int, float]]):
    """A dataset without `batch`."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> tuple[int, float]:
        return index, float(index) ** 2


def source(seed: int) -> Any:
    return tinycnn.Generator().manual_seed(seed)


def test_loader_batches_in_order() -> None:
    loader = data.DataLoader(Squares(), batch_size=4)
    batches = list(loader)
    assert len(loader) == 3
    assert [len(b[0]) for b in batches] == [4, 4, 2]
    assert batches[0][0].tolist() == [0, 1, 2, 3]
    assert batches[0][0].dtype is tinycnn.int64
    assert batches[2][1].tolist() == [64.0, 81.0]
    assert batches[2][1].dtype is tinycnn.float64
    assert [len(b[0]) for b in data.DataLoader(Squares(), 4, drop_last=True)] == [4, 4]
    assert len(data.DataLoader(Squares(), 4, drop_last=True)) == 2


def test_shuffle_is_seeded_and_new_each_epoch() -> None:
    def orders(loader: data.DataLoader) -> list[list[int]]:
        return [[i for b in loader for i in b[0].tolist()] for _ in range(2)]

    first, second = orders(data.DataLoader(Squares(), 3, shuffle=True, generator=source(1)))
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    assert orders(data.DataLoader(Squares(), 3, shuffle=True, generator=source(1))) == [first, second]
    tinycnn.manual_seed(5)
    default = orders(data.DataLoader(Squares(), 3, shuffle=True))
    tinycnn.manual_seed(5)
    assert orders(data.DataLoader(Squares(), 3, shuffle=True)) == default


def test_sampler_and_collate() -> None:
    loader = data.DataLoader(Squares(), 2, sampler=[9, 1, 5], collate_fn=lambda samples: samples)
    assert list(loader) == [[(9, 81.0), (1, 1.0)], [(5, 25.0)]]
    assert len(loader) == 2
    with pytest.raises(ValueError, match="not both"):
        data.DataLoader(Squares(), shuffle=True, sampler=[1])
    with pytest.raises(TypeError, match="'float' object cannot be interpreted as an integer"):
        list(data.DataLoader(Squares(), sampler=[0.5]))  # type: ignore[list-item]
    for wrong in (0, -1, 2.0, True):
        with pytest.raises(ValueError, match="batch_size must be an integer of 1 or more"):
            data.DataLoader(Squares(), wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "dataset", [data.Digits(train=False), data.Subset(data.Digits(), list(range(50, 90)))], ids=["digits", "subset"]
)
def test_the_quick_way_gives_what_collating_samples_gives(dataset: data.Dataset[Any]) -> None:
    quick = data.DataLoader(dataset, 16, shuffle=True, generator=source(0))
    slow = data.DataLoader(dataset, 16, shuffle=True, generator=source(0), collate_fn=data.default_collate)
    for (X, y), (U, v) in zip(quick, slow, strict=True):
        np.testing.assert_array_equal(X.numpy(), U.numpy())
        np.testing.assert_array_equal(y.numpy(), v.numpy())
        assert (X.dtype, y.dtype) == (U.dtype, v.dtype) == (tinycnn.float32, tinycnn.int64)


def test_default_collate() -> None:
    samples = [
        {"x": tinycnn.ones(2), "y": (1, np.float32(0.5), "a")},
        {"x": tinycnn.zeros(2), "y": (2, np.float32(1), "b")},
    ]
    batch = data.default_collate(samples)
    assert batch["x"].tolist() == [[1, 1], [0, 0]]
    numbers, floats, words = batch["y"]
    assert (numbers.tolist(), floats.dtype, words) == ([1, 2], tinycnn.float32, ["a", "b"])
    assert data.default_collate([True, False]).dtype is tinycnn.bool
    assert data.default_collate([np.ones(3), np.ones(3)]).shape == (2, 3)
    with pytest.raises(ValueError, match="must have one shape"):
        data.default_collate([tinycnn.ones(2), tinycnn.ones(3)])
    with pytest.raises(ValueError, match="must have one shape"):
        data.default_collate([np.ones(2), np.ones(3)])
    with pytest.raises(ValueError, match="equally many fields"):
        data.default_collate([(1,), (1, 2)])
    with pytest.raises(TypeError, match="cannot make a batch of object"):
        data.default_collate([object()])
    with pytest.raises(TypeError, match="cannot make a batch of arrays of <U1; give the DataLoader a collate_fn"):
        data.default_collate([np.array(["a"])])
    with pytest.raises(TypeError, match="must be of one kind, got Tensor and int"):
        data.default_collate([tinycnn.ones(2), 1])
    with pytest.raises(ValueError, match="at least one sample"):
        data.default_collate([])


def test_a_named_tuple_stays_one() -> None:
    class Sample(NamedTuple):
        image: Any
        label: int

    batch = data.default_collate([Sample(tinycnn.ones(2), 3), Sample(tinycnn.zeros(2), 4)])
    assert isinstance(batch, Sample)
    assert (batch.image.shape, batch.label.tolist()) == ((2, 2), [3, 4])  # type: ignore[attr-defined]


def test_pytorchs_arguments() -> None:
    def names() -> list[int]:
        return [t.ident for t in threading.enumerate() if t.name == "tinycnn-prefetch"]  # type: ignore[misc]

    started: list[int] = []
    loader = data.DataLoader(
        Squares(), 4, False, None, None, 2, pin_memory=True, persistent_workers=True, worker_init_fn=started.append
    )
    assert loader.prefetch == 2
    assert [b[0].tolist() for b in loader] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert started == [0]
    assert not names()
    assert data.DataLoader(Squares(), num_workers=4, prefetch_factor=3).prefetch == 3
    assert data.DataLoader(Squares(), num_workers=4, prefetch=0).prefetch == 0
    batches = data.DataLoader(Squares(), batch_sampler=[[3, 1], [9]])
    assert (len(batches), [b[0].tolist() for b in batches]) == (2, [[3, 1], [9]])
    for wrong, message in {
        "num_workers": "num_workers must be an integer of 0 or more, got -1",
        "prefetch": "prefetch must be an integer of 0 or more, got -1",
        "timeout": "timeout must be 0 or more seconds, got -1",
        "prefetch_factor": "need num_workers above 0",
        "persistent_workers": "need num_workers above 0",
    }.items():
        with pytest.raises(ValueError, match=message):
            data.DataLoader(Squares(), **{wrong: -1})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="prefetch_factor must be an integer of 1 or more, got 0"):
        data.DataLoader(Squares(), num_workers=1, prefetch_factor=0)
    with pytest.raises(ValueError, match="batch_sampler excludes batch_size"):
        data.DataLoader(Squares(), 2, batch_sampler=[[1]])


def test_a_seed_is_drawn_only_if_something_may_be_random() -> None:
    digits = data.Digits(train=False)
    before = tinycnn.get_rng_state()
    next(iter(data.DataLoader(digits, 8)))
    assert tinycnn.get_rng_state() == before
    for dataset, shuffle in ((digits, True), (digits.with_transform(transforms.RandomCrop(8)), False)):
        tinycnn.set_rng_state(before)
        next(iter(data.DataLoader(dataset, 8, shuffle)))
        assert tinycnn.get_rng_state() != before


# ---- random samples -------------------------------------------------------------------------------------------------


class Noisy(data.Dataset[float]):
    """A dataset of the user's own that draws."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> float:
        return index + float(data.current_rng().random())


AUGMENT = transforms.Compose(
    [transforms.RandomCrop(28, padding=2), transforms.RandomHorizontalFlip(), transforms.ColorJitter(0.5, 0.5)]
)


def first_digits() -> data.ImageDataset:
    digits = data.Digits(train=False)
    return data.ImageDataset(digits.images[:18], digits.labels[:18], digits.classes)


RANDOM_SETS: dict[str, Callable[[], data.Dataset[Any]]] = {
    "a transform": lambda: first_digits().with_transform(AUGMENT),
    "a function": lambda: first_digits().with_transform(lambda image: AUGMENT(image)),
    "a subset": lambda: data.Subset(first_digits().with_transform(AUGMENT), [*range(8), *range(8)]),
    "the user's": Noisy,
}


def all_batches(loader: data.DataLoader) -> list[np.ndarray]:
    return [(b if isinstance(b, tinycnn.Tensor) else b[0]).numpy() for b in loader]


def same(ours: list[np.ndarray], theirs: list[np.ndarray]) -> bool:
    return len(ours) == len(theirs) and all((a == b).all() for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("name", RANDOM_SETS)
def test_batches_are_the_same_with_and_without_prefetch(name: str) -> None:
    def epochs(prefetch: int) -> list[list[np.ndarray]]:
        loader = data.DataLoader(RANDOM_SETS[name](), 4, shuffle=True, generator=source(3), prefetch=prefetch)
        return [all_batches(loader) for _ in range(2)]

    first, second = epochs(0)
    assert not same(first, second)
    for prefetch in (1, 2, 50):
        again = epochs(prefetch)
        assert same(again[0], first)
        assert same(again[1], second)


def test_a_batch_draws_by_its_seed_and_number_alone() -> None:
    loader = data.DataLoader(Noisy(), 5, shuffle=True, generator=source(1))
    _, second = all_batches(loader)
    seed = tinycnn.data.randomness.fresh_seed(source(1))
    order = np.random.default_rng(seed).permutation(10)
    np.testing.assert_array_equal(second, order[5:] + np.random.default_rng([seed, 1, 1]).random(5))


def test_a_batchs_generator_is_not_left_behind() -> None:
    tinycnn.manual_seed(0)
    expected = data.current_rng().random()
    loader = iter(data.DataLoader(Noisy(), 2, generator=source(0)))
    next(loader)
    tinycnn.manual_seed(0)
    assert data.current_rng().random() == expected


# ---- going on -------------------------------------------------------------------------------------------------------


class Counted(Noisy):
    def __init__(self) -> None:
        self.fetched: list[int] = []

    def __getitem__(self, index: int) -> float:
        self.fetched.append(index)
        return super().__getitem__(index)


@pytest.mark.parametrize("prefetch", [0, 3])
@pytest.mark.parametrize("own", [True, False], ids=["own generator", "default generator"])
@pytest.mark.parametrize("done", [0, 1, 3, 5])
def test_an_epoch_goes_on_where_it_stopped(prefetch: int, own: bool, done: int) -> None:
    tinycnn.manual_seed(7)
    generator = source(2) if own else None
    loader = data.DataLoader(Noisy(), 2, shuffle=True, generator=generator, prefetch=prefetch)
    all_batches(loader)
    epoch = iter(loader)
    for _ in range(done):
        next(epoch)
    time.sleep(0.01)  # what is prefetched by now must not count
    state = json.loads(json.dumps(loader.state_dict()))
    assert state["batch"] == done
    everywhere = tinycnn.get_rng_state()
    rest, following = [b.numpy() for b in epoch], all_batches(loader)

    dataset = Counted()
    tinycnn.manual_seed(99)
    other = data.DataLoader(dataset, 2, shuffle=True, generator=source(5) if own else None, prefetch=3 - prefetch)
    tinycnn.set_rng_state(everywhere)
    other.load_state_dict(state)
    assert other.state_dict() == state
    assert same(all_batches(other), rest)
    assert len(dataset.fetched) == 10 - 2 * done
    assert same(all_batches(other), following)


def test_without_randomness_an_epoch_goes_on_too() -> None:
    loader = data.DataLoader(data.TensorDataset(tinycnn.arange(10)), 3)
    epoch = iter(loader)
    next(epoch)
    state = loader.state_dict()
    assert state == {"epoch_seed": None, "batch": 1, "generator": None}
    loader.load_state_dict(state)
    assert [x.tolist() for (x,) in loader] == [[3, 4, 5], [6, 7, 8], [9]]
    assert len(list(loader)) == 4


def test_between_epochs_the_state_is_of_none() -> None:
    loader = data.DataLoader(Squares(), 3, shuffle=True, generator=source(0))
    fresh = loader.state_dict()
    assert (fresh["epoch_seed"], fresh["batch"]) == (None, 0)
    first = all_batches(loader)
    state = loader.state_dict()
    assert (state["epoch_seed"], state["batch"]) == (None, 0)
    second = all_batches(loader)
    loader.load_state_dict(state)
    assert same(all_batches(loader), second)
    loader.load_state_dict(fresh)
    assert same(all_batches(loader), first)


def test_a_loop_that_was_left_is_the_epoch_under_way() -> None:
    loader = data.DataLoader(Squares(), 2, shuffle=True, generator=source(0), prefetch=2)
    for n, _ in enumerate(loader):
        if n == 2:
            break
    state = loader.state_dict()
    assert state["batch"] == 3
    assert len(all_batches(loader)) == 5  # a new epoch: only load_state_dict goes on with an old one
    loader.load_state_dict(state)
    assert len(all_batches(loader)) == 2


def test_a_state_that_does_not_fit_is_refused() -> None:
    loader = data.DataLoader(Squares(), 2, shuffle=True)
    for state, message in (
        ({"batch": 1}, "the state lacks epoch_seed, generator"),
        ({"epoch_seed": 1, "batch": -1, "generator": None}, "batch must be an integer of 0 or more, got -1"),
        ({"epoch_seed": "x", "batch": 1, "generator": None}, "epoch_seed must be an integer of 0 or more, got 'x'"),
        ({"epoch_seed": 1, "batch": 1, "generator": {}}, "the state has a generator, the loader has none"),
        ({"epoch_seed": None, "batch": 1, "generator": None}, "the loader is of random batches, the state is not"),
    ):
        with pytest.raises(ValueError, match=message):
            loader.load_state_dict(state)
    loader.load_state_dict({"epoch_seed": 1, "batch": 6, "generator": None})
    with pytest.raises(ValueError, match="the state to go on from is of batch 6, there are 5"):
        iter(loader)


# ---- the thread -----------------------------------------------------------------------------------------------------


def prefetching() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name == "tinycnn-prefetch"]


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    yield
    assert not prefetching()


class Failing(Squares):
    error: BaseException = LookupError("sample 5 is lost")

    def __getitem__(self, index: int) -> tuple[int, float]:
        if index == 5:
            raise self.error
        return super().__getitem__(index)


def test_the_thread_runs_ahead_and_no_further() -> None:
    dataset = Counted()
    epoch = iter(data.DataLoader(dataset, 1, prefetch=3))
    next(epoch)
    deadline = time.monotonic() + 10
    while len(dataset.fetched) < 4 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.05)
    assert dataset.fetched == [0, 1, 2, 3]


def test_break_ends_the_thread() -> None:
    for _ in data.DataLoader(Squares(), 2, prefetch=2):
        assert prefetching()
        break
    assert not prefetching()


def test_an_exception_in_the_loop_ends_the_thread() -> None:
    def train() -> None:
        for _ in data.DataLoader(Squares(), 2, prefetch=2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train()
    assert not prefetching()


@pytest.mark.parametrize("prefetch", [0, 2])
def test_an_error_in_the_dataset_comes_in_its_place_with_its_traceback(prefetch: int) -> None:
    epoch = iter(data.DataLoader(Failing(), 2, prefetch=prefetch))
    assert [next(epoch)[0].tolist() for _ in range(2)] == [[0, 1], [2, 3]]
    with pytest.raises(LookupError, match="sample 5 is lost") as caught:
        next(epoch)
    assert "raise self.error" in "".join(traceback.format_exception(caught.value))
    assert not prefetching()
    assert next(epoch, "the end") == "the end"


def test_a_stray_stop_iteration_does_not_end_the_epoch_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Failing, "error", StopIteration())
    for prefetch in (0, 2):
        with pytest.raises(RuntimeError, match="StopIteration"):
            list(data.DataLoader(Failing(), 2, prefetch=prefetch))


def test_worker_init_fn_may_fail() -> None:
    def refuse(number: int) -> None:
        raise ValueError(f"worker {number} refuses")

    with pytest.raises(ValueError, match="worker 0 refuses"):
        list(data.DataLoader(Squares(), num_workers=1, worker_init_fn=refuse))


def test_a_slow_dataset_runs_into_the_timeout() -> None:
    release = threading.Event()

    class Slow(Squares):
        def __getitem__(self, index: int) -> tuple[int, float]:
            release.wait(10)
            return super().__getitem__(index)

    epoch = iter(data.DataLoader(Slow(), num_workers=1, timeout=0.02))
    with pytest.raises(RuntimeError, match=r"no batch was ready after 0\.02 seconds"):
        next(epoch)
    release.set()
    del epoch


def test_several_epochs_at_once() -> None:
    loader = data.DataLoader(Squares(), 2, shuffle=True, prefetch=2, generator=source(0))
    one, two = iter(loader), iter(loader)
    mixed = [(next(one)[0].tolist(), next(two)[0].tolist()) for _ in range(5)]
    assert sorted(i for a, _ in mixed for i in a) == sorted(i for _, b in mixed for i in b) == list(range(10))
    assert loader.state_dict()["batch"] == 5
    assert next(one, None) is None
    assert loader.state_dict()["batch"] == 5  # the state is that of the epoch begun last
    assert next(two, None) is None
    assert loader.state_dict()["batch"] == 0


@pytest.mark.parametrize("ending", ["whole", "left", "failed"])
def test_nothing_keeps_the_dataset_alive(ending: str) -> None:
    gc.collect()
    gc.disable()  # no reference cycle may need it
    try:
        dataset = Failing() if ending == "failed" else Squares()
        loader = data.DataLoader(dataset, 2, prefetch=2)
        epoch = iter(loader)
        next(epoch)
        if ending == "whole":
            assert len(list(epoch)) == 4
        if ending == "failed":
            with pytest.raises(LookupError):
                list(epoch)
            Failing.error.__traceback__ = None
        gone = weakref.ref(dataset)
        del epoch, loader, dataset
        assert gone() is None
    finally:
        gc.enable()


def test_closing_by_hand() -> None:
    items = Prefetcher(iter(range(100)), ahead=2)
    assert next(items) == 0
    items.close()
    assert not prefetching()
    assert next(items, None) is None


EXIT = """
import signal, sys, threading, time
import tinycnn

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin without

class Slow(tinycnn.data.Dataset):
    def __len__(self):
        return 1000
    def __getitem__(self, index):
        time.sleep(0.001)
        return index

epoch = iter(tinycnn.data.DataLoader(Slow(), 2, prefetch=2))
next(epoch)
if sys.argv[1] == "interrupted":
    def interrupt():
        import _thread
        time.sleep(0.05)
        _thread.interrupt_main()
    threading.Thread(target=interrupt).start()
    try:
        for batch in epoch:
            pass
    except KeyboardInterrupt:
        print([t.name for t in threading.enumerate() if t.name == "tinycnn-prefetch"])
else:
    print("[]")  # and leaves, with the thread at work
"""


@pytest.mark.parametrize("how", ["left", "interrupted"])
def test_the_program_ends_cleanly(how: str) -> None:
    done = subprocess.run([sys.executable, "-c", EXIT, how], check=False, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")
