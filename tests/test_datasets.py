"""data: datasets, subsets and splits, and the transforms that datasets apply."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinycnn
from tinycnn import data
from tinycnn.data import transforms


class Squares(data.Dataset[tuple[int, float]]):
    """A dataset without `batch`."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> tuple[int, float]:
        return index, float(index) ** 2


def source(seed: int) -> Any:
    return tinycnn.Generator().manual_seed(seed)


def test_tensor_dataset() -> None:
    X, y = tinycnn.randn(6, 2), tinycnn.arange(6)
    dataset = data.TensorDataset(X, y)
    assert len(dataset) == 6
    assert dataset[4][1].item() == 4
    a, b = dataset.batch(np.array([5, 0]))
    np.testing.assert_array_equal(a.numpy(), X.numpy()[[5, 0]])
    assert b.tolist() == [5, 0]
    a.array[...] = 0
    assert (X.numpy() != 0).all()
    with pytest.raises(ValueError, match="same first dimension, got shapes"):
        data.TensorDataset(X, tinycnn.arange(5))
    with pytest.raises(ValueError, match="at least one"):
        data.TensorDataset()


def test_image_dataset_checks_what_it_is_given() -> None:
    images, labels = np.zeros((3, 1, 2, 2), np.uint8), np.arange(3)
    with pytest.raises(ValueError, match=r"expected images \(N, C, H, W\)"):
        data.ImageDataset(images[0], labels, "abc")
    with pytest.raises(ValueError, match="must be uint8 or floating, got int64"):
        data.ImageDataset(images.astype(np.int64), labels, "abc")
    with pytest.raises(ValueError, match="labels must be from 0 to 1, got 0 to 2"):
        data.ImageDataset(images, labels, "ab")
    dataset = data.ImageDataset(images + 255, labels, "abc")
    image, label = dataset[-1]
    assert (image.dtype, image.shape, image.numpy().max(), label) == (tinycnn.float32, (1, 2, 2), 1.0, 2)
    with pytest.raises(IndexError, match="index 3 is out of range, there are 3 samples"):
        dataset[3]
    for wrong in (1.5, slice(0, 2)):
        with pytest.raises(TypeError, match="ImageDataset: a sample's index is an integer, got"):
            dataset[wrong]  # type: ignore[index]
    with pytest.raises(ValueError, match="labels must be integers, got float64"):
        data.ImageDataset(images, labels / 2, "abc")
    with pytest.raises(IndexError, match="index -4 is out of range, there are 3 samples"):
        dataset.batch(np.array([0, -4]))
    assert dataset.batch(np.array([-1, 0]))[1].tolist() == [2, 0]
    with pytest.raises(TypeError, match="expected a transform or a function of an image, got int"):
        data.ImageDataset(images, labels, "abc", transform=3)  # type: ignore[arg-type]


def test_subset() -> None:
    part = data.Subset(Squares(), [7, 2, -1])
    assert [part[i] for i in range(3)] == [(7, 49.0), (2, 4.0), (9, 81.0)]
    assert [x.tolist() for x in part.batch(np.array([1, 2]))] == [[2, 9], [4.0, 81.0]]
    assert not hasattr(part, "classes")
    images = data.Subset(data.Digits(), [5, 6])
    np.testing.assert_array_equal(images.batch(np.array([1]))[0].numpy()[0], data.Digits()[6][0].numpy())
    assert images.classes == data.Digits().classes
    with pytest.raises(IndexError, match="index 10"):
        data.Subset(Squares(), [10])
    for wrong in (np.ones(10, bool), [0.5], [[1, 2]]):
        with pytest.raises(TypeError, match="Subset: indices are integers in one dimension, got"):
            data.Subset(Squares(), wrong)  # type: ignore[arg-type]
    assert len(data.Subset(Squares(), [])) == 0
    with pytest.raises(IndexError, match="Subset: index 2 is out of range, there are 2 samples"):
        images.batch(np.array([0, 2]))


