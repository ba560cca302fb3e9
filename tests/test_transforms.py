"""data.transforms: Pillow's results, or the published formula's, for one image and for a batch."""

from __future__ import annotations

import colorsys
import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageEnhance

import tinycnn
from tinycnn import data
from tinycnn.data import transforms
from tinycnn.data.transforms import colour
from tinycnn.data.transforms.resampling import resampling_matrix

MODES = {"nearest": Image.NEAREST, "bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC}


def images(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, np.float32)


def picture(height: int, width: int, mode: str = "RGB", seed: int = 0) -> Image.Image:
    channels = {"L": (), "RGB": (3,), "RGBA": (4,)}[mode]
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, *channels), np.uint8))


def levels(a: Any, b: Any) -> int:
    """How many of 256 levels two pictures differ at most."""
    assert (a.size, a.mode) == (b.size, b.mode)
    return int(np.abs(np.asarray(a).astype(int) - np.asarray(b)).max())


# ---- resize ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(28, 28), (37, 53), (1, 5)])
@pytest.mark.parametrize("size", [(96, 96), (14, 70), (5, 4), (1, 1)])
def test_resize_is_pillows(shape: tuple[int, int], size: tuple[int, int], mode: str) -> None:
    image = images(1, 1, *shape)
    expected = np.asarray(Image.fromarray(image[0, 0]).resize(size[::-1], MODES[mode]))
    np.testing.assert_allclose(transforms.Resize(size, mode)(image)[0, 0], expected, atol=1e-5)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("size", [(96, 96), (14, 70), (224, 30), (9, 9)])
def test_resize_of_8_bits_is_pillows_to_a_rounding(mode: str, size: tuple[int, int]) -> None:
    source = picture(28, 31, mode)
    resized = transforms.Resize(size)(source)
    assert levels(resized, source.resize(size[::-1], Image.BILINEAR)) <= 1
    assert levels(transforms.Resize((28, 60), "bicubic")(source), source.resize((60, 28), Image.BICUBIC)) <= 1
    tensor = tinycnn.tensor(np.asarray(source.convert("L"))[None])
    assert transforms.Resize(size)(tensor).dtype is tinycnn.uint8


