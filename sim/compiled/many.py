"""Compiles a netlist into a library that advances many machines of it at once.

    path = build_many(netlist, "interrupt")

Every value is a vector with one element for each machine, so that a cycle of all machines takes not
much more than one of one. The machines share nothing: each has its own state, inputs and memories.
Registers lie as in `nodes.Layout`, those of all machines side by side.
"""

from collections.abc import Iterable
from pathlib import Path

from holdfast.base.sources import source_hash
from holdfast.sim.netlist.netlist import Netlist
from holdfast.sim.verilate import cached, compile_sources, link, tool_versions

from .build import processor
from .nodes import BLOCK, Layout, Logic, Node, Part, Parts, computed, storage

MACHINES = 16
"""Elements of a vector: with 32 bits each, it fills a register of the widest kind."""

_SOURCE = Path(__file__).with_name("machines.cpp")
_LIBRARY = "machines.so"
_FLAGS = ["-O1", "-std=gnu++20", "-fPIC", "-march=native", "-w", "-Wno-psabi"]
_ARITHMETIC = {"$and": "&", "$or": "|", "$xor": "^", "$add": "+", "$sub": "-", "$mul": "*"}
_RELATIONS = {"$eq": "==", "$ne": "!=", "$lt": "<", "$le": "<=", "$gt": ">", "$ge": ">="}


