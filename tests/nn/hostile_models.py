"""Mutants of model files, each loaded and compiled:

python -m tests.nn.hostile_models COUNT FOLDER MODEL...
"""

import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from holdfast.base.errors import HoldfastError
from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.graph.graph import Graph
from tests.nn.mutations import check_sentence, mutated_bytes, mutated_json, survey

_TYPES = ("I8", "U8", "I16", "U16", "I32", "U32", "I64", "U64", "F16", "BF16", "F32", "F64",
          "F8_E4M3", "F8_E5M2", "BOOL", "C64", "F4", "I128")  # fmt: skip


def read(path: Path) -> None:
    """Load and compile, for the file's widths and for the default's."""
    graph = Graph.load(path)
    graph.validate()
    names = ("act_bits", "weight_bits", "multiplier_bits", "rounding")
    widths = {name: getattr(graph, name) for name in names}
    for given in (widths, {}):
        try:
            compile_graph(graph, AcceleratorConfig(**given))
        except HoldfastError as error:
            check_sentence(error)


def mutants(draw: random.Random, count: int, bases: list[bytes]) -> Iterator[bytes]:
    for _ in range(count):
        data = draw.choice(bases)
        choice = draw.randrange(10)
        size = int.from_bytes(data[:8], "little")
        if choice < 2:
            kept = 0 if choice else 8 + size
            yield data[:kept] + mutated_bytes(draw, data[kept:])
            continue
        outer, body = json.loads(data[8 : 8 + size]), data[8 + size :]
        if choice < 8:
            inner = json.loads(outer["__metadata__"]["holdfast"])
            outer["__metadata__"]["holdfast"] = mutated_json(draw, inner)
            yield _file(json.dumps(outer), body)
        elif choice == 8:
            yield _file(mutated_json(draw, outer), body)
        else:
            yield _file(*_other_array(draw, outer, body))


def _other_array(draw: random.Random, outer: dict[str, Any], body: bytes) -> tuple[str, bytes]:
    """A file whose array has another type, shape or name, or is not there."""
    name = draw.choice([name for name in outer if name != "__metadata__"])
    entry = outer[name]
    change = draw.randrange(4)
    if change == 0:
        outer[draw.choice(["x.weight", "../x", "\x1b[1m", "a" * 5000])] = outer.pop(name)
        return json.dumps(outer), body
    if change == 1:
        entry["shape"] = draw.choice(
            [[], [0], [1], [1 << 40], [1 << 20, 1 << 20, 1 << 20, 1 << 20], [-1],
             [*entry["shape"], 1], entry["shape"][::-1]]
        )  # fmt: skip
        return json.dumps(outer), body
    # In place of the last, so that the other arrays stay where they are.
    begin, end = entry["data_offsets"]
    last = max(
        end for key, e in outer.items() if key != "__metadata__" for end in e["data_offsets"]
    )
    if end != last:
        name = next(
            k for k, e in outer.items() if k != "__metadata__" and e["data_offsets"][1] == last
        )
        entry = outer[name]
        begin, end = entry["data_offsets"]
    kind = draw.choice(_TYPES)
    length = draw.choice([0, end - begin, 2 * (end - begin), 8 * (end - begin)])
    entry |= {"dtype": kind, "data_offsets": [begin, begin + length]}
    if length == 0:
        entry["shape"] = [0, *entry["shape"][1:]]
    return json.dumps(outer), body[:begin] + draw.randbytes(length)


def _file(header: str, body: bytes) -> bytes:
    text = header.encode("utf-8", "surrogatepass")
    return len(text).to_bytes(8, "little") + text + body


if __name__ == "__main__":
    count, folder, *models = sys.argv[1:]
    files = [Path(model).read_bytes() for model in models]
    found = mutants(random.Random(1), int(count), files)
    json.dump(survey(read, found, Path(folder)), sys.stdout)
