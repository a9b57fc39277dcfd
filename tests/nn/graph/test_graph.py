import json
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy

from holdfast.nn.graph.contract import check_name
from holdfast.nn.graph.graph import Graph, ModelError, accumulator_bits
from holdfast.nn.graph.shipped import load_network, shipped
from holdfast.nn.networks.registry import network, network_names
from holdfast.nn.networks.spec import Network
from tests.random_graph import random_graph


@pytest.fixture
def graph() -> Graph:
    net = Network("tiny", (3, 8, 8))
    a = net.conv("a", "image", 4, 3)
    b = net.conv("b", a, 4, 3, activation="none")
    c = net.add("c", a, b)
    net.dense("d", net.pool("avgpool", "p", c, 8, 8), 10)
    return random_graph(net)


@pytest.fixture
def file(graph, tmp_path) -> Path:
    graph.save(tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


def rewrite(file: Path, edit) -> None:
    """Applies an edit of (header, tensors) to a model file."""
    with safetensors.safe_open(file, framework="numpy") as opened:
        header = json.loads(opened.metadata()["holdfast"])
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}
    edit(header, tensors)
    file.write_bytes(safetensors.numpy.save(tensors, {"holdfast": json.dumps(header)}))


def test_file_holds_everything(graph, file):
    graph.provenance = {"seed": 3}
    graph.save(file)
    loaded = Graph.load(file)
    assert loaded.provenance == {"seed": 3}
    assert [node.name for node in loaded.nodes] == ["image", "a", "b", "c", "p", "d"]
    for before, after in zip(graph.nodes, loaded.nodes, strict=True):
        assert type(before) is type(after)
        for name, value in vars(before).items():
            np.testing.assert_array_equal(getattr(after, name), value)
    assert loaded["a"].weight.dtype == np.int8
    assert loaded["a"].bias.dtype == np.int64


def test_saving_leaves_no_temporary_file(file):
    assert [path.name for path in file.parent.iterdir()] == ["m.safetensors"]


