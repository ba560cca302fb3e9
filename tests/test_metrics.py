"""train: what is measured, against values counted by hand and by NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinycnn
from tinycnn import data, nn, train

LOGITS = [
    [0.1, 0.9, 0.0, 0.3],  # 1, then 3
    [0.8, 0.2, 0.5, 0.1],  # 0, then 2
    [0.3, 0.3, 0.3, 0.3],  # all equal: the first counts as the largest
    [0.1, 0.2, 0.3, 0.4],  # 3, then 2
    [0.0, 5.0, 4.0, 3.0],  # 1, then 2
]
LABELS = [3, 0, 2, 0, 2]


def test_top_k_counted_by_hand() -> None:
    logits, labels = tinycnn.tensor(LOGITS), tinycnn.tensor(LABELS)
    assert [train.top_k_accuracy(logits, labels, k) for k in (1, 2, 3, 4)] == [0.2, 0.6, 0.8, 1.0]
    assert train.top_k_accuracy(logits, labels, 1) == train.accuracy(logits, labels)


def test_top_k_is_a_stable_sort() -> None:
    rng = np.random.default_rng(0)
    logits = rng.integers(0, 6, (200, 9)).astype(np.float32)  # many are equal
    labels = rng.integers(0, 9, 200)
    ranks = np.argsort(np.argsort(-logits, axis=1, kind="stable"), axis=1)[np.arange(200), labels]
    for k in range(1, 10):
        found = train.top_k_accuracy(tinycnn.from_numpy(logits), tinycnn.from_numpy(labels), k)
        assert found == (ranks < k).mean()


def test_a_nan_is_among_nobodys_largest() -> None:
    logits = tinycnn.tensor([[math.nan, 1.0, 2.0], [0.0, math.nan, 1.0]])
    assert train.top_k_accuracy(logits, tinycnn.tensor([0, 2]), 3) == 0.5


def test_confusion_counted_by_hand() -> None:
    found = train.confusion_matrix(tinycnn.tensor(LOGITS), tinycnn.tensor(LABELS))
    assert found.tolist() == [[1, 0, 0, 1], [0, 0, 0, 0], [1, 1, 0, 0], [0, 1, 0, 0]]
    assert found.dtype is tinycnn.int64
    predictions = tinycnn.tensor([1, 0, 0, 3, 1])
    assert train.confusion_matrix(predictions, tinycnn.tensor(LABELS)).tolist() == found.tolist()
    assert train.confusion_matrix(predictions, tinycnn.tensor(LABELS), 5).shape == (5, 5)
    assert train.confusion_matrix(predictions[:0], predictions[:0], 2).tolist() == [[0, 0], [0, 0]]


def test_metrics_beside_scikit_learn() -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(1)
    logits, labels = rng.standard_normal((300, 7)).astype(np.float32), rng.integers(0, 7, 300)
    ours, given = tinycnn.from_numpy(logits), tinycnn.from_numpy(labels)
    np.testing.assert_array_equal(
        train.confusion_matrix(ours, given).numpy(), sklearn.confusion_matrix(labels, logits.argmax(1))
    )
    assert train.accuracy(ours, given) == sklearn.accuracy_score(labels, logits.argmax(1))
    for k in (1, 3, 5):
        assert train.top_k_accuracy(ours, given, k) == sklearn.top_k_accuracy_score(
            labels, logits, k=k, labels=range(7)
        )


def test_what_cannot_be_measured() -> None:
    logits, labels = tinycnn.tensor(LOGITS), tinycnn.tensor(LABELS)
    for k in (0, 5, True, 2.0):
        with pytest.raises(ValueError, match=r"top_k_accuracy: k must be from 1 to 4, the number of classes, got"):
            train.top_k_accuracy(logits, labels, k)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"top_k_accuracy: expected logits \(N, K\) .* got \(5, 4\) and \(2,\)"):
        train.top_k_accuracy(logits, labels[:2])
    with pytest.raises(ValueError, match=r"got \(5,\) and \(3,\)"):
        train.confusion_matrix(labels, labels[:3])
    with pytest.raises(ValueError, match="classes must be from 0 to 2, got 0 to 3"):
        train.confusion_matrix(labels, labels, 3)
    with pytest.raises(ValueError, match="classes must be from 0 to 0, got -1 to 0"):
        train.confusion_matrix(tinycnn.tensor([0, 0]), tinycnn.tensor([0, -1]))
    with pytest.raises(ValueError, match="classes must be integers"):
        train.confusion_matrix(labels.float(), labels)


def test_measure_finds_what_the_parts_find() -> None:
    test = data.Digits(train=False)
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.Dropout(0.5))
    found = train.measure(net, data.DataLoader(test, 77))
    assert net.training
    net.eval()
    with tinycnn.no_grad():
        logits, labels = net(tinycnn.from_numpy(test.images)), tinycnn.from_numpy(test.labels)
    assert found.accuracy == train.accuracy(logits, labels)
    assert found.top5 == train.top_k_accuracy(logits, labels)
    assert found.loss == pytest.approx(nn.functional.cross_entropy(logits, labels).item(), rel=1e-5)
    assert found.confusion.tolist() == train.confusion_matrix(logits, labels).tolist()
    right = [row[i] / sum(row) for i, row in enumerate(found.confusion.tolist())]
    assert found.class_accuracy == right
    with pytest.raises(ValueError, match="measure: there are no data"):
        train.measure(net, data.DataLoader(data.Subset(test, []), 8))


def test_few_classes_have_no_top_5_and_an_absent_class_no_accuracy() -> None:
    X, y = tinycnn.eye(3)[:2], tinycnn.tensor([0, 1])
    found = train.measure(nn.Identity(), [(X, y)])
    assert found.top5 is None
    assert found.class_accuracy[:2] == [1.0, 1.0]
    assert math.isnan(found.class_accuracy[2])


def test_a_mean_goes_on_from_its_state() -> None:
    values = [tinycnn.tensor(x) for x in np.random.default_rng(0).random(20).tolist()]
    whole, part = train.Mean(), train.Mean()
    for i, value in enumerate(values):
        whole.add(value, 1 + i % 3)
        part.add(value, 1 + i % 3)
        if i % 7 == 3:
            state = part.state_dict()
            assert set(state) == {"total", "weight"}
            part = train.Mean()
            part.load_state_dict(state)
    assert part.value == whole.value
    assert part.weight == whole.weight
