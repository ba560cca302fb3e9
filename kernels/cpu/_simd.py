"""Vector instructions, written out.

A compiler that turns loops into vector code reaches a tenth of what a core can do on a convolution: it neither keeps a
block of sums in registers nor knows which data stays in the cache. So the innermost pieces of the fast convolutions are
written instruction by instruction, in LLVM's language, for vectors of as many floats as the chip has lanes:

    chip        lanes   registers   block of sums (rows x lanes)
    AVX-512     16      32          14 x 32
    AVX2, FMA   8       16          6 x 16
    NEON        4       32          14 x 8

Each such piece is a function without result whose arguments are all 64-bit integers: addresses, distances in bytes,
counts. `compiled` makes it once in a process and returns its address; a Numba kernel gets the address as an argument
and calls it by `call`. So a kernel is compiled once for all widths, and an instruction sequence once for all kernels.
The machine code is kept on the disk for the next process.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from llvmlite import binding, ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from . import _cache
from ._cache import processor

Value = Any  # of a register, while code is written

_INT, _FLOAT, _BIT = ir.IntType(64), ir.FloatType(), ir.IntType(1)
FLOAT_BYTES = 4


class Chip(NamedTuple):
    """How wide a chip's vectors are, and how many rows of two vectors a block of sums has."""

    name: str
    lanes: int
    rows: int


CHIPS = {chip.name: chip for chip in (Chip("avx512", 16, 14), Chip("avx2", 8, 6), Chip("neon", 4, 14))}


def _widest() -> Chip | None:
    features = set(processor()[1].split(","))
    if "+avx512f" in features:
        return CHIPS["avx512"]
    if {"+avx2", "+fma"} <= features:
        return CHIPS["avx2"]
    return CHIPS["neon"] if platform.machine() in ("aarch64", "arm64") else None


def available() -> list[Chip]:
    """What this machine can run, the widest first: an AVX-512 chip also knows AVX2."""
    widest = _widest()
    return [chip for chip in CHIPS.values() if widest and chip.lanes <= widest.lanes and _related(chip, widest)]


def _related(chip: Chip, widest: Chip) -> bool:
    return (chip.name == "neon") == (widest.name == "neon")


def _first_choice() -> Chip | None:
    name = os.environ.get("TINYCNN_SIMD")
    if name == "none":
        return None
    known = {chip.name: chip for chip in available()}
    if name and name not in known:
        raise ValueError(f"TINYCNN_SIMD is {name!r}; this chip knows {', '.join([*known, 'none'])}")
    return known[name] if name else next(iter(known.values()), None)


class _Active:
    chip = _first_choice()


def active() -> Chip | None:
    """The chip that code is written for now; None if there are no vectors that this module knows."""
    return _Active.chip


@contextmanager
def use(chip: Chip | None) -> Iterator[None]:
    """Within the block, write code for this one of `available()`, or use none; meant for tests."""
    before, _Active.chip = _Active.chip, chip
    try:
        yield
    finally:
        _Active.chip = before


class Writer:
    """Writes a function's instructions. Addresses and distances are 64-bit integers, in bytes."""

    def __init__(self, builder: ir.IRBuilder, lanes: int) -> None:
        self.builder, self.lanes = builder, lanes
        self.vector = ir.VectorType(_FLOAT, lanes)
        self.bytes = lanes * FLOAT_BYTES

    def number(self, value: int) -> Value:
        return ir.Constant(_INT, value)

    def add(self, address: Value, distance: Value | int) -> Value:
        if isinstance(distance, int):
            return self.builder.add(address, self.number(distance)) if distance else address
        return self.builder.add(address, distance)

    def times(self, distance: Value, factor: int) -> Value:
        return self.builder.mul(distance, self.number(factor))

    def _pointer(self, address: Value, to: ir.Type) -> Value:
        return self.builder.inttoptr(address, to.as_pointer())

    def load(self, address: Value) -> Value:
        return self.builder.load(self._pointer(address, self.vector), align=FLOAT_BYTES)

    def prefetch(self, address: Value) -> None:
        """Ask for the memory at an address, which need not be there, to be brought near."""
        kind = ir.IntType(32)
        read, near, data = kind(0), kind(2), kind(1)
        self._intrinsic("llvm.prefetch.p0", ir.VoidType(), [self._pointer(address, _FLOAT), read, near, data])

    def store(self, value: Value, address: Value) -> None:
        self.builder.store(value, self._pointer(address, self.vector), align=FLOAT_BYTES)

    def splat(self, scalar: Value) -> Value:
        """A vector with this number in every lane."""
        kind = ir.VectorType(scalar.type, self.lanes)
        one = self.builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
        return self.shuffle(one, ir.Constant(kind, ir.Undefined), [0] * self.lanes)

    def shuffle(self, a: Value, b: Value, lanes: Sequence[int]) -> Value:
        """Lanes of a (0, 1, ...) and b (counted on) in a new order."""
        order = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), list(lanes))
        return self.builder.shuffle_vector(a, b, order)

    def broadcast(self, address: Value) -> Value:
        """The float at an address in every lane."""
        return self.splat(self.builder.load(self._pointer(address, _FLOAT), align=FLOAT_BYTES))

    def constant(self, value: float) -> Value:
        return ir.Constant(self.vector, [float(value)] * self.lanes)

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        """a * b + c, rounded once."""
        return self._intrinsic(f"llvm.fma.v{self.lanes}f32", self.vector, [a, b, c])

    def relu(self, x: Value) -> Value:
        """max(0, x); NaN stays NaN."""
        zero = self.constant(0)
        return self.builder.select(self.builder.fcmp_ordered("<=", x, zero), zero, x)

    def first_lanes(self, count: Value) -> Value:
        """A mask of the first `count` lanes."""
        numbers = ir.Constant(ir.VectorType(_INT, self.lanes), list(range(self.lanes)))
        return self.builder.icmp_signed("<", numbers, self.splat(count))

    def within(self, i: int, start: Value, end: Value) -> Value:
        """Whether start <= i < end."""
        after = self.builder.icmp_signed(">=", self.number(i), start)
        return self.builder.and_(after, self.builder.icmp_signed("<", self.number(i), end))

    def only_if(self, condition: Value, mask: Value) -> Value:
        """The mask, or no lane at all."""
        return self.builder.select(condition, mask, ir.Constant(mask.type, [0] * self.lanes))

    def _intrinsic(self, name: str, result: ir.Type, arguments: list[Value]) -> Value:
        kind = ir.FunctionType(result, [a.type for a in arguments])
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, kind, name), arguments)

    def load_masked(self, address: Value, mask: Value) -> Value:
        """Zero in the lanes that are not in the mask; nothing is read for them."""
        pointer, align = self._pointer(address, self.vector), ir.Constant(ir.IntType(32), FLOAT_BYTES)
        return self._intrinsic(
            f"llvm.masked.load.v{self.lanes}f32.p0", self.vector, [pointer, align, mask, self.constant(0)]
        )

    def store_masked(self, value: Value, address: Value, mask: Value) -> None:
        pointer, align = self._pointer(address, self.vector), ir.Constant(ir.IntType(32), FLOAT_BYTES)
        self._intrinsic(f"llvm.masked.store.v{self.lanes}f32.p0", ir.VoidType(), [value, pointer, align, mask])