def test_a_graph_that_breaks_the_contract_is_not_written(graph, tmp_path):
    graph["a"].shift[0] = -1
    with pytest.raises(ModelError, match=r"shift of layer 'a' must be a whole number from 0 to 47"):
        graph.save(tmp_path / "n.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_accumulator_bits(graph):
    node = graph["a"]
    node.weight = np.zeros((4, 3, 3, 3), np.int8)
    node.bias = np.zeros(4, np.int64)
    node.weight[1].flat[:4] = [127, -127, 1, 1]
    node.bias[1] = -256
    # 256 * 128 + 256 = 33024, 16 bits, and a sign; one less without the bias
    assert accumulator_bits(node, 8) == 17
    node.bias[1] = 0
    assert accumulator_bits(node, 8) == 17
    node.weight[1].flat[3] = 0
    assert accumulator_bits(node, 8) == 16
    assert accumulator_bits(node, 4) == 12


@pytest.mark.parametrize("length", [0, 7, 100, -1])
def test_truncated_file(file, length):
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(ModelError, match=r"m\.safetensors is no whole \.safetensors file: "):
        Graph.load(file)


def test_missing_file(tmp_path):
    with pytest.raises(ModelError, match=r"cannot read model file .*absent.*: No such file"):
        Graph.load(tmp_path / "absent.safetensors")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(ModelError):
        Graph.load(tmp_path)


def test_foreign_file(tmp_path):
    path = tmp_path / "f.safetensors"
    safetensors.numpy.save_file({"x": np.zeros(3)}, path)
    with pytest.raises(ModelError, match="is not a Holdfast model"):
        Graph.load(path)


def test_other_version(file):
    rewrite(file, lambda header, tensors: header.update(format=2))
    with pytest.raises(ModelError, match="has format version 2; this Holdfast reads version 1"):
        Graph.load(file)


def set_node(index, **fields):
    return lambda header, tensors: header["nodes"][index].update(fields)


def set_array(name, array):
    return lambda header, tensors: tensors.update({name: array})


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (set_node(1, op="gelu"), "layer 'a' has the unsupported operation 'gelu'; "),
        (set_node(1, name="image"), "array image.weight is missing"),
        (set_node(3, inputs=["a", "z"]), "layer 'c' reads 'z', which no earlier layer makes"),
        (set_node(3, inputs=["a"]), "layer 'c' must have 2 inputs, not 1"),
        (set_node(2, lo=-129), "lo of layer 'b' must be a whole number from -128 to 127, not -129"),
        (set_node(2, zero_point=0.5), "zero_point of layer 'b' must be a whole number"),
        (set_node(2, scale=0.0), "scale of layer 'b' must be a positive number, not 0.0"),
        (set_node(2, shape=[4, 9, 8]), r"layer 'b' must have shape \(4, 8, 8\), not \(4, 9, 8\)"),
        (set_node(3, multiplier_a=65536), "multiplier_a of layer 'c' must be .* from 0 to 65535"),
        (set_node(2, groups=3), "groups of layer 'b' must divide its 4 input and 4 output"),
        (set_node(2, colour="red"), "layer 'b' has an unknown field 'colour'"),
        (set_array("b.weight", np.full((4, 4, 3, 3), -128, np.int8)), "must lie in -127..127"),
        (set_array("b.weight", np.zeros((4, 4, 3, 3))), "b.weight must hold integers, not 'F64'"),
        (set_array("b.weight", np.zeros((4, 5, 3, 3), np.int8)), r"must have shape \(4, 4, kh, "),
        (set_array("b.multiplier", np.full(4, 65536)), "multiplier of layer 'b' .* 0 to 65535"),
        (set_array("b.shift", np.full(4, 48)), "shift of layer 'b' .* from 0 to 47, not 48"),
        (set_array("b.shift", np.full(5, 4)), "shift of layer 'b' must have 4 entries"),
        (set_array("b.bias", np.full(4, 1 << 31)), "bias of layer 'b' must be"),
        (set_array("b.bias", np.full(4, (1 << 31) - 1)), "'b' needs an accumulator of 33 bits"),
        (set_array("b.guard_lo", np.full(4, 32767)), "guard_lo of layer 'b' must not exceed"),
        (lambda header, tensors: tensors.pop("b.bias"), "array b.bias is missing"),
        (lambda header, tensors: header["graph"].update(act_bits=9), "act_bits must be .* 2 to 8"),
        (lambda header, tensors: header["graph"].update(rounding="up"), "rounding must be one of"),
        (lambda header, tensors: header["graph"].update(classes=11), r"must have shape \(11, 1, "),
        (lambda header, tensors: header["nodes"].pop(0), "the first node of a graph must be"),
        (lambda header, tensors: header.pop("nodes"), "its nodes must be a list, not None"),
    ],
)  # fmt: skip
def test_bad_content_is_one_sentence(file, edit, message):
    rewrite(file, edit)
    with pytest.raises(ModelError, match=message) as caught:
        Graph.load(file)
    assert "\n" not in str(caught.value)


def test_four_bit_weights_are_checked(tmp_path):
    graph = random_graph("resnet8", 0, 4, 4)
    assert max(int(abs(node.weight).max()) for node in graph.weighted()) == 7
    graph["stem"].weight[0, 0, 0, 0] = 8
    with pytest.raises(ModelError, match=r"weight of layer 'stem' .* from -7 to 7, not 8"):
        graph.validate()


def test_unknown_layer(graph):
    with pytest.raises(ModelError, match="network tiny has no layer 'q'; it has image, a, b, c, p"):
        graph["q"]


def test_resnet20_fits_its_budget(tmp_path):
    random_graph("resnet20").save(tmp_path / "r.safetensors")
    assert (tmp_path / "r.safetensors").stat().st_size < 296_000


def test_weights_in_another_memory_order_survive_the_file(tmp_path):
    graph = random_graph("resnet8", seed=3)
    node = next(graph.weighted())
    wanted = node.weight.copy()
    node.weight = np.asfortranarray(node.weight)
    graph.save(tmp_path / "model.safetensors")
    loaded = next(Graph.load(tmp_path / "model.safetensors").weighted())
    np.testing.assert_array_equal(loaded.weight, wanted)


NO_NAMES = (
    "../../x", "/tmp/x", "a/b", "", ".", "..", ".x", "-x", "a..b", "a.", "a b", "[bold]x[/]",
    "a\0b", "a\n", "a\x1b[1m", "\ud800", "é", "<b>", "x" * 65, "x" * 100_000, None, [], {}, 3, True,
)  # fmt: skip


