"""The official batches of CIFAR-10. They are pickles, but nothing that they ask for is called.

A batch is a dictionary with an array of pixels and a list of labels. Only the instructions that
such data need are understood; calls stay as they are written, and :func:`read_batch` knows
the three of them that NumPy writes.
"""

import pickletools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.base.text import shown

LARGEST_BATCH = 1 << 26
_MOST_STEPS = 200_000
_VALUES = 32 * 32 * 3
_LITERALS = {
    "BININT", "BININT1", "BININT2", "INT", "LONG1", "STRING", "BINSTRING", "SHORT_BINSTRING",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE",
    "BINUNICODE8", "FLOAT", "BINFLOAT",
}  # fmt: skip
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_ARRAYS = ("numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct")


@dataclass
class _Call:
    """A call that a pickle asks for, and the state that it would give to the result."""

    name: str
    arguments: tuple[Any, ...] | None = None
    state: Any = None


class _Machine:
    """Holds what the instructions of a pickle work on."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.encoded = 0

    def step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in _LITERALS:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name == "MARK":
            self.marks.append(len(stack))
        elif name in ("EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE"):
            stack.append({"DICT": {}, "LIST": [], "TUPLE": ()}[name.removeprefix("EMPTY_")])
        elif name == "TUPLE":
            stack.append(tuple(self._marked()))
        elif name in _TUPLES:
            stack.append(tuple(self._pop() for _ in range(_TUPLES[name]))[::-1])
        elif name in ("APPEND", "APPENDS"):
            values = [self._pop()] if name == "APPEND" else self._marked()
            self._top(list).extend(values)
        elif name in ("SETITEM", "SETITEMS"):
            values = [self._pop(), self._pop()][::-1] if name == "SETITEM" else self._marked()
            if not all(isinstance(key, str | bytes) for key in values[::2]):
                raise ValueError("a key of its dictionary is no text")
            self._top(dict).update(zip(values[::2], values[1::2], strict=True))
        elif name == "GLOBAL":
            stack.append(_Call(argument))
        elif name == "STACK_GLOBAL":
            last, first = _text(self._pop()), _text(self._pop())
            stack.append(_Call(f"{first} {last}"))
        elif name == "REDUCE":
            arguments, called = self._pop(), self._pop()
            stack.append(self._called(called, arguments))
        elif name == "BUILD":
            state = self._pop()
            self._top(_Call).state = state
        elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self.memo[len(self.memo) if argument is None else argument] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name not in ("PROTO", "FRAME", "STOP"):
            raise ValueError(f"it has the instruction {name}, which no batch needs")

    def _called(self, called: Any, arguments: Any) -> Any:
        if not isinstance(arguments, tuple) or not isinstance(called, _Call):
            raise ValueError(f"it calls a {type(called).__name__}")
        if called.name != "_codecs encode":
            return _Call(called.name, arguments)
        text, codec = _text(arguments[0]), _text(arguments[1])
        if codec != "latin1":
            raise ValueError(f"it asks for the codec {shown(codec)}, not for latin1")
        content = text.encode("latin-1")
        self.encoded += len(content)
        if self.encoded > LARGEST_BATCH:
            raise ValueError("it encodes the same again and again")
        return content

    def _pop(self) -> Any:
        return self.stack.pop()

    def _marked(self) -> list[Any]:
        begin = self.marks.pop()
        values = self.stack[begin:]
        del self.stack[begin:]
        return values

    def _top(self, kind: type) -> Any:
        if not isinstance(self.stack[-1], kind):
            raise ValueError(f"it treats a {type(self.stack[-1]).__name__} as a {kind.__name__}")
        return self.stack[-1]


def read_batch(content: bytes) -> tuple[NDArray[np.uint8], Any]:
    """Pixels, uint8 [N, 3, 32, 32], and the list or array that the batch has as labels.

    Raises
    ------
    Exception
        Of any kind: it is no such batch.
    """
    batch = _parsed(content)
    if not isinstance(batch, dict):
        raise ValueError(f"it holds a {type(batch).__name__}, not a dictionary")
    found = {_octets(key): value for key, value in batch.items()}
    if missing := {b"data", b"labels"} - found.keys():
        raise ValueError(f"it lacks {min(missing).decode()}")
    pixels, labels = _array(found[b"data"]), found[b"labels"]
    if pixels.dtype != np.uint8 or pixels.shape != (len(pixels), _VALUES):
        raise ValueError(
            f"data must be uint8 [N, {_VALUES}], not {pixels.dtype} {shown(list(pixels.shape))}"
        )
    if isinstance(labels, _Call):
        labels = _array(labels)
    elif not isinstance(labels, list):
        raise ValueError(f"labels must be a list, not a {type(labels).__name__}")
    return pixels.reshape(-1, 3, 32, 32), labels


def _parsed(content: bytes) -> Any:
    """Returns what a pickle holds."""
    machine = _Machine()
    for number, (opcode, argument, _) in enumerate(pickletools.genops(content)):
        if number == _MOST_STEPS:
            raise ValueError(f"it has more than {_MOST_STEPS:,} instructions")
        machine.step(opcode.name, argument)
    (value,) = machine.stack
    return value


def _array(value: Any) -> NDArray[Any]:
    """The array that NumPy would have made."""
    if not isinstance(value, _Call) or value.name not in _ARRAYS:
        told = value.name if isinstance(value, _Call) else f"a {type(value).__name__}"
        raise ValueError(f"it asks for {shown(told)} where an array belongs")
    _, shape, dtype, fortran, stored = value.state
    if not isinstance(dtype, _Call) or dtype.name != "numpy dtype":
        raise ValueError("its array has no type")
    kind, order = _octets(dtype.arguments[0]).decode(), _octets(dtype.state[1]).decode()  # type: ignore[index]
    if kind[:1] not in ("u", "i") or not kind[1:].isdigit():
        raise ValueError(f"its array is of type {shown(kind)}, not of whole numbers")
    flat = np.frombuffer(_octets(stored), np.dtype(order + kind))
    array = flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)
    return np.ascontiguousarray(array)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"it has a {type(value).__name__} where text belongs")
    return value


def _octets(value: Any) -> bytes:
    """Bytes; the text of Python 2 stands for them."""
    if isinstance(value, str):
        return value.encode("latin-1")
    if not isinstance(value, bytes):
        raise ValueError(f"it has a {type(value).__name__} where bytes belong")
    return value
