"""data.Synthetic: pictures drawn from numbers alone."""

from __future__ import annotations

import numpy as np
import pytest

import tinycnn
from tinycnn import data


def test_a_picture_is_a_function_of_its_number() -> None:
    one, other = data.Synthetic(50, size=32), data.Synthetic(200, size=32)
    other[7]
    images, labels = one.batch(np.array([7, -1]))
    assert (images.shape, images.dtype, labels.dtype) == ((2, 3, 32, 32), tinycnn.float32, tinycnn.int64)
    np.testing.assert_array_equal(images.numpy()[0], other[7][0].numpy())
    np.testing.assert_array_equal(images.numpy()[1], other[49][0].numpy())
    assert labels.tolist() == [7, 9]
    assert 0 <= images.numpy().min() < images.numpy().max() <= 1
    with pytest.raises(IndexError, match="index 50 is out of range"):
        one[50]


def test_other_seeds_and_parts_give_other_pictures() -> None:
    kinds = [data.Synthetic(10, size=16, **kind) for kind in ({}, {"train": False}, {"seed": 1})]
    first = [kind[0][0].numpy() for kind in kinds]
    assert not any(np.allclose(a, b, atol=0.05) for a, b in zip(first, [*first[1:], first[0]], strict=True))


def test_a_larger_picture_shows_the_same_scene() -> None:
    for label in range(10):
        small = data.Synthetic(10, size=32).image(label)
        large = data.Synthetic(10, size=128).image(label).reshape(3, 32, 4, 32, 4).mean((2, 4))
        assert np.corrcoef(small.ravel(), large.ravel())[0, 1] > 0.8


def test_labels_are_balanced() -> None:
    dataset = data.Synthetic(30, num_classes=3)
    assert np.bincount(dataset.labels).tolist() == [10, 10, 10]
    assert dataset.classes == ("disc", "ring", "square")
    assert repr(dataset) == "Synthetic(30 images 3x224x224, 3 classes, seed 0)"
    assert dataset.deterministic


def test_grey() -> None:
    images, _ = data.Synthetic(10, size=24, channels=1).batch(np.arange(10))
    assert images.shape == (10, 1, 24, 24)
    assert images.numpy().std((1, 2, 3)).min() > 0.02  # every form can be seen


@pytest.mark.parametrize(("label", "low", "high"), [(0, 0.99, 1.01), (2, 0.99, 1.01), (6, 0.99, 1.01)])
def test_forms_have_smooth_edges_and_their_area(label: int, low: float, high: float) -> None:
    from tinycnn.data.synthetic import _FORMS

    form = list(_FORMS.values())[label]
    size, radius = 200, np.float32(60)
    ticks = np.arange(size, dtype=np.float32) - np.float32(size / 2 - 0.5)
    turn = np.float32(0.3)
    x = np.cos(turn) * ticks[None, :] + np.sin(turn) * ticks[:, None]
    y = np.cos(turn) * ticks[:, None] - np.sin(turn) * ticks[None, :]
    cover = form(x, y, radius, np.float32(0.5))
    area = {0: np.pi * 60**2, 2: 2 * 60**2, 6: size**2 / 2}[label]
    assert low < cover.sum() / area < high
    assert ((0 < cover) & (cover < 1)).any()


def test_the_mean_colour_says_little() -> None:
    """The class whose mean colour is nearest is hardly ever right: a network must look at the form."""

    def colours(train: bool) -> tuple[np.ndarray, np.ndarray]:
        images, labels = data.Synthetic(500, size=16, train=train).batch(np.arange(500))
        return images.numpy().mean((2, 3)), labels.numpy()

    (known, classes), (unknown, answers) = colours(True), colours(False)
    means = np.stack([known[classes == k].mean(0) for k in range(10)])
    guesses = ((unknown[:, None] - means) ** 2).sum(2).argmin(1)
    assert (guesses == answers).mean() < 0.25


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "n must be an integer, 1 or more, got 0"),
        ({"size": 15}, "size must be an integer, 16 or more, got 15"),
        ({"size": 32.0}, "size must be an integer"),
        ({"num_classes": 11}, "num_classes must be an integer, from 2 to 10, got 11"),
        ({"seed": -1}, "seed must be an integer, 0 or more, got -1"),
        ({"channels": 4}, "channels must be 3 or 1, got 4"),
    ],
)
def test_arguments_are_checked(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data.Synthetic(**arguments)


def test_load_makes_both_parts() -> None:
    train, test = data.load("synthetic", n=41, size=16, channels=1, seed=3)
    assert (len(train), len(test), test.train, test.seed) == (41, 11, False, 3)
    assert test[0][0].shape == (1, 16, 16)


def test_batches_come_through_a_loader_with_a_transform() -> None:
    dataset = data.Synthetic(6, size=16, transform=lambda image: 1 - image)
    plain = data.Synthetic(6, size=16)
    images, _ = next(iter(data.DataLoader(dataset, 6)))
    np.testing.assert_allclose(images.numpy(), 1 - plain.batch(np.arange(6))[0].numpy(), atol=1e-6)
    assert dataset.with_transform(None).transform is None