@pytest.mark.parametrize("name", [*NO_NAMES, "a.b"])
def test_a_name_that_is_more_than_a_name_is_refused(file, name):
    edits = {"layer": set_node(1, name=name), "input": set_node(0, name=name)}
    if name != "a.b":
        edits["network"] = lambda header, tensors: header["graph"].update(network=name)
    whole = file.read_bytes()
    for kind, edit in edits.items():
        file.write_bytes(whole)
        rewrite(file, edit)
        what = "network" if kind == "network" else "layer"
        with pytest.raises(ModelError, match=f"the name of a {what} must be 1 to 64") as caught:
            Graph.load(file)
        assert str(caught.value).isprintable() and len(str(caught.value)) < 400


@pytest.mark.parametrize("name", NO_NAMES)
def test_such_a_name_is_not_written(graph, tmp_path, name):
    graph.network = name
    with pytest.raises(ModelError, match="the name of a network must be 1 to 64"):
        graph.save(tmp_path / "n.safetensors")


def test_every_network_has_plain_names(graph):
    for name in network_names():
        for spec in (network(name), network(f"{name}_w0.5")):
            check_name("network", spec.name, dots=True)
            for layer in spec.layers:
                check_name("layer", layer.name)
    for name in shipped():
        load_network(name)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda h, t: h.update(provenance=[1]), "its provenance must be an object"),
        (lambda h, t: h.update(provenance={"a": float("nan")}), "NaN is no number in JSON"),
        (lambda h, t: h.update(provenance=nested(20)), "nested at most 16 deep"),
        (lambda h, t: h.update(provenance=nested(900)), "nested (at most 16|too) deep"),
        (lambda h, t: h.update(nodes=h["nodes"] * 800), "at most 4096 layers, this one 4800"),
        (lambda h, t: h["nodes"].append(3), "a layer must be an object, not 3"),
        (lambda h, t: h["nodes"][1].pop("scale"), "layer 'a' has no scale"),
        (lambda h, t: t.update({"z.bias": np.zeros(3, np.int8)}), "'z.bias' belongs to no layer"),
        (set_array("b.bias", np.zeros(4, np.uint64)), "b.bias must hold integers, not 'U64'"),
        (set_array("b.bias", np.zeros((4, 1), np.int8)), "b.bias must have 1 side and not be"),
        (set_array("b.weight", np.zeros((0, 4, 3, 3), np.int8)), "b.weight must have 4 sides"),
        (set_array("b.bias", np.zeros(70_000, np.int8)), "at most 65536 entries, not 70000"),
    ],
)  # fmt: skip
def test_hostile_content_is_one_sentence(file, edit, message):
    rewrite(file, edit)
    with pytest.raises(ModelError, match=message) as caught:
        Graph.load(file)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 600


def nested(depth):
    return {"a": nested(depth - 1)} if depth else {}


@pytest.mark.parametrize(("old", "kind"), [("I16", "BF16"), ("I8", "F8_E4M3"), ("I8", "F8_E5M2")])
def test_numbers_that_numpy_does_not_know_are_refused(file, old, kind):
    data = file.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = data[8 : 8 + size].replace(f'"{old}"'.encode(), f'"{kind}"'.encode())
    file.write_bytes(len(header).to_bytes(8, "little") + header + data[8 + size :])
    with pytest.raises(ModelError, match=f"must hold integers, not '{kind}'"):
        Graph.load(file)


def test_a_graph_without_weights_is_refused(graph):
    graph.nodes = graph.nodes[:1]
    with pytest.raises(ModelError, match="a graph must have a convolution or dense layer"):
        graph.validate()


def test_files_and_headers_have_a_bound(file):
    file.write_bytes((9 << 20).to_bytes(8, "little") + bytes(100))
    with pytest.raises(ModelError, match=r"has a header of 9,437,184 bytes, at most 8,388,608"):
        Graph.load(file)
    with file.open("wb") as stream:
        stream.truncate((1 << 27) + 1)
    with pytest.raises(ModelError, match=r"it has 134,217,729 bytes, at most 134,217,728"):
        Graph.load(file)