@pytest.mark.parity
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("size", [(96, 224), (7, 30), (1, 2)])
def test_resize_is_pytorchs(mode: str, antialias: bool, size: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the reference")
    image = np.random.default_rng(1).random((2, 3, 28, 41))
    expected = torch.nn.functional.interpolate(torch.tensor(image), size, mode=mode, antialias=antialias)
    np.testing.assert_allclose(transforms.Resize(size, mode, antialias=antialias)(image), expected.numpy(), atol=1e-12)


def test_half_precision_is_resized_in_single() -> None:
    x = images(1, 2, 40, 30).astype(np.float16)
    out = transforms.Resize((7, 9))(x)
    assert out.dtype == np.float16
    np.testing.assert_array_equal(out, transforms.Resize((7, 9))(x.astype(np.float32)).astype(np.float16))


def test_only_small_matrices_are_kept() -> None:
    assert resampling_matrix(30, 20) is resampling_matrix(30, 20)
    assert resampling_matrix(3000, 200) is not resampling_matrix(3000, 200)


def test_antialiasing_is_an_average() -> None:
    """Four pixels to two by hand: pixels 0, 1, 2 lie 0.5, 0.5 and 1.5 from the first centre, 1, of reach 2."""
    np.testing.assert_allclose(resampling_matrix(4, 2), np.array([[3, 3, 1, 0], [0, 1, 3, 3]]) / 7)
    np.testing.assert_allclose(resampling_matrix(7, 3).sum(axis=1), 1)
    np.testing.assert_array_equal(resampling_matrix(1, 3), np.ones((3, 1)))
    assert resampling_matrix(6, 2, antialias=False).tolist() == [[0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0]]


def test_one_size_is_that_of_the_shorter_side() -> None:
    assert transforms.Resize(10, max_size=20).size_of(2, 1000) == (1, 20)

    def size_of(size: Any, height: int, width: int, **options: Any) -> tuple[int, ...]:
        return tuple(transforms.Resize(size, **options)(images(1, 1, height, width)).shape[2:])

    assert size_of(14, 28, 28) == (14, 14)
    assert size_of(20, 10, 33) == (20, 66)
    assert size_of([20], 33, 10) == (66, 20)
    assert size_of(7, 10, 33) == (7, 23)
    assert size_of(20, 10, 33, max_size=40) == (12, 40)
    assert size_of((20, 5), 10, 33) == (20, 5)
    same = images(1, 1, 9, 9)
    np.testing.assert_array_equal(transforms.Resize(9)(same), same)


# ---- crops, borders and flips ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "top", "left"), [(4, 2, 3), ((5, 8), 2, 1), ((8, 10), 0, 0)])
def test_center_crop(size: Any, top: int, left: int) -> None:
    batch = images(2, 3, 8, 10)
    height, width = (size, size) if isinstance(size, int) else size
    expected = batch[:, :, top : top + height, left : left + width]
    np.testing.assert_array_equal(transforms.CenterCrop(size)(batch), expected)


def test_center_crop_of_a_small_image_has_a_border() -> None:
    out = transforms.CenterCrop((3, 4))(np.ones((1, 1, 2, 5), np.float32))
    assert out[0, 0].tolist() == [[1, 1, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0]]


def test_pad() -> None:
    row = np.array([[[[1.0, 2.0, 3.0]]]], np.float32)
    assert transforms.Pad((2, 0))(row)[0, 0].tolist() == [[0, 0, 1, 2, 3, 0, 0]]
    assert transforms.Pad((2, 0, 1, 0), fill=9)(row)[0, 0].tolist() == [[9, 9, 1, 2, 3, 9]]
    assert transforms.Pad((2, 0), padding_mode="edge")(row)[0, 0].tolist() == [[1, 1, 1, 2, 3, 3, 3]]
    assert transforms.Pad((2, 0), padding_mode="reflect")(row)[0, 0].tolist() == [[3, 2, 1, 2, 3, 2, 1]]
    assert transforms.Pad((2, 0), padding_mode="symmetric")(row)[0, 0].tolist() == [[2, 1, 1, 2, 3, 3, 2]]
    assert transforms.Pad(1, fill=7)(picture(2, 2, "L")).getpixel((0, 0)) == 7


def test_random_crop_takes_every_place_and_each_image_its_own() -> None:
    image = np.arange(20, dtype=np.float32).reshape(1, 1, 4, 5)
    crops = transforms.RandomCrop((2, 3))(np.repeat(image, 400, axis=0), np.random.default_rng(0))
    corners, counts = np.unique(crops[:, 0, 0, 0], return_counts=True)
    assert corners.tolist() == [0, 1, 2, 5, 6, 7, 10, 11, 12]
    assert counts.min() > 20
    np.testing.assert_array_equal(crops[:, 0] - crops[:, 0, :1, :1], np.tile([[0, 1, 2], [5, 6, 7]], (400, 1, 1)))


def test_random_crop_in_a_border() -> None:
    image = np.ones((300, 1, 2, 2), np.float32)
    crops = transforms.RandomCrop(2, padding=1)(image, np.random.default_rng(0))
    assert set(crops.sum(axis=(1, 2, 3)).tolist()) == {1, 2, 4}
    grown = transforms.RandomCrop((3, 2), pad_if_needed=True, fill=5)(image, np.random.default_rng(0))
    assert grown.shape == (300, 1, 3, 2)
    assert {tuple(c) for c in grown[:, 0, :, 0].tolist()} == {(5, 1, 1), (1, 1, 5)}
    mirrored = transforms.RandomCrop(4, padding=1, padding_mode="edge")(image)
    assert mirrored.min() == 1


@pytest.mark.parametrize(("flip", "axis"), [(transforms.RandomHorizontalFlip, 3), (transforms.RandomVerticalFlip, 2)])
def test_flips(flip: Callable[[float], transforms.Transform], axis: int) -> None:
    batch = images(1000, 1, 3, 4)
    np.testing.assert_array_equal(flip(1)(batch), np.flip(batch, axis))
    np.testing.assert_array_equal(flip(0)(batch), batch)
    out = flip(0.3)(batch, np.random.default_rng(0))
    flipped = (out == np.flip(batch, axis)).all(axis=(1, 2, 3))
    assert ((out == batch).all(axis=(1, 2, 3)) ^ flipped).all()
    assert 250 < flipped.sum() < 350


# ---- random resized crop --------------------------------------------------------------------------------------------


def published_box(height: int, width: int, scale: Any, ratio: Any) -> tuple[int, int]:
    """Height and width of the crop, drawn one number after the other."""
    for _ in range(10):
        area = height * width * random.uniform(*scale)
        aspect = math.exp(random.uniform(math.log(ratio[0]), math.log(ratio[1])))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return h, w
    if width / height < ratio[0]:
        return round(width / ratio[0]), width
    if width / height > ratio[1]:
        return height, round(height * ratio[1])
    return height, width


@pytest.mark.parametrize(
    ("shape", "scale", "ratio"),
    [
        ((28, 28), (0.08, 1.0), (3 / 4, 4 / 3)),
        ((40, 50), (0.1, 1.0), (0.5, 2.0)),
        ((30, 60), (0.5, 1.0), (0.9, 1.1)),
        ((100, 10), (0.9, 1.0), (0.9, 1.1)),
        ((10, 100), (0.9, 1.0), (0.9, 1.1)),
    ],
)
def test_random_resized_crop_draws_as_published(shape: Any, scale: Any, ratio: Any) -> None:
    n = 4000
    top, left, h, w = transforms.RandomResizedCrop(8, scale, ratio).draw(n, *shape, np.random.default_rng(0))
    expected = np.array([published_box(*shape, scale, ratio) for _ in range(n)])
    for ours, theirs in ((h, expected[:, 0]), (w, expected[:, 1]), (h * w, expected.prod(axis=1))):
        assert abs(ours.mean() - theirs.mean()) < 5 * theirs.std() * math.sqrt(2 / n) + 1e-9
        assert abs(ours.std() - theirs.std()) < 0.1 * theirs.std() + 1e-9
    for start, length, whole in ((top, h, shape[0]), (left, w, shape[1])):
        assert ((0 <= start) & (start + length <= whole)).all()
        free = whole - length
        if (free > 4).any() and free.std() > 0:
            assert abs((start / np.maximum(free, 1))[free > 4].mean() - 0.5) < 0.03


def test_random_resized_crop_is_a_crop_resized() -> None:
    batch, transform = images(5, 3, 20, 30), transforms.RandomResizedCrop((12, 14), scale=(0.2, 0.6))
    boxes = np.stack(transform.draw(5, 20, 30, np.random.default_rng(2)), axis=1)
    out = transform(batch, np.random.default_rng(2))
    for i, (top, left, h, w) in enumerate(boxes.tolist()):
        for channel in range(3):
            crop = Image.fromarray(batch[i, channel, top : top + h, left : left + w].copy())
            expected = np.asarray(crop.resize((14, 12), Image.BILINEAR))
            np.testing.assert_allclose(out[i, channel], expected, atol=1e-5)
    assert len({tuple(box) for box in boxes.tolist()}) == 5


def test_the_middle_is_taken_if_no_crop_fits() -> None:
    for shape, ratio, expected in (
        ((10, 100), (0.9, 1.1), (0, 44, 10, 11)),
        ((100, 10), (0.8, 1.0), (44, 0, 12, 10)),
        ((10, 12), (1.0, 2.0), (0, 0, 10, 12)),
    ):
        scale = (1.5, 1.5) if shape == (10, 12) else (1.0, 1.0)
        draws = transforms.RandomResizedCrop(4, scale, ratio).draw(3, *shape, np.random.default_rng(0))
        assert [d.tolist() for d in draws] == [[v] * 3 for v in expected]


# ---- colours --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.7])
@pytest.mark.parametrize(
    ("name", "enhance"),
    [("brightness", ImageEnhance.Brightness), ("contrast", ImageEnhance.Contrast), ("saturation", ImageEnhance.Color)],
)
def test_color_jitter_is_pillows(name: str, enhance: Any, factor: float) -> None:
    source = picture(20, 30)
    jitter = transforms.ColorJitter(**{name: (factor, factor)})
    assert levels(jitter(source), enhance(source).enhance(factor)) <= 1


def test_hue_is_turned_as_by_colorsys() -> None:
    pixels = images(1, 3, 6, 50)
    pixels[0, :, 0, :3] = [[0.5, 0, 1], [0.5, 0, 1], [0.5, 0, 1]]
    pixels[0, 1, 1] = pixels[0, 0, 1]
    for turn in (-0.5, -0.2, 0.0, 0.15, 0.5):
        out = (
            transforms.ColorJitter(hue=(turn, turn))(pixels) if turn else colour.adjust_hue(pixels, np.zeros((1,) * 4))
        )
        for before, after in zip(pixels[0].reshape(3, -1).T, out[0].reshape(3, -1).T, strict=True):
            h, s, v = colorsys.rgb_to_hsv(*before.tolist())
            np.testing.assert_allclose(after, colorsys.hsv_to_rgb((h + turn) % 1, s, v), atol=1e-5)


def test_color_jitter_draws_factors_and_order_for_each_image() -> None:
    jitter = transforms.ColorJitter(0.5, (0.2, 0.4), 2.0, 0.1)
    factors, order = jitter.draw(2000, 8, 8, np.random.default_rng(0))
    for column, (low, high) in zip(factors.T, [(0.5, 1.5), (0.2, 0.4), (0, 3), (-0.1, 0.1)], strict=True):
        assert (column.min() >= low) & (column.max() <= high)
        assert column.min() - low < 0.01 * (high - low)
        assert high - column.max() < 0.01 * (high - low)
    assert len({tuple(o) for o in order.tolist()}) == 24
    # Brightness, then contrast, is not contrast, then brightness.
    both = transforms.ColorJitter((0.5, 0.5), (2.0, 2.0))
    image = images(1, 3, 4, 4)
    out = both(np.repeat(image, 40, axis=0), np.random.default_rng(0))
    bright, contrast = transforms.ColorJitter((0.5, 0.5)), transforms.ColorJitter(contrast=(2.0, 2.0))
    first, second = contrast(bright(image)), bright(contrast(image))
    is_first, is_second = (np.isclose(out, each, atol=1e-6).all(axis=(1, 2, 3)) for each in (first, second))
    assert (is_first ^ is_second).all()
    assert 5 < is_first.sum() < 35


def test_color_jitter_of_grey_images() -> None:
    grey = images(4, 1, 6, 6)
    np.testing.assert_array_equal(transforms.ColorJitter(saturation=1.0, hue=0.5)(grey), grey)
    out = transforms.ColorJitter(contrast=(0.0, 0.0))(grey)
    np.testing.assert_allclose(out, np.broadcast_to(grey.mean(axis=(2, 3), keepdims=True), out.shape), rtol=1e-6)
    assert repr(transforms.ColorJitter(0.5)) == (
        "ColorJitter(brightness=(0.5, 1.5), contrast=None, saturation=None, hue=None)"
    )
    np.testing.assert_array_equal(transforms.ColorJitter()(grey), grey)


def test_grayscale_is_pillows() -> None:
    source = picture(9, 7)
    assert levels(transforms.Grayscale()(source), source.convert("L")) <= 1
    three = transforms.Grayscale(3)(images(2, 3, 4, 4))
    assert three.shape == (2, 3, 4, 4)
    assert (three[:, 0] == three[:, 2]).all()
    assert transforms.Grayscale(3)(images(2, 1, 4, 4)).shape == (2, 3, 4, 4)


def test_normalize() -> None:
    batch = images(2, 3, 4, 4)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    out = transforms.Normalize(mean.tolist(), std.tolist())(batch)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, (batch - mean[:, None, None]) / std[:, None, None], atol=1e-5)
    np.testing.assert_allclose(transforms.Normalize((0.5), (0.5))(batch), batch * 2 - 1, atol=1e-6)