class _Writer:
    """The statements of a cycle; a value is one vector of all machines."""

    def __init__(self, netlist: Netlist, layout: Layout, logic: Logic):
        self._layout, self._logic = layout, logic
        self._memories = {memory.name: memory for memory in netlist.memories}
        self._seen: set[int] = set()

    def step(self) -> list[str]:
        """Computes the next state of all registers, and writes to the memories."""
        lines: list[str] = []
        for node in self._logic.updates:
            lines += self._before(node.pins.values())
            place = self._place(node.result.size, "n", node.result.address)
            value = _converted(self._value(node), computed(node.result.width), node.result.size)
            lines.append(f"*({_type(node.result.size)}*)({place}) = {value};")
        # All reads come before all writes.
        for write in self._logic.writes:
            lines += self._before([write.address, write.data, write.enable])
        for write in sorted(self._logic.writes, key=lambda write: (write.memory, write.port)):
            memory = self._memories[write.memory]
            size = storage(memory.width)
            address, enable = self._whole(write.address, 4), self._whole(write.enable, 4)
            values = f"{address}, {self._whole(write.data, max(4, size))}, {enable}"
            base = self._layout.memories[write.memory]
            lines.append(f"put<u{8 * size}>(m, {base}, {values}, {memory.depth});")
        return lines

    def _before(self, pins: Iterable[Parts]) -> list[str]:
        """What pins need and is not yet computed, operands right before it."""
        lines = []
        todo = self._unseen(pins)
        while todo:
            node = todo[-1]
            later = [] if id(node) in self._seen else self._unseen(node.pins.values())
            if later:
                todo += later
                continue
            todo.pop()
            if id(node) not in self._seen:
                self._seen.add(id(node))
                lines.append(self._named(len(self._seen), node))
        return lines

    def _unseen(self, pins: Iterable[Parts]) -> list[Node]:
        """The nodes that pins need and that are not computed yet, the last one first."""
        made = (self._logic.made.get(id(part.variable)) for parts in pins for part in parts)
        return [node for node in made if node is not None and id(node) not in self._seen][::-1]

    def output(self, name: str) -> list[str]:
        """Computes an output of one bit."""
        parts = self._logic.output(name)
        return [*self._before([parts]), f"*(w8*)o = to8({self._whole(parts, 4)});"]

    def _named(self, number: int, node: Node) -> str:
        value = self._value(node)
        node.result.local = f"v{number}"
        return f"const {_type(node.result.size)} v{number} = {value};"

    def _place(self, size: int, buffer: str, address: int) -> str:
        return f"{buffer} + {address * MACHINES}"

    def _part(self, part: Part, size: int) -> str:
        """A part in a type of some size."""
        variable = part.variable
        if variable is None:
            return _constant(part.value, size)
        text = variable.local
        if not text:
            place = self._place(variable.size, variable.buffer, variable.address)
            text = f"(*(const {_type(variable.size)}*)({place}))"
        inner = computed(variable.width)
        text = _converted(text, variable.size, inner)
        if part.offset:
            text = f"({text} >> {part.offset})"
        if part.offset + part.width < variable.width:
            text = f"({text} & {_literal((1 << part.width) - 1, inner)})"
        return _converted(text, inner, size)

    def _whole(self, parts: Parts, size: int, signed: bool = False) -> str:
        """A signal, extended to a type of some size, or cut to it."""
        width = sum(part.width for part in parts)
        inner = max(size, computed(width))
        terms, at = [], 0
        for part in parts:
            if part.variable is not None or part.value:
                text = self._part(part, inner)
                terms.append(f"({text} << {at})" if at else text)
            at += part.width
        text = f"({' | '.join(terms)})" if len(terms) > 1 else "".join(terms) or _constant(0, inner)
        spare = 8 * inner - width
        if signed and spare and width:
            text = f"(({_type(inner)})(({_type(inner, True)})({text} << {spare}) >> {spare}))"
        return _converted(text, inner, size)

    def _value(self, node: Node) -> str:
        kind, size, pins = node.kind, computed(node.result.width), node.pins
        both = all(node.signs)
        if kind == "read":
            memory = self._memories[node.memory]
            base = self._layout.memories[node.memory]
            kinds = f"u{8 * storage(memory.width)}, {_type(size)}"
            return f"get<{kinds}>(m + {base}, {self._whole(pins['A'], 4)}, {memory.depth})"
        if kind in _ARITHMETIC:
            a, b = (self._whole(pins[name], size, both) for name in "AB")
            exact = kind in ("$and", "$or", "$xor") and not both
            exact = exact and max(node.width("A"), node.width("B")) <= node.result.width
            return self._masked(f"({a} {_ARITHMETIC[kind]} {b})", node, exact)
        if kind == "$not":
            a = self._whole(pins["A"], size, node.signs[0])
            return self._masked(f"(~{a})", node)
        if kind in _RELATIONS:
            wide = computed(max(node.width("A"), node.width("B")))
            a, b = (self._whole(pins[name], wide, both) for name in "AB")
            if both:
                a, b = f"({_type(wide, True)}){a}", f"({_type(wide, True)}){b}"
            return _truth(f"({a} {_RELATIONS[kind]} {b})", wide, size)
        if kind in ("$logic_not", "$reduce_or", "$reduce_bool", "$reduce_and"):
            return self._reduced(kind, pins["A"], size)
        if kind == "$reduce_xor":
            bits = [
                Part(p.variable, p.offset + k, 1, p.value >> k & 1)
                for p in pins["A"]
                for k in range(p.width)
            ]
            return f"({' ^ '.join(self._part(bit, size) for bit in bits)})"
        if kind in ("$logic_and", "$logic_or"):
            a, b = (self._reduced("$reduce_or", pins[name], size) for name in "AB")
            return f"({a} {'&' if kind == '$logic_and' else '|'} {b})"
        if kind in ("$shl", "$shr", "$sshr"):
            return self._shifted(node)
        if kind == "$mux":
            return self._chosen(pins["S"], pins["B"], self._whole(pins["A"], size), size)
        if kind == "$pmux":
            text = self._whole(pins["A"], size)
            for way in reversed(range(sum(name[0] == "S" for name in pins))):
                text = self._chosen(pins[f"S{way}"], pins[f"B{way}"], text, size)
            return text
        if kind == "$dff":
            return self._whole(pins["D"], size)
        if kind == "$dffe":
            return self._chosen(pins["E"], pins["D"], self._whole(pins["Q"], size), size)
        raise NotImplementedError(f"cells of type {kind}")

    def _chosen(self, select: Parts, then: Parts, other: str, size: int) -> str:
        return f"({self._whole(select, size)} != 0 ? {self._whole(then, size)} : {other})"

    def _masked(self, text: str, node: Node, exact: bool = False) -> str:
        width, size = node.result.width, computed(node.result.width)
        if exact or width == 8 * size:
            return text
        return f"({text} & {_literal((1 << width) - 1, size)})"

    def _reduced(self, kind: str, parts: Parts, size: int) -> str:
        wide = max((computed(part.width) for part in parts), default=1)
        texts = [self._part(part, wide) for part in parts]
        if kind == "$reduce_and":
            texts = [
                f"({text} ^ {_literal((1 << part.width) - 1, wide)})"
                for text, part in zip(texts, parts, strict=True)
            ]
        text = f"({' | '.join(texts) or _constant(0, wide)})"
        if (
            kind in ("$reduce_or", "$reduce_bool")
            and all(p.width == 1 for p in parts)
            and wide == size
        ):
            return text
        sign = "!=" if kind in ("$reduce_or", "$reduce_bool") else "=="
        return _truth(f"({text} {sign} 0)", wide, size)

    def _shifted(self, node: Node) -> str:
        width = node.result.width
        whole = max(width, node.width("A"))
        size = max(computed(whole), computed(node.width("B")))
        bits, signed = 8 * size, node.signs[0]
        a, b = self._whole(node.pins["A"], size, signed), self._whole(node.pins["B"], size)
        kind = _type(size)
        beyond = node.width("B") > 6 or (1 << node.width("B")) > bits
        if node.kind == "$sshr" and signed:
            if beyond:
                b = f"({b} < {_literal(bits, size)} ? {b} : {_constant(bits - 1, size)})"
            text = f"(({kind})(({_type(size, True)}){a} >> ({_type(size, True)}){b}))"
        else:
            if node.kind != "$shl" and signed and whole < bits:
                a = f"({a} & {_literal((1 << whole) - 1, size)})"
            inside = f"({b} & {_literal(bits - 1, size)})" if beyond else b
            text = f"({a} {'<<' if node.kind == '$shl' else '>>'} {inside})"
            if beyond:
                text = f"({b} < {_literal(bits, size)} ? {text} : {_constant(0, size)})"
        if width < bits:
            text = f"({text} & {_literal((1 << width) - 1, size)})"
        return _converted(text, size, computed(width))


