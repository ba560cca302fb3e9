"""The engine: the tape, the walk back, what it keeps and what it frees; with a few operations only."""

from __future__ import annotations

import copy
import gc
import pickle
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import tinycnn
from tinycnn import Tensor, tensor
from tinycnn.autograd import Function, Op, backward, grad, once_differentiable, wrap


def leaf(*values: float) -> Tensor:
    return tensor(list(values), dtype=tinycnn.float64, requires_grad=True)


def values(t: Tensor | None) -> list[float]:
    assert t is not None
    return t.detach().tolist()  # type: ignore[no-any-return]


class Double(Function):
    """2 x, which saves its input without need."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * 2

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        (_,) = ctx.saved_tensors
        return g * 2


# ---- the walk back --------------------------------------------------------------------------------------------------


def test_backward_of_a_product() -> None:
    a, b = leaf(2.0, 3.0), leaf(5.0, 7.0)
    (a * b).backward(tensor([1.0, 10.0], dtype=tinycnn.float64))
    assert values(a.grad) == [5.0, 70.0]
    assert values(b.grad) == [2.0, 30.0]


def test_gradients_accumulate_over_backwards() -> None:
    x = leaf(3.0)
    for n in (1, 2, 3):
        (x * x).backward()
        assert values(x.grad) == [6.0 * n]


@pytest.mark.parametrize("uses", [2, 3])
def test_gradients_of_single_numbers_accumulate(uses: int) -> None:
    """Where several gradients meet, NumPy's sum of arrays of no dimensions is no array."""
    x = leaf(2.0).sum().detach().requires_grad_()
    for times in (1, 2, 3):
        sum((x * 1 for _ in range(uses - 1)), x * 1).backward()
        assert x.grad is not None
        assert isinstance(x.grad.array, np.ndarray)
        assert x.grad.item() == uses * times


def test_accumulation_keeps_the_gradient_in_its_memory() -> None:
    x = leaf(3.0)
    (x * x).backward()
    first = x.grad
    (x * x).backward()
    assert x.grad is first


def test_a_value_used_many_times_gets_the_sum() -> None:
    x = leaf(2.0)
    y = x * x
    (y * y + y * x + x).backward()  # x^4 + x^3 + x
    assert values(x.grad) == [4 * 8 + 3 * 4 + 1]