# ---- what all share -------------------------------------------------------------------------------------------------

EVERY = [
    transforms.Resize(9),
    transforms.Pad(2),
    transforms.CenterCrop(5),
    transforms.RandomCrop(6, padding=1),
    transforms.RandomResizedCrop(7),
    transforms.RandomHorizontalFlip(),
    transforms.RandomVerticalFlip(),
    transforms.ColorJitter(0.4, 0.4, 0.4, 0.1),
    transforms.Grayscale(),
    transforms.ToTensor(),
    transforms.Compose([transforms.RandomCrop(6), transforms.RandomHorizontalFlip(), transforms.Resize(4)]),
    transforms.Lambda(lambda image: 1 - image),
]
IDS = [type(t).__name__ for t in EVERY]


@pytest.mark.parametrize("transform", EVERY, ids=IDS)
def test_one_image_is_a_batch_of_one(transform: transforms.Transform) -> None:
    image = images(3, 8, 10)
    before = image.copy()
    one = transform(tinycnn.tensor(image), np.random.default_rng(1))
    batch = transform(image[None], np.random.default_rng(1))
    assert isinstance(one, tinycnn.Tensor)
    assert isinstance(batch, np.ndarray)
    np.testing.assert_array_equal(one.numpy(), batch[0])
    assert batch.dtype == np.float32
    np.testing.assert_array_equal(image, before)
    frozen = image[None].copy()
    frozen.setflags(write=False)
    np.testing.assert_array_equal(transform(frozen, np.random.default_rng(1)), batch)
    if not isinstance(transform, transforms.Lambda):
        assert transform(np.zeros((0, 3, 8, 10), np.float32)).shape[0] == 0