def test_random_split() -> None:
    parts = data.random_split(Squares(), [7, 3], source(0))
    assert [len(p) for p in parts] == [7, 3]
    assert sorted(int(i) for p in parts for i in p.indices) == list(range(10))
    again = data.random_split(Squares(), [7, 3], source(0))
    assert parts[0].indices.tolist() == again[0].indices.tolist()
    assert [len(p) for p in data.random_split(Squares(), [1 / 3, 1 / 3, 1 / 3])] == [4, 3, 3]
    for wrong in ([7, 4], [0.5, 0.4], [11, -1], [5.5, 4.5]):
        with pytest.raises(ValueError, match="random_split"):
            data.random_split(Squares(), wrong)


# ---- transforms -----------------------------------------------------------------------------------------------------


def pictures(transform: Any = None) -> data.ImageDataset:
    rng = np.random.default_rng(0)
    return data.ImageDataset(rng.integers(0, 256, (6, 3, 8, 8), np.uint8), np.arange(6), "abcdef", transform)


def test_a_dataset_applies_its_transform() -> None:
    plain, small = pictures(), pictures(transforms.Resize((4, 5)))
    image, label = small[2]
    assert (image.shape, image.dtype, label) == ((3, 4, 5), tinycnn.float32, 2)
    np.testing.assert_array_equal(image.numpy(), transforms.Resize((4, 5))(plain[2][0]).numpy())
    X, y = small.batch(np.array([2, 4]))
    np.testing.assert_allclose(X.numpy(), [small[2][0].numpy(), small[4][0].numpy()], rtol=1e-6)
    assert y.tolist() == [2, 4]


def test_a_function_of_one_image_is_a_transform() -> None:
    dataset = pictures(lambda image: image.flatten()[:7])
    assert dataset[1][0].shape == (7,)
    X, _ = dataset.batch(np.array([1, 3]))
    assert X.shape == (2, 7)
    np.testing.assert_array_equal(X[0].numpy(), dataset[1][0].numpy())


def test_with_transform_shares_the_images() -> None:
    plain = pictures()
    other = plain.with_transform(transforms.CenterCrop(2))
    assert other.images is plain.images
    assert (plain[0][0].shape, other[0][0].shape) == ((3, 8, 8), (3, 2, 2))
    assert other.with_transform(None)[0][0].shape == (3, 8, 8)
    part = data.Subset(plain, [5, 1]).with_transform(transforms.CenterCrop(2))
    assert (part[0][0].shape, part[0][1]) == ((3, 2, 2), 5)
    assert part.batch(np.array([1]))[0].shape == (1, 3, 2, 2)
    with pytest.raises(TypeError, match="expected a transform"):
        plain.with_transform("flip")  # type: ignore[arg-type]


def test_a_random_transform_draws_from_the_generator_it_is_given() -> None:
    dataset = pictures(transforms.RandomCrop(4))
    numbers = np.arange(6)
    first = dataset.batch(numbers, np.random.default_rng(3))[0].numpy()
    np.testing.assert_array_equal(first, dataset.batch(numbers, np.random.default_rng(3))[0].numpy())
    assert (first != dataset.batch(numbers, np.random.default_rng(4))[0].numpy()).any()
    tinycnn.manual_seed(1)
    one = dataset[0][0].numpy()
    tinycnn.manual_seed(1)
    np.testing.assert_array_equal(one, dataset[0][0].numpy())


def test_datasets_say_whether_they_are_deterministic() -> None:
    flip = transforms.RandomHorizontalFlip()
    assert pictures().deterministic
    assert pictures(transforms.Compose([transforms.Resize(4), transforms.Normalize(0, 1)])).deterministic
    for random in (flip, transforms.Compose([transforms.Resize(4), flip]), lambda image: image):
        assert not pictures(random).deterministic
        assert not data.Subset(pictures(random), [0]).deterministic
    assert data.Subset(pictures(), [0]).deterministic
    assert data.TensorDataset(tinycnn.ones(2)).deterministic
    assert not Squares().deterministic