def test_diamonds_are_walked_once() -> None:
    calls: list[int] = []

    class Counted(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x * 1

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            calls.append(1)
            return g

    x = leaf(1.0)
    y = Counted.apply(x)
    for _ in range(20):  # walked by paths, this would take 2^20 steps
        y = y + y
    y.backward()
    assert len(calls) == 1
    assert values(x.grad) == [2.0**20]


def test_backward_starts_from_several_tensors() -> None:
    x = leaf(1.0, 2.0)
    backward([x * 2, x * 3], [tensor([1.0, 1.0], dtype=tinycnn.float64), tensor([0.0, 1.0], dtype=tinycnn.float64)])
    assert values(x.grad) == [2.0, 5.0]


def test_a_leaf_can_be_its_own_output() -> None:
    x = leaf(4.0)
    x.backward()
    assert values(x.grad) == [1.0]
    assert values(grad(x, x)[0]) == [1.0]


def test_backward_with_inputs_touches_only_those() -> None:
    a, b = leaf(2.0), leaf(3.0)
    c = a * b
    (c * c).backward(inputs=[a, c])
    assert values(a.grad) == [2 * 6.0 * 3]
    assert values(c.grad) == [12.0]
    assert b.grad is None
    (a * b).backward(inputs=[a, a])
    assert values(a.grad) == [36.0 + 3], "an input named twice gets its gradient once"
    with pytest.raises(RuntimeError, match="inputs is empty"):
        (a * b).backward(inputs=[])


def test_backward_with_inputs_skips_what_they_do_not_need() -> None:
    class Never(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x * 1

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            raise AssertionError("nobody asked for this gradient")

    a, b = leaf(2.0), leaf(3.0)
    (a * Never.apply(b)).backward(inputs=a)
    assert values(a.grad) == [3.0]


@pytest.mark.parametrize("create_graph", [False, True])
def test_gradients_have_memory_of_their_own(create_graph: bool) -> None:
    a, b, v = leaf(1.0, 2.0), leaf(3.0, 4.0), tensor([1.0, 1.0], dtype=tinycnn.float64)
    (a + b).backward(v, create_graph=create_graph)
    assert a.grad is not None
    assert b.grad is not None
    arrays = [a.grad.array, b.grad.array, v.array, a.array, b.array]
    for i, p in enumerate(arrays):
        for q in arrays[:i]:
            assert not np.shares_memory(p, q)
    with tinycnn.no_grad():
        a.grad.array[...] = 0
    assert values(b.grad) == [1.0, 1.0]
    assert values(v) == [1.0, 1.0]


def test_a_stolen_gradient_belongs_to_nobody_else() -> None:
    kept: list[Tensor] = []
    x = leaf(1.0, 2.0)
    y = x * 3
    y.register_hook(kept.append)
    x.register_hook(kept.append)
    y.backward(tensor([1.0, 1.0], dtype=tinycnn.float64))
    assert x.grad is not None
    assert not any(np.shares_memory(x.grad.array, g.array) for g in kept)


def test_backward_errors() -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match=r"implied only for a scalar, this tensor has shape \(2,\)"):
        (x * 2).backward()
    with pytest.raises(RuntimeError, match="does not require a gradient"):
        tensor([1.0]).backward()
    with pytest.raises(RuntimeError, match=r"the gradient has shape \(3,\), its tensor has shape \(2,\)"):
        (x * 2).backward(tinycnn.ones(3))
    with pytest.raises(RuntimeError, match="got 2 tensors and 1 gradients"):
        backward([x * 2, x * 3], [tinycnn.ones(2)])
    with pytest.raises(RuntimeError, match="got 1 tensors and 2 gradients"):
        backward([x * 2], [tinycnn.ones(2), tinycnn.ones(2)])
    with pytest.raises(TypeError, match="must be a Tensor or None, got float"):
        (x * 2).backward(1.0)  # type: ignore[arg-type]


def test_a_gradient_takes_the_dtype_of_its_tensor() -> None:
    x = tinycnn.ones(3, requires_grad=True)
    (x.to(tinycnn.float64) * 2).backward(tinycnn.ones(3))
    assert x.grad is not None
    assert x.grad.dtype is tinycnn.float32


def test_mixed_devices_are_refused() -> None:
    class Elsewhere(type(tinycnn.zeros(1).backend)):  # type: ignore[misc]
        device_type = "cuda"
        index = 0

    x = tinycnn.ones(2)
    y = tinycnn.ones(2)
    y.backend = Elsewhere()
    with pytest.raises(RuntimeError, match=r"Add: expected all tensors on one device, got cpu and cuda:0; move them"):
        x + y


# ---- what is kept, what is freed ------------------------------------------------------------------------------------


def test_a_second_backward_needs_retain_graph() -> None:
    x = leaf(3.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert values(x.grad) == [12.0]
    with pytest.raises(RuntimeError, match=r"Mul: trying to backward.*a second time.*retain_graph=True"):
        y.backward()


def test_nothing_saved_nothing_lost() -> None:
    x = leaf(3.0)
    y = x + x
    y.backward()
    y.backward()
    assert values(x.grad) == [4.0]


def test_create_graph_keeps_the_graph() -> None:
    x = leaf(3.0)
    y = x * x
    y.backward(create_graph=True)
    y.backward()


def test_saved_arrays_are_freed_by_backward() -> None:
    x = leaf(*range(1000))
    y = x * x  # saved by the next, and held by nobody else after `del`
    freed = weakref.ref(y)
    z = (y * y).sum()
    del y
    assert freed() is not None
    z.backward()
    assert freed() is None


def test_the_graph_goes_with_its_last_tensor() -> None:
    with uncollected():
        x = leaf(1.0)
        y = Double.apply(x)
        node = weakref.ref(y.grad_fn)
        z = y * 3
        del y
        assert node() is not None
        del z
        assert node() is None


def test_outputs_saved_by_their_own_node_are_no_cycle() -> None:
    with uncollected():
        x = leaf(1.0)
        y = x.exp()  # exp saves its output
        ends = weakref.ref(y), weakref.ref(y.grad_fn)
        del y
        assert [end() for end in ends] == [None, None]


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the garbage collector; nothing may be left for it."""
    gc.collect()
    gc.disable()
    try:
        yield
        assert gc.collect() == 0, "a reference cycle was left behind"
    finally:
        gc.enable()


def steps(count: int) -> None:
    w = tinycnn.ones(8, 8, requires_grad=True)
    x = tinycnn.ones(4, 8)
    for _ in range(count):
        loss = ((x @ w).exp().log() * x).sum() / 100
        loss.backward()
        with tinycnn.no_grad():
            w -= 0.0 * w.grad
        w.grad = None


def test_no_cycles_over_steps() -> None:
    steps(2)
    with uncollected():
        steps(20)


def test_no_cycles_with_views_hooks_and_double_backward() -> None:
    def step() -> None:
        x = leaf(1.0, 2.0, 3.0, 4.0)
        y = (x * 2).reshape(2, 2)
        handle = y.register_hook(lambda g: g * 2)
        y.retain_grad()
        part = y[0]
        part += 1.0
        (g,) = grad((y * y).sum(), x, create_graph=True)
        (g * g).sum().backward()
        handle.remove()
        x.grad = None

    step()
    with uncollected():
        for _ in range(3):
            step()


@pytest.mark.unmeasured
def test_memory_is_flat_over_a_thousand_steps_without_the_collector() -> None:
    steps(2)
    with uncollected():
        steps(2000)  # until Python's own free lists are full
        before = sys.getallocatedblocks()
        steps(1000)
        after = sys.getallocatedblocks()
    assert after - before < 100  # one object left behind a step would make a thousand


@pytest.mark.unmeasured
@pytest.mark.parametrize("length", [10_000, 100_000])
def test_deep_chains(length: int) -> None:
    x = leaf(1.0)
    y = x
    for _ in range(length):
        y = y + 1.0
    assert length > sys.getrecursionlimit()
    y.backward()
    assert values(x.grad) == [1.0]
    del y  # freeing the chain, node by node, must not recurse either


@pytest.mark.unmeasured
def test_deep_chains_of_saved_tensors_die_unused() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(10_000):
        y = y * 1.0
        y = Double.apply(y) * 0.5
    del y


def test_deep_chains_with_create_graph() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(3000):
        y = y * 1.0
    (g,) = grad(y * y, x, create_graph=True)
    assert values(grad(g, x)[0]) == [2.0]


# ---- grad -----------------------------------------------------------------------------------------------------------


def test_grad_leaves_grad_alone() -> None:
    a, b = leaf(2.0), leaf(3.0)
    assert [values(g) for g in grad(a * a * b, (a, b))] == [[12.0], [4.0]]
    assert a.grad is None
    assert b.grad is None


def test_grad_of_intermediate_tensors() -> None:
    x = leaf(2.0)
    y = x * x
    z = y * y * x
    gz, gy, gx = grad(z, [z, y, x])
    assert [values(gz), values(gy), values(gx)] == [[1.0], [2 * 4 * 2.0], [5 * 16.0]]


def test_grad_of_unused_inputs() -> None:
    x, unused = leaf(2.0), leaf(1.0, 1.0)
    with pytest.raises(RuntimeError, match=r"input 1 \(shape \(2,\)\) was not used.*allow_unused=True"):
        grad(x * x, [x, unused])
    assert grad(x * x, [x, unused], allow_unused=True)[1] is None
    assert values(grad(x * x, [x, unused], materialize_grads=True)[1]) == [0.0, 0.0]
    with pytest.raises(RuntimeError, match=r"input 0 .*does not require a gradient"):
        grad(x * x, tensor([1.0]))


def test_higher_orders() -> None:
    x = leaf(2.0)
    y = x**5
    found = []
    for _ in range(5):
        (y,) = grad(y, x, create_graph=True)
        found.append(y.item())
    assert found == pytest.approx([5 * 16, 20 * 8, 60 * 4, 120 * 2, 120])


def test_second_order_through_backward() -> None:
    x = leaf(2.0)
    (x**3).backward(create_graph=True)
    g = x.grad
    x.grad = None
    assert g is not None
    (g * g).backward()  # d (3 x^2)^2 = 36 x^3
    assert values(x.grad) == pytest.approx([36 * 8.0])


def test_second_order_with_respect_to_the_cotangent() -> None:
    x, v = leaf(2.0, 3.0), leaf(1.0, 1.0)
    (g,) = grad(x * x, x, v, create_graph=True)
    assert values(grad(g, v, tensor([1.0, 1.0], dtype=tinycnn.float64))[0]) == [4.0, 6.0]


def test_without_create_graph_gradients_have_no_history() -> None:
    x = leaf(2.0)
    (g,) = grad(x**3, x)
    assert not g.requires_grad
    assert g.grad_fn is None


# ---- recording or not -----------------------------------------------------------------------------------------------


def test_no_grad_and_enable_grad_nest() -> None:
    x = leaf(1.0)
    with tinycnn.no_grad():
        assert not tinycnn.is_grad_enabled()
        assert not (x * 2).requires_grad
        with tinycnn.enable_grad():
            assert (x * 2).requires_grad
        assert not tinycnn.is_grad_enabled()
    assert tinycnn.is_grad_enabled()


def test_modes_end_with_an_exception() -> None:
    with pytest.raises(KeyError), tinycnn.no_grad():
        raise KeyError
    assert tinycnn.is_grad_enabled()


def test_set_grad_enabled_as_call_and_as_block() -> None:
    tinycnn.set_grad_enabled(False)
    try:
        assert not tinycnn.is_grad_enabled()
        with tinycnn.set_grad_enabled(True):
            assert tinycnn.is_grad_enabled()
        assert not tinycnn.is_grad_enabled()
    finally:
        tinycnn.set_grad_enabled(True)
    assert tinycnn.is_grad_enabled()
    mode = tinycnn.set_grad_enabled(False)
    for _ in range(3):  # the first block ends what the call began, the others begin anew
        with mode:
            assert not tinycnn.is_grad_enabled()
        assert tinycnn.is_grad_enabled()
    mode = tinycnn.set_grad_enabled(False)
    mode(lambda: None)  # as a decorator it acts in the function's calls only
    assert tinycnn.is_grad_enabled()
    with mode:
        assert not tinycnn.is_grad_enabled()
    assert tinycnn.is_grad_enabled()


def test_a_result_is_an_array_and_one_of_its_own() -> None:
    """NumPy gives bare numbers for results of no dimensions, and the engine tells tensors apart by their arrays."""

    class Total(Op):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return np.float64(x.sum())

    class Same(Op):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x

    x = leaf(1.0, 2.0)
    assert isinstance(Total.apply(x).array, np.ndarray)
    same = Same.apply(x)
    assert same.array is not x.array
    assert same.requires_grad
    assert same.tolist() == x.tolist()


@pytest.mark.parametrize("kind", ["no_grad", "no_grad()", "set_grad_enabled(False)"])
def test_modes_as_decorators(kind: str) -> None:
    decorators: dict[str, Callable[[], Any]] = {
        "no_grad": lambda: tinycnn.no_grad,
        "no_grad()": tinycnn.no_grad,
        "set_grad_enabled(False)": lambda: tinycnn.set_grad_enabled(False),
    }

    @decorators[kind]()
    def work(depth: int) -> bool:
        """What it does."""
        if depth:
            work(depth - 1)
        return tinycnn.is_grad_enabled()

    assert tinycnn.is_grad_enabled()
    assert work(3) is False
    assert tinycnn.is_grad_enabled()
    assert (work.__name__, work.__doc__) == ("work", "What it does.")


def test_enable_grad_as_a_decorator() -> None:
    work = tinycnn.enable_grad()(tinycnn.is_grad_enabled)
    with tinycnn.no_grad():
        assert work() is True
        assert not tinycnn.is_grad_enabled()


def test_one_mode_object_can_be_entered_twice() -> None:
    for make in (tinycnn.no_grad, lambda: tinycnn.set_grad_enabled(False)):
        mode = make()
        with mode, mode:
            assert not tinycnn.is_grad_enabled()
        with mode:
            assert not tinycnn.is_grad_enabled()
        assert tinycnn.is_grad_enabled()


def test_modes_belong_to_their_thread() -> None:
    seen: list[bool] = []
    with tinycnn.no_grad():
        thread = threading.Thread(target=lambda: seen.append(tinycnn.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_threads_walk_their_own_graphs() -> None:
    results: dict[int, list[float]] = {}

    def work(n: int) -> None:
        for _ in range(50):
            x = leaf(float(n))
            (x * x * x).backward()
            results[n] = values(x.grad)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: [3.0 * n * n] for n in range(1, 5)}


# ---- hooks ----------------------------------------------------------------------------------------------------------


def test_hooks_see_the_total_once() -> None:
    x = leaf(2.0)
    y = x * 1
    seen: dict[str, list[Any]] = {"x": [], "y": []}
    x.register_hook(lambda g: seen["x"].append(values(g)))
    y.register_hook(lambda g: seen["y"].append(values(g)))
    (y * 3 + y * 4 + x * 5).backward()
    assert seen == {"x": [[12.0]], "y": [[7.0]]}


def test_hooks_replace_and_are_chained() -> None:
    x = leaf(2.0)
    y = x * 3
    y.register_hook(lambda g: g * 10)
    y.register_hook(lambda g: g + 1)
    x.register_hook(lambda g: g * 2)
    (y * 1).backward()
    assert values(x.grad) == [(1 * 10 + 1) * 3 * 2]


def test_hooks_on_the_output_itself() -> None:
    x = leaf(2.0)
    y = x * 3
    y.register_hook(lambda g: g * 10)
    y.backward()
    assert values(x.grad) == [30.0]


def test_hooks_act_in_grad() -> None:
    x = leaf(2.0)
    y = x * 3
    y.register_hook(lambda g: g * 10)
    x.register_hook(lambda g: g + 1)
    assert [values(g) for g in grad(y * 1, [x, y])] == [[31.0], [10.0]]


def test_hooks_can_be_removed() -> None:
    x = leaf(2.0)
    handle = x.register_hook(lambda g: g * 10)
    with x.register_hook(lambda g: g * 100):
        pass
    (x * 1).backward()
    handle.remove()
    handle.remove()
    (x * 1).backward()
    assert values(x.grad) == [11.0]


def test_hooks_need_a_gradient() -> None:
    with pytest.raises(RuntimeError, match="does not require a gradient"):
        tensor([1.0]).register_hook(lambda g: g)


def test_retain_grad() -> None:
    x = leaf(2.0)
    y = x * 3
    y.retain_grad()
    y.retain_grad()
    x.retain_grad()
    (y * y).backward(retain_graph=True)
    assert values(y.grad) == [12.0]
    (y * y).backward()
    assert values(y.grad) == [24.0]
    z = x * 1
    (z * 2).backward()
    assert z.grad is None


# ---- Functions of one's own -----------------------------------------------------------------------------------------


def test_several_outputs() -> None:
    class Both(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor, y: Tensor) -> Any:
            ctx.save_for_backward(x, y)
            return x * y, x + y

        @staticmethod
        def backward(ctx: Any, g: Tensor, h: Tensor) -> Any:
            x, y = ctx.saved_tensors
            return g * y + h, g * x + h

    x, y = leaf(2.0), leaf(3.0)
    p, s = Both.apply(x, y)
    (p * 10).backward(retain_graph=True)  # nothing comes to s: backward gets zeros
    assert (values(x.grad), values(y.grad)) == ([30.0], [20.0])
    (p + s).backward()
    assert (values(x.grad), values(y.grad)) == ([34.0], [23.0])


def test_grads_need_not_be_materialized() -> None:
    class Both(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Any:
            ctx.set_materialize_grads(False)
            return x * 1, x * 2

        @staticmethod
        def backward(ctx: Any, g: Tensor | None, h: Tensor | None) -> Any:
            assert h is None
            return g

    x = leaf(2.0)
    Both.apply(x)[0].backward()
    assert values(x.grad) == [1.0]


def test_arguments_that_are_no_tensors() -> None:
    class Scale(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor, factor: float, label: str, other: Tensor | None) -> Tensor:
            assert ctx.needs_input_grad == (True, False, False, False)
            ctx.factor = factor
            return x * factor

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Any:
            return g * ctx.factor, None, None, None

    x = leaf(2.0)
    Scale.apply(x, 3.0, "label", None).backward()
    assert values(x.grad) == [3.0]
    with pytest.raises(TypeError, match=r"Scale\.apply: expected at least one tensor"):
        Scale.apply(1.0, 2.0, "", None)


def test_needs_input_grad() -> None:
    asked: list[Any] = []

    class Product(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
            asked.append(ctx.needs_input_grad)
            return x * y

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Any:
            return g, g

    Product.apply(leaf(1.0), tensor([1.0]))
    with tinycnn.no_grad():
        Product.apply(leaf(1.0), tensor([1.0]))
    assert asked == [(True, False), (False, False)]


def test_outputs_without_a_gradient() -> None:
    class MaxAndWhere(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Any:
            where, share = tensor(int(x.array.argmax())), x * 0
            ctx.mark_non_differentiable(share)
            ctx.save_for_backward(where)
            return x[where], where, share

        @staticmethod
        def backward(ctx: Any, g: Tensor, *rest: Any) -> Any:
            (where,) = ctx.saved_tensors
            out = np.zeros(3)
            out[int(where)] = g.item()
            return tensor(out)

    x = leaf(1.0, 5.0, 2.0)
    top, where, share = MaxAndWhere.apply(x)
    assert (top.requires_grad, where.requires_grad, share.requires_grad) == (True, False, False)
    top.backward()
    assert values(x.grad) == [0.0, 1.0, 0.0]


def test_forward_is_not_recorded() -> None:
    class Inner(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            assert not tinycnn.is_grad_enabled()
            y = x * 2
            assert not y.requires_grad
            return y

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            assert not tinycnn.is_grad_enabled()
            return g * 2

    y = Inner.apply(leaf(1.0))
    assert repr(y.grad_fn) == "<InnerBackward>"
    y.backward()


def test_returning_an_input_makes_a_new_tensor() -> None:
    class Same(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            return g * 7

    x = leaf(1.0)
    y = Same.apply(x)
    assert y is not x
    y.backward()
    assert values(x.grad) == [7.0]


def test_a_saved_output_is_part_of_the_graph() -> None:
    class Exp(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            y = x.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            (y,) = ctx.saved_tensors
            return g * y

    x = leaf(0.5)
    y = Exp.apply(x)
    for _ in range(3):  # every derivative of exp is exp
        (y,) = grad(y, x, create_graph=True)
        assert y.item() == pytest.approx(np.exp(0.5))


def test_none_can_be_saved() -> None:
    class WithNone(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            ctx.save_for_backward(None, x)
            return x * x

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            nothing, x = ctx.saved_tensors
            assert nothing is None
            return 2 * g * x

    x = leaf(3.0)
    WithNone.apply(x).backward()
    assert values(x.grad) == [6.0]


def test_once_differentiable() -> None:
    class Once(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x * 2

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, g: Tensor) -> Tensor:
            return g * 2

    x = leaf(1.0)
    Once.apply(x).backward()
    assert values(x.grad) == [2.0]
    with pytest.raises(RuntimeError, match="Once: its backward cannot be differentiated again"):
        grad(Once.apply(x), x, create_graph=True)


def returning(result: Any) -> Callable[..., Any]:
    class Wrong(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
            return x * y

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Any:
            return result

    return Wrong.apply


def test_wrong_backwards_are_named() -> None:
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    one = tinycnn.ones(2, dtype=tinycnn.float64)
    with pytest.raises(RuntimeError, match=r"Wrong\.backward returned 1 gradients for 2 arguments of forward"):
        returning(one)(x, y).backward(one)
    with pytest.raises(RuntimeError, match=r"a gradient has shape \(3,\), the tensor it belongs to has \(2,\)"):
        returning((one, tinycnn.ones(3)))(x, y).backward(one)
    with pytest.raises(TypeError, match=r"Wrong\.backward returned a float as gradient 1, expected a Tensor"):
        returning((one, 2.0))(x, y).backward(one)


def test_functions_must_be_written() -> None:
    class Nothing(Function):
        pass

    class NoBackward(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x * 1

    class ReturnsANumber(NoBackward):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Any:
            return 1.0

    x = leaf(1.0)
    with pytest.raises(NotImplementedError, match="forward"):
        Nothing.apply(x)
    with pytest.raises(NotImplementedError, match="backward"):
        NoBackward.apply(x).backward()
    with pytest.raises(TypeError, match=r"ReturnsANumber\.forward returned float, expected a Tensor"):
        ReturnsANumber.apply(x)


def test_ops_get_arrays_and_may_return_numbers() -> None:
    class Total(Op):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            assert isinstance(x, np.ndarray)
            ctx.shape = x.shape
            return x.sum()

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Any:
            return g.expand(*ctx.shape)

    x = leaf(1.0, 2.0)
    y = Total.apply(x)
    assert y.shape == ()
    y.backward()
    assert values(x.grad) == [1.0, 1.0]


def test_nodes_tell_where_they_came_from() -> None:
    x = leaf(1.0)
    y = x * 2
    z = y + x
    assert [(node and node.name, nr) for node, nr in z.grad_fn.next_functions] == [("Mul", 0), (None, 0)]  # type: ignore[union-attr]


# ---- anomalies ------------------------------------------------------------------------------------------------------


def test_the_first_nan_is_named_in_forward() -> None:
    x = leaf(-1.0, 1.0)
    with tinycnn.autograd.detect_anomaly(), pytest.raises(RuntimeError, match=r"Log returned nan in its output 0"):
        (x.log() * 2).sum()
    assert np.isnan((x.log() * 2).sum().item()), "outside the block nothing is looked at"


def test_the_first_nan_is_named_in_backward() -> None:
    class Wrong(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            return g * float("nan")

    x = leaf(1.0, 2.0)
    with tinycnn.autograd.detect_anomaly():
        y = (Wrong.apply(x * 1) * 3).sum()
        with pytest.raises(RuntimeError, match=r"Wrong\.backward returned nan in its gradient 0") as caught:
            y.backward()
    assert "Its forward ran at:" in str(caught.value)
    assert "test_autograd.py" in str(caught.value)


def test_nan_that_came_in_is_nobodys_fault() -> None:
    x = leaf(float("nan"), 1.0)
    with tinycnn.autograd.detect_anomaly():
        (x * 2).sum().backward()


def test_set_detect_anomaly() -> None:
    tinycnn.autograd.set_detect_anomaly(True)
    try:
        with pytest.raises(RuntimeError, match="Log"):
            leaf(-1.0).log()
    finally:
        tinycnn.autograd.set_detect_anomaly(False)
    leaf(-1.0).log()


# ---- writing in place -----------------------------------------------------------------------------------------------


def test_a_saved_tensor_must_not_be_written() -> None:
    x = leaf(2.0)
    y = x * 1
    z = y * y
    y += 1.0
    with pytest.raises(RuntimeError, match=r"Mul: one of the variables needed.*modified by an in-place operation.*"):
        z.backward()


def test_a_saved_output_must_not_be_written() -> None:
    x = leaf(2.0)
    y = x.exp()
    y *= 2.0
    with pytest.raises(RuntimeError, match="Exp: one of the variables needed"):
        y.backward()


def test_data_and_detach_see_the_same_memory() -> None:
    x = leaf(2.0, 3.0)
    z = x * x
    assert np.shares_memory(x.detach().array, x.array)
    assert np.shares_memory(x.data.array, x.array)
    assert not x.detach().requires_grad
    x.data[0] = 10.0  # not noticed, as documented
    z.backward(tinycnn.ones(2, dtype=tinycnn.float64))
    assert values(x.grad) == [20.0, 6.0]

    z = x * x
    x.detach()[0] = 1.0
    with pytest.raises(RuntimeError, match="modified by an in-place operation"):
        z.backward(tinycnn.ones(2, dtype=tinycnn.float64))


def test_data_can_be_replaced() -> None:
    x = leaf(1.0)
    x.data = tensor([5.0, 6.0])
    assert values(x) == [5.0, 6.0]
    assert x.requires_grad
    with pytest.raises(TypeError, match="expected a Tensor, got list"):
        x.data = [1.0]  # type: ignore[assignment]


def test_leaves_that_want_a_gradient_cannot_be_written() -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match="a leaf tensor that requires a gradient cannot be written in place"):
        x += 1.0
    with pytest.raises(RuntimeError, match="a view of such a leaf cannot be written in place"):
        x[0:1] += 1.0
    assert values(x) == [1.0, 2.0]
    with tinycnn.no_grad():
        x += 1.0
    assert values(x) == [2.0, 3.0]
    assert x.is_leaf


def test_in_place_is_differentiated() -> None:
    x = leaf(2.0, 3.0)
    y = x * 1
    y *= x
    y += 5.0
    y.backward(tinycnn.ones(2, dtype=tinycnn.float64))
    assert values(x.grad) == [4.0, 6.0]


def test_writing_to_a_view_reaches_the_base_and_other_views() -> None:
    x, w = leaf(1.0, 2.0, 3.0), leaf(10.0)
    y = x * 1
    head, other = y[:2], y[1:]
    head *= w
    assert values(y) == [10.0, 20.0, 3.0]
    assert values(other) == [20.0, 3.0]
    (other * tensor([1.0, 100.0], dtype=tinycnn.float64)).sum().backward()
    assert values(x.grad) == [0.0, 10.0, 100.0]
    assert values(w.grad) == [2.0]


def test_writing_to_the_base_reaches_views() -> None:
    x = leaf(1.0, 2.0)
    y = x * 1
    view = y.reshape(2, 1)
    y *= 3.0
    assert view.detach().tolist() == [[3.0], [6.0]]
    view.sum().backward()
    assert values(x.grad) == [3.0, 3.0]


def test_in_place_must_fit() -> None:
    x = tensor([1.0, 2.0])
    with pytest.raises(RuntimeError, match="does not fit"):
        x += tinycnn.ones(3, 2)
    whole = tensor([1, 2])
    with pytest.raises(RuntimeError, match="can't be cast"):
        whole += 0.5


def test_requires_grad_of_leaves_and_others() -> None:
    x = leaf(1.0)
    y = x * 1
    with pytest.raises(RuntimeError, match="not a leaf"):
        y.requires_grad_(False)
    with pytest.raises(RuntimeError, match=r"only floating tensors.*tinycnn\.int64"):
        tensor([1]).requires_grad_()
    y.detach_()
    assert y.is_leaf
    assert not y.requires_grad


# ---- copying --------------------------------------------------------------------------------------------------------


def test_deepcopy_and_pickle_of_leaves() -> None:
    x = leaf(1.0, 2.0)
    (x * x).backward(tinycnn.ones(2, dtype=tinycnn.float64))
    twin = copy.deepcopy(x)
    assert not np.shares_memory(twin.array, x.array)
    assert (values(twin), values(twin.grad), twin.requires_grad) == ([1.0, 2.0], [2.0, 4.0], True)
    back = pickle.loads(pickle.dumps(x))
    assert (values(back), back.requires_grad, back.dtype) == ([1.0, 2.0], True, tinycnn.float64)
    a, b = copy.deepcopy([x, x])
    assert a is b


def test_results_of_operations_cannot_be_copied_with_their_history() -> None:
    y = leaf(1.0) * 2
    with pytest.raises(RuntimeError, match="only leaf tensors can be deep-copied"):
        copy.deepcopy(y)
    with pytest.raises(RuntimeError, match="only leaf tensors can be pickled"):
        pickle.dumps(y)
    assert values(copy.deepcopy(y.detach())) == [2.0]


# ------------------------------------------------------------------------------------- what custom Functions may not do


class ViewOfMine(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view(-1)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return 2 * g.reshape(2, 2)


def test_a_custom_view_is_never_silently_wrong() -> None:
    x = tinycnn.ones(2, 2, requires_grad=True)
    ViewOfMine.apply(x * 1).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[2.0, 2.0], [2.0, 2.0]]

    base = x * 1
    view = ViewOfMine.apply(base)
    base.mul_(3)
    with pytest.raises(RuntimeError, match="custom Function made this view"):
        view.sum()
    for view in (ViewOfMine.apply(x * 1), ViewOfMine.apply(x * 1)[1:]):
        with pytest.raises(RuntimeError, match="view that a custom Function made"):
            view.mul_(3)


def test_a_forward_that_writes_into_its_input_is_refused() -> None:
    class Writes(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x.add_(1)

    with pytest.raises(RuntimeError, match="Writes.forward wrote into its argument 0"):
        Writes.apply(tinycnn.ones(2, requires_grad=True) * 1)


def test_setup_context_and_trailing_nones() -> None:
    class Scale(Function):
        @staticmethod
        def forward(x: Tensor, factor: float) -> Tensor:
            return x * factor

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
            ctx.factor = inputs[1]

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
            return g * ctx.factor, None, None, None

    x = tinycnn.tensor([1.0, 2.0], requires_grad=True)
    Scale.apply(x, 3.0).backward(tinycnn.tensor([1.0, -1.0]))
    assert x.grad is not None
    assert x.grad.tolist() == [3.0, -3.0]


def test_retained_gradients_come_after_hooks_and_follow_writes() -> None:
    x = tinycnn.tensor([1.0], requires_grad=True)
    y = x * 1
    y.retain_grad()
    y.register_hook(lambda g: g * 7)
    y.backward()
    assert y.grad is not None
    assert y.grad.tolist() == [7.0]
    y = x * 1
    y.retain_grad()
    y.mul_(3)
    (y * 5).backward()
    assert y.grad is not None
    assert y.grad.tolist() == [5.0]


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (tinycnn.ones(3), RuntimeError, "cannot have a gradient of shape"),
        (tinycnn.ones(2, dtype=tinycnn.float64), RuntimeError, "float64"),
        (np.ones(2), TypeError, "expected a Tensor or None, got ndarray"),
    ],
)
def test_a_gradient_of_another_kind_is_refused(value: Any, error: type[Exception], text: str) -> None:
    x = tinycnn.ones(2, requires_grad=True)
    with pytest.raises(error, match=text):
        x.grad = value
    assert x.grad is None


# ---- what only a mutated engine showed to be untested ---------------------------------------------------------------


def test_a_gradient_is_not_implied_for_an_empty_tensor() -> None:
    with pytest.raises(RuntimeError, match="a gradient can be implied only for a scalar"):
        leaf().backward()


def adding(gradient: Callable[[Tensor], Any]) -> Callable[..., Any]:
    """x + y, with a backward that returns gradient(g)."""

    class Given(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
            return x + y

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Any:
            return gradient(g)

    return Given.apply


def test_a_gradient_has_the_dtype_of_its_tensor() -> None:
    x, y = leaf(1.0), leaf(2.0)
    adding(lambda g: (g.float(), g * 3))(x, y).backward(tensor([0.5], dtype=tinycnn.float64))
    assert x.grad is not None
    assert x.grad.dtype == tinycnn.float64
    assert (values(x.grad), values(y.grad)) == ([0.5], [1.5])


def test_a_backward_may_return_none_for_what_is_wanted_and_a_gradient_for_what_is_not() -> None:
    x, y = leaf(1.0), leaf(2.0)
    adding(lambda g: (None, g))(x, y).backward(tensor([0.5], dtype=tinycnn.float64))
    assert x.grad is None
    assert values(y.grad) == [0.5]
    x, y = leaf(1.0), leaf(2.0).detach()
    adding(lambda g: (g * 2, g))(x, y).backward(tensor([0.5], dtype=tinycnn.float64))
    assert values(x.grad) == [1.0]
    assert y.grad is None


def test_a_gradient_that_backward_keeps_is_copied() -> None:
    kept = []

    def keeping(g: Tensor) -> Any:
        kept.append((g * 2).numpy().copy())
        return wrap(kept[0], g.backend), g * 3

    x, y = leaf(1.0), leaf(2.0)
    adding(keeping)(x, y).backward(tensor([0.5], dtype=tinycnn.float64))
    kept[0][...] = 7.0
    assert values(x.grad) == [1.0]


def test_recorded_gradients_add_up_too() -> None:
    x = leaf(3.0)
    for _ in range(2):
        (x * x).backward(tensor([0.5], dtype=tinycnn.float64), create_graph=True)
    assert values(x.grad) == [6.0]
    assert x.grad is not None
    (again,) = grad(x.grad, x, tensor([1.0], dtype=tinycnn.float64))
    assert values(again) == [2.0]
    x.grad = None  # a gradient that knows its leaf is a cycle


def test_anomaly_mode_blames_nobody_for_a_nan_it_was_given() -> None:
    x = leaf(3.0)
    with tinycnn.autograd.detect_anomaly():
        (x * 2).backward(tensor([float("nan")], dtype=tinycnn.float64))
    assert np.isnan(values(x.grad)).all()