@pytest.mark.parametrize("transform", EVERY, ids=IDS)
def test_manual_seed_sets_what_an_image_becomes(transform: transforms.Transform) -> None:
    image = tinycnn.tensor(images(3, 8, 10))
    tinycnn.manual_seed(3)
    state = tinycnn.get_rng_state()
    first = [transform(image).numpy() for _ in range(8)]
    assert (tinycnn.get_rng_state() != state) == transform.random
    tinycnn.manual_seed(3)
    for one in first:
        np.testing.assert_array_equal(transform(image).numpy(), one)
    if transform.random and not isinstance(transform, transforms.Lambda):
        assert any((one != first[0]).any() for one in first)


@pytest.mark.parametrize("transform", [t for t in EVERY if t.random and hasattr(t, "draw")][:6])
def test_each_image_of_a_batch_has_its_own_draw_and_a_tensors_are_alike(transform: transforms.Transform) -> None:
    image = images(3, 8, 10)
    batch = transform(np.repeat(image[None], 30, axis=0), np.random.default_rng(0))
    assert any((one != batch[0]).any() for one in batch)
    alike = transform(tinycnn.tensor(np.broadcast_to(image, (2, 3, 3, 8, 10)).copy()), np.random.default_rng(0)).numpy()
    assert alike.shape[:2] == (2, 3)
    assert (alike == alike[0, 0]).all()


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_picture_gives_a_picture(mode: str) -> None:
    source = picture(8, 10, mode)
    for transform in EVERY[:8]:
        out = transform(source)
        assert isinstance(out, Image.Image)
        assert out.mode == mode
    flipped = transforms.RandomHorizontalFlip(1)(source)
    assert levels(flipped, source.transpose(Image.Transpose.FLIP_LEFT_RIGHT)) == 0
    assert transforms.RandomHorizontalFlip(1)(source.convert("1")).mode == "L"
    assert transforms.CenterCrop(4)(source.convert("F")).mode == "F"