Body = Callable[..., None]  # (writer, *arguments, whatever else `compiled` is given)

_lock = threading.Lock()
_engines: list[Any] = []  # they own the compiled code


@functools.cache
def _machine() -> Any:
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    name, features = processor()
    model = "static" if platform.machine() in ("x86_64", "AMD64") else "default"
    target = binding.Target.from_default_triple()
    return target.create_target_machine(name, features, opt=3, reloc=model, codemodel="jitdefault", jit=True)


def _module(chip: Chip, arity: int, body: Body, options: tuple[Any, ...], name: str) -> ir.Module:
    """A module with the one function that the body writes."""
    module = ir.Module(name)
    module.triple = binding.get_default_triple()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [_INT] * arity), name)
    builder = ir.IRBuilder(function.append_basic_block("start"))
    body(Writer(builder, chip.lanes), *function.args, *options)
    builder.ret_void()
    return module


def _compile(chip: Chip, arity: int, body: Body, options: tuple[Any, ...]) -> int:
    name = "_".join([body.__name__.strip("_"), chip.name, *(str(o) for o in options if isinstance(o, int | str))])
    sources = _cache.sources(body.__module__.rpartition(".")[2])
    made_of = repr((sources, body.__module__, body.__qualname__, arity, options))
    file = f"{name}-{hashlib.sha256(made_of.encode()).hexdigest()[:20]}.o"
    machine_code = _cache.read(file)
    if machine_code is None:
        code = binding.parse_assembly(str(_module(chip, arity, body, options, name)))
        tuning = binding.create_pipeline_tuning_options(speed_level=2)
        tuning.loop_unrolling = False
        passes = binding.create_pass_builder(_machine(), tuning)
        passes.getModulePassManager().run(code, passes)
        engine = binding.create_mcjit_compiler(code, _machine())
        engine.set_object_cache(lambda _, made: _cache.write(file, made))
    else:
        engine = binding.create_mcjit_compiler(binding.parse_assembly(""), _machine())
        engine.add_object_file(binding.ObjectFileRef.from_data(machine_code))
    engine.finalize_object()
    _engines.append(engine)
    return int(engine.get_function_address(name))


@functools.cache
def _address(chip: Chip, arity: int, body: Body, options: tuple[Any, ...]) -> int:
    return _compile(chip, arity, body, options)


def compiled(chip: Chip, arity: int, body: Body, *options: Any) -> int:
    """The address of a function of `arity` integers: the instructions that body(writer, *arguments, *options) writes.

    The builder may end in another block than it began in; the function returns from there. Options must be hashable.
    """
    with _lock:  # or two threads that need the same function would both compile it
        return _address(chip, arity, body, options)


@intrinsic  # type: ignore[untyped-decorator]
def call(context: Any, address: Any, arguments: Any) -> Any:
    """call(address, (a, b, ...)) in a Numba kernel: run a compiled function."""
    kinds = list(arguments.types)
    if not all(isinstance(kind, types.Integer) for kind in kinds):
        raise TypeError(f"call: expected integers, got {kinds}")

    def write(target: Any, builder: Any, _: Any, values: Any) -> Any:
        numbers = [
            target.cast(builder, value, kind, types.int64)
            for value, kind in zip(cgutils.unpack_tuple(builder, values[1], len(kinds)), kinds, strict=True)
        ]
        kind = ir.FunctionType(ir.VoidType(), [_INT] * len(numbers))
        builder.call(builder.inttoptr(values[0], kind.as_pointer()), numbers)
        return target.get_dummy_value()

    return types.void(types.int64, arguments), write