def _type(size: int, signed: bool = False) -> str:
    return f"{'x' if signed else 'w'}{8 * size}"


def _literal(value: int, size: int) -> str:
    return f"u{8 * size}({value}u{'ll' if size == 8 else ''})"


def _constant(value: int, size: int) -> str:
    return f"({_type(size)}{{}} + {_literal(value, size)})"


def _converted(text: str, size: int, wanted: int) -> str:
    return text if size == wanted else f"to{8 * wanted}({text})"


def _truth(text: str, size: int, wanted: int) -> str:
    """A comparison's mask as a bit."""
    return f"({_converted(f'({_type(size)}){text}', size, wanted)} & {_literal(1, wanted)})"


def build_many(netlist: Netlist, output: str) -> Path:
    """Compiles a netlist into a library that advances `MACHINES` of it, or takes the cache's.

    Its functions are ``machines_step(state, next, inputs, memories)`` and, of one output of one
    bit, ``machines_output(state, inputs, bytes)``. Reset is never asserted.

    Parameters
    ----------
    output : str
        The output.

    Raises
    ------
    NotImplementedError
        The netlist has a cell that no statement is known for.
    """

    def make(folder: Path) -> None:
        source = folder / "machines.cpp"
        source.write_text(_text(netlist, output), encoding="utf-8")
        link(compile_sources([source], folder, _FLAGS), folder / _LIBRARY, ["-shared"])
        source.unlink()

    key = [netlist.hash, output, source_hash("holdfast.sim.compiled.many"), *_FLAGS]
    key += [*tool_versions(), processor(), _SOURCE.read_text(encoding="utf-8")]
    return cached("many", key, make) / _LIBRARY


def _text(netlist: Netlist, output: str) -> str:
    """C++ of a netlist and one of its outputs."""
    fixed = {netlist.reset: 0} if netlist.reset else {}
    writers = []
    for _ in range(2):
        layout = Layout(netlist)
        writers.append(_Writer(netlist, layout, Logic(netlist, layout, fixed)))
    step, told = writers[0].step(), writers[1].output(output)
    text = _SOURCE.read_text(encoding="utf-8")
    for name, value in (
        ("MACHINES", str(MACHINES)), ("STRIDE", str(layout.stride)),
        ("WORDS", str(layout.words)), ("BLOCK", str(BLOCK)),
        ("STEP", "\n    ".join(step)), ("OUTPUT", "\n    ".join(told)),
    ):  # fmt: skip
        text = text.replace(f"@{name}@", value)
    return text