def test_dtypes_stay() -> None:
    bytes_ = tinycnn.tensor(np.arange(48, dtype=np.uint8).reshape(3, 4, 4))
    doubles = tinycnn.rand(3, 4, 4, dtype=tinycnn.float64)
    for transform in EVERY[:9]:
        small = transforms.Compose([transforms.Pad(2), transform])
        assert small(bytes_).dtype is tinycnn.uint8
        assert small(doubles).dtype is tinycnn.float64
    mask = tinycnn.arange(16).reshape(1, 4, 4)
    assert transforms.CenterCrop(2)(mask).tolist() == [[[5, 6], [9, 10]]]


def test_to_tensor() -> None:
    source = picture(2, 3)
    out = transforms.ToTensor()(source)
    assert (out.shape, out.dtype) == ((3, 2, 3), tinycnn.float32)
    np.testing.assert_array_equal(out.numpy(), np.asarray(source).transpose(2, 0, 1) / np.float32(255))
    np.testing.assert_array_equal(transforms.ToTensor()(np.asarray(source)).numpy(), out.numpy())
    assert transforms.ToTensor()(np.ones((4, 5))).dtype is tinycnn.float64
    assert transforms.ToTensor()(out) is out
    scaled = transforms.ToTensor()(tinycnn.tensor(np.full((1, 2, 2), 255, np.uint8)))
    assert scaled.tolist() == [[[1, 1], [1, 1]]]
    assert transforms.ToTensor()(picture(2, 3, "RGBA")).shape == (4, 2, 3)


def test_compose_and_functions() -> None:
    pipeline = transforms.Compose(
        [transforms.Resize(12), transforms.ToTensor(), lambda image: image + 1, transforms.Normalize(1, 0.5)]
    )
    source = picture(8, 8)
    out = pipeline(source)
    expected = transforms.ToTensor()(transforms.Resize(12)(source)).numpy() * 2
    np.testing.assert_allclose(out.numpy(), expected, atol=1e-6)
    batch = pipeline(images(3, 1, 8, 8))
    assert batch.shape == (3, 1, 12, 12)
    assert batch.dtype == np.float32
    pipeline.transforms.insert(0, transforms.CenterCrop(4))
    assert pipeline(source).shape == (3, 12, 12)
    lines = repr(transforms.Compose([transforms.CenterCrop(4), transforms.RandomHorizontalFlip()])).splitlines()
    assert lines == ["Compose(", "    CenterCrop(size=(4, 4))", "    RandomHorizontalFlip(p=0.5)", ")"]


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "no size": (lambda: transforms.Resize(0), "Resize: size must be a positive integer or two"),
    "a share": (lambda: transforms.Resize(0.5), "Resize: size must be a positive integer"),  # type: ignore[arg-type]
    "three sizes": (lambda: transforms.CenterCrop((1, 2, 3)), "CenterCrop: size must be"),
    "negative crop": (lambda: transforms.RandomCrop((4, -4)), "RandomCrop: size must be"),
    "max_size": (lambda: transforms.Resize(8, max_size=8), "max_size must be above size"),
    "max_size of two": (lambda: transforms.Resize((8, 8), max_size=9), "and size one number"),
    "interpolation": (lambda: transforms.Resize(8, "lanczos"), "must be one of 'nearest', 'bilinear', 'bicubic'"),
    "border": (lambda: transforms.Pad(-1), "Pad: padding must be one, two or four integers of 0 or more"),
    "border mode": (lambda: transforms.RandomCrop(2, padding_mode="wrap"), "padding_mode must be one of"),
    "fill": (lambda: transforms.Pad(1, (1, 2, 3)), "Pad: fill must be one number"),  # type: ignore[arg-type]
    "fill of bytes": (
        lambda: transforms.RandomCrop(2, 1, fill=256)(np.zeros((1, 1, 2, 2), np.uint8)),
        "RandomCrop: fill must be from 0 to 255 for 8-bit pixels, got 256",
    ),
    "no pixels": (lambda: transforms.Resize(4)(tinycnn.zeros(1, 0, 3)), r"no pixels, their shape .* is \(1, 0, 3\)"),
    "scale": (lambda: transforms.RandomResizedCrop(2, scale=(0.5, 0.1)), "scale must be"),
    "ratio": (lambda: transforms.RandomResizedCrop(2, ratio=(0, 1)), "ratio must be"),
    "probability": (lambda: transforms.RandomVerticalFlip(1.5), "RandomVerticalFlip: p must be a probability"),
    "jitter": (lambda: transforms.ColorJitter(brightness=-1), "ColorJitter: brightness must be a number, 0 or more"),
    "hue": (lambda: transforms.ColorJitter(hue=0.6), "hue must be a number, from 0 to 0.5"),
    "upside down": (lambda: transforms.ColorJitter(contrast=(2, 1)), "contrast must be"),
    "three factors": (lambda: transforms.ColorJitter(contrast=(1, 2, 3)), "contrast must be"),
    "lengths": (lambda: transforms.Normalize((0, 0), (1,)), "mean has 2 numbers and std 1"),
    "std": (lambda: transforms.Normalize(0, 0), "std finite and not 0"),
    "channels": (
        lambda: transforms.Normalize((0, 0), (1, 1))(images(1, 3, 2, 2)),
        "mean and std are for 2 channels, got 3",
    ),
    "grey channels": (lambda: transforms.Grayscale(2), "num_output_channels must be 1 or 3"),
    "colour channels": (lambda: transforms.ColorJitter(1)(images(1, 2, 2, 2)), "must have 1 channel or 3, got 2"),
    "large crop": (
        lambda: transforms.RandomCrop((5, 3), padding=1)(images(1, 1, 2, 2)),
        "a crop of 5x3 is larger than the image of 4x4",
    ),
    "large mirror": (
        lambda: transforms.Pad(3, padding_mode="reflect")(images(1, 1, 3, 9)),
        "an image 3x9 is too small to be mirrored in a border of",
    ),
    "large mirror in a crop": (
        lambda: transforms.RandomCrop(3, padding=3, padding_mode="reflect")(images(1, 1, 3, 9)),
        "an image 3x9 is too small to be mirrored",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_mistakes_are_named(what: str) -> None:
    function, message = WRONG[what]
    with pytest.raises(ValueError, match=message):
        function()


def test_what_is_no_image_is_named() -> None:
    flip = transforms.RandomHorizontalFlip()
    with pytest.raises(TypeError, match=r"expected a Tensor .* got ndarray of shape \(2, 2, 3\)"):
        flip(np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(TypeError, match="got str"):
        flip("a.png")
    with pytest.raises(TypeError, match=r"got Tensor of shape \(2, 2\)"):
        flip(tinycnn.zeros(2, 2))
    with pytest.raises(TypeError, match="must be of mode 1, L, RGB, RGBA or F, got P: .convert"):
        flip(picture(2, 2).convert("P"))
    with pytest.raises(TypeError, match="pixels must be floating or uint8, got int64"):
        transforms.Resize(3)(tinycnn.arange(4).reshape(1, 2, 2))
    with pytest.raises(TypeError, match="put ToTensor"):
        transforms.Normalize(0, 1)(picture(2, 2))
    with pytest.raises(TypeError, match="ToTensor: expected a picture"):
        transforms.ToTensor()([1, 2])
    with pytest.raises(TypeError, match="expected a transform or a function of an image, got int"):
        transforms.Compose([3])  # type: ignore[list-item]


def test_resizing_while_loading() -> None:
    loader = data.DataLoader(data.Digits(train=False).with_transform(transforms.Resize(64)), 100)
    shapes = [tuple(X.shape) for X, _ in loader]
    assert shapes == [(100, 1, 64, 64)] * 3 + [(60, 1, 64, 64)]
