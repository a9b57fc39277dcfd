"""The calibrated fault model: what it draws, where it puts it, and what that does to a network."""

import json

import numpy as np
import pytest
import torch
from scipy import stats

from holdfast.base.command import run
from holdfast.base.errors import HoldfastError
from holdfast.nn.errors.empirical import CalibratedFaults, Calibration
from holdfast.nn.errors.exposure import KINDS, ArrayShape, exposures, graph_work, network_work
from holdfast.nn.errors.registry import fault_model
from holdfast.nn.errors.templates import Templates
from holdfast.nn.graph.shipped import load_network
from holdfast.nn.networks.float import FloatNetwork
from holdfast.nn.networks.registry import network
from holdfast.nn.networks.spec import Network
from holdfast.nn.quantization.clipping import clips
from holdfast.nn.quantization.quantized import QuantizedNetwork
from holdfast.nn.training import train

ARRAY = ArrayShape(8, 8, 1024)


def calibration(templates, rates=None, bits=None):
    """Of templates (structure, kind, code, gain, height, width, elements), elements (channel, y, x,
    golden, change).
    """
    parts = [np.array(t[6]).reshape(-1, 5) for t in templates]
    columns = np.concatenate(parts).T
    lengths = [0, *np.cumsum([len(part) for part in parts])]
    bits = bits or {"weight": 100, "requantizer": 300}
    structure, kind = ([t[at] for t in templates] for at in (0, 1))
    if rates is None:
        rates = np.zeros((len(bits), len(KINDS)))
        rates[structure, kind] = 1
    channel, y, x, golden, change = (torch.tensor(c, dtype=torch.int32) for c in columns)
    return Calibration(
        bits=bits,
        counts={name: {"faults": 1, "images": 1, "corrupted": {}} for name in bits},
        rates=np.array(rates, float),
        templates=Templates(
            torch.tensor(structure), torch.tensor(kind), torch.tensor([t[2] for t in templates]),
            torch.tensor([t[3] for t in templates], dtype=torch.float32),
            torch.tensor([t[4] for t in templates]), torch.tensor([t[5] for t in templates]),
            torch.tensor(lengths), channel, y, x, golden, change,
        ),
        array=ARRAY, act_bits=8, weight_bits=8, acc_bits=24,
        guard={"output": False, "input": False, "zero": False}, provenance={},
    )  # fmt: skip


def grid(channel, ys, xs, change):
    return [(channel, y, x, 0, change) for y in ys for x in xs]


POINT = (0, 0, False, 1.0, 4, 4, [(3, 1, 2, 0, 5)])
COLUMN = (0, 0, False, 1.0, 4, 4, [(c, 1, 2, 0, 7) for c in range(2, 6)])
MAP = (0, 0, False, 1.0, 4, 4, grid(1, range(4), range(4), -3))
HALF = (0, 0, False, 1.0, 4, 4, grid(1, range(2, 4), range(4), -3))
DENSE = (0, 1, False, 1.0, 1, 1, [(0, 0, 0, 0, 900)])
CODE = (1, 0, True, 1.0, 4, 4, [(0, 0, 0, -100, 20), (0, 3, 3, 100, -90)])


def place(template, shape, draws=1, seed=0):
    found = calibration([template])
    generator = torch.Generator().manual_seed(seed)
    return found.place(torch.zeros(draws, dtype=torch.int64), shape, found.templates, generator)


def test_the_time_of_a_layer_is_its_multiply_accumulates():
    """Where maps are larger than the array and channels fill it: exposure of weights, exactly."""
    layers = network_work(network("resnet20"))
    share = exposures(layers, ARRAY)["weight"]
    by_name = {layer.name: value for layer, value in zip(layers, share, strict=True)}
    graph = load_network("resnet20")
    for a, b in (("block1_conv1", "block9_conv2"), ("block2_conv1", "block7_conv1")):
        cycles = [graph[name].macs / 64 for name in (a, b)]
        # Five more cycles for each output tile.
        assert by_name[a] / by_name[b] == pytest.approx(cycles[0] / cycles[1], rel=0.01)


@pytest.mark.parametrize("name", ["resnet8", "resnet20"])
def test_a_network_and_its_graph_take_the_same_time(name):
    assert network_work(network(name)) == graph_work(load_network(name))


def test_layers_and_structures_are_struck_as_often_as_exposed():
    rates = np.zeros((2, len(KINDS)))
    rates[0, :2], rates[1, 0] = (0.5, 0.25), 0.1
    found = calibration([POINT, DENSE, CODE], rates)
    spec = network("resnet8")
    layers = network_work(spec)
    share = exposures(layers, ARRAY)
    expected = np.zeros((2, len(layers)))
    for at, layer in enumerate(layers):
        kind = KINDS.index(layer.kind)
        for number, structure in enumerate(("weight", "requantizer")):
            expected[number, at] = rates[number, kind] * share[structure][at]
    assert np.allclose(found.chances(layers), expected)
    expected *= [[100], [300]]

    images = 20_000
    model = model_of(found, rate=0.3)
    model.bind(spec)
    model.start({}, images, 8, torch.device("cpu"))
    counts = np.zeros_like(expected)
    structures = found.templates.structure
    for at, layer in enumerate(layers):
        if layer.name in model._hits:
            image, chosen = model._hits[layer.name]
            assert len(image.unique()) == len(image)
            for number in range(2):
                counts[number, at] = int((structures[chosen] == number).sum())
    low, high = stats.binom.interval(1 - 1e-6, images, 0.3)
    assert low <= counts.sum() <= high
    seen = expected > 0
    assert (counts[~seen] == 0).all()
    expected = expected[seen] / expected.sum() * counts.sum()
    statistic = ((counts[seen] - expected) ** 2 / expected).sum()
    assert statistic < stats.chi2.isf(1e-6, seen.sum() - 1)


def test_templates_are_drawn_evenly():
    found = calibration([POINT, MAP, HALF, CODE])
    wanted = torch.zeros(30_000, dtype=torch.int64)
    generator = torch.Generator().manual_seed(3)
    drawn = found.draw(wanted, wanted, found.templates, generator)
    counts = np.bincount(drawn.numpy(), minlength=4)
    assert counts[3] == 0 and stats.chisquare(counts[:3]).pvalue > 1e-6


def test_a_point_goes_anywhere():
    placed = place(POINT, (5, 3, 6), 9000)
    assert torch.equal(placed.owner, torch.arange(9000))
    assert (placed.change == 5).all()
    cells = (placed.channel * 18 + placed.y * 6 + placed.x).numpy()
    assert stats.chisquare(np.bincount(cells, minlength=90)).pvalue > 1e-6


@pytest.mark.parametrize("shape", [(3, 4, 4), (20, 8, 8), (2, 7, 3), (9, 2, 2)])
def test_a_map_is_stretched(shape):
    """All pixels stay all pixels, the lower half the lower half, each exactly once."""
    _, height, width = shape
    for template, first in ((MAP, 0), (HALF, -(-2 * height // 4))):
        placed = place(template, shape, 50)
        assert (placed.channel < shape[0]).all()
        for draw in range(50):
            mine = placed.owner == draw
            cells = sorted(zip(placed.y[mine].tolist(), placed.x[mine].tolist(), strict=True))
            assert cells == [(y, x) for y in range(first, height) for x in range(width)]
            assert len(placed.channel[mine].unique()) == 1


def test_channels_of_a_pixel_stay_together():
    placed = place(COLUMN, (13, 4, 4), 400)
    for draw in range(400):
        mine = placed.owner == draw
        channels = placed.channel[mine].tolist()
        assert len(set(zip(placed.y[mine].tolist(), placed.x[mine].tolist(), strict=True))) < 2
        # Columns 2 to 5 of 8: of the second group 10 to 12, as it has only five channels.
        assert channels in ([2, 3, 4, 5], [10, 11, 12])


def test_codes_change_as_the_nearest_recorded_one():
    templates = calibration([CODE, (1, 0, True, 1.0, 4, 4, [(0, 0, 0, 3, 1)])]).templates
    codes = torch.tensor([-128, -100, -1, 1, 90, 127, 50])
    which = torch.tensor([0, 0, 0, 0, 0, 0, 1])
    changes = torch.tensor([20, 20, 20, -90, -90, -90, 1])
    assert torch.equal(templates.changed(which, codes), codes + changes)


def model_of(found, rate=1.0, seed=0, tmp=None):
    """A fault model without a file."""
    model = CalibratedFaults.__new__(CalibratedFaults)
    model.path, model.rate, model.calibration = "there", rate, found
    model._templates, model._spec, model._layers, model._hits = {}, None, [], {}
    model.reseed(seed)
    return model


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_sums_and_gradient(layout):
    model = model_of(calibration([(*MAP[:3], 2.0, *MAP[4:])]))
    model._templates[torch.device("cpu")] = model.calibration.templates
    model._hits = {"a": (torch.tensor([2]), torch.tensor([0]))}
    values = torch.randn(3, 5, 4, 4).contiguous(memory_format=layout).requires_grad_()
    unit = torch.arange(1.0, 6.0)
    moved = model.sums(values, 9, 8, "a", lambda: unit)
    assert torch.equal(moved[:2], values[:2])
    changed = (moved[2] != values[2]).flatten(1).any(1)
    (channel,) = changed.nonzero().flatten().tolist()
    assert torch.allclose(moved[2, channel], 2 * values[2, channel] - 3 * unit[channel])
    weights = torch.randn(3, 5, 4, 4)
    (moved * weights).sum().backward()
    assert torch.equal(values.grad, weights)
    assert model.sums(values, 9, 8, "b", lambda: unit) is values


def test_stored_codes_stay_codes():
    model = model_of(calibration([CODE]))
    model._templates[torch.device("cpu")] = model.calibration.templates
    model._hits = {"a": (torch.tensor([0]), torch.tensor([0]))}
    codes = torch.tensor([120, -120]).repeat(8).reshape(1, 1, 4, 4)
    values = codes * 0.5
    found = model.stored("a", values, torch.tensor(0.5), 0, 8) / 0.5
    # 120 is nearest to the recorded 100, -120 to -100.
    assert found[0, 0, 0, 0] == 120 - 90
    assert found[0, 0, 3, 3] == -120 + 20
    assert int((found != codes).sum()) == 2


def small():
    net = Network("small", (3, 8, 8))
    a = net.conv("a", "image", 12, 3)
    b = net.pool("maxpool", "b", a, 2, 2)
    c = net.conv("c", b, 9, 3, activation="none")
    d = net.pool("avgpool", "d", c, 4, 4)
    net.dense("e", d, 6)
    return net


@pytest.fixture(scope="module")
def quantized():
    torch.manual_seed(1)
    net = FloatNetwork(small())
    for name in ("a", "c"):
        # Weights of every other channel will be turned round.
        net.layers[name].bn.weight.data[::2] *= -1
    pixels = torch.rand(16, 3, 8, 8)
    net(pixels)
    largest = clips(net.spec, net.eval().tensors(pixels), 8)
    found = QuantizedNetwork(net.spec, largest, 8, 8)
    found.load_state_dict(net.state_dict(), strict=False)
    return found.eval(), pixels


def watched(net, pixels, model, layer):
    """A layer's values before and after the model has changed its sums."""
    seen = {}
    original = model.sums

    def sums(values, macs, bits, name, unit):
        moved = original(values, macs, bits, name, unit)
        # The activation function works in place.
        seen[name] = values.clone(), moved.clone()
        return moved

    model.sums = sums
    with torch.no_grad():
        net.tensors(pixels, model)
    return seen[layer]


@pytest.mark.parametrize(("layer", "kind"), [("a", 0), ("c", 0), ("d", 2), ("e", 1)])
def test_one_in_the_sums_is_worth_what_the_integers_say(quantized, layer, kind):
    """A large change of one sum moves the fake-quantized code as it moves the integer one."""
    net, pixels = quantized
    graph = net.integer_graph()
    node = graph[layer]
    for change in (400, -700):
        found = calibration([(0, kind, False, 1.0, *node.shape[1:], [(0, 0, 0, 0, change)])])
        model = model_of(found, seed=4)
        model.start = lambda *arguments: None
        model._templates[torch.device("cpu")] = found.templates
        model._hits = {layer: (torch.arange(16), torch.zeros(16, dtype=torch.int64))}
        before, after = watched(net, pixels, model, layer)
        where = (after != before).nonzero()
        assert len(where) == 16
        channels = where[:, 1].numpy()
        steps = ((after - before)[after != before] / node.scale).double().numpy()
        multiplier = np.broadcast_to(node.multiplier, node.shape[:1])[channels]
        shift = np.broadcast_to(node.shift, node.shape[:1])[channels]
        assert np.allclose(steps, change * multiplier / 2.0**shift, rtol=2e-3, atol=1e-3)


def test_training_and_evaluation_under_it(quantized, tmp_path):
    net, pixels = quantized
    path = tmp_path / "model.npz"
    pool = (1, 3, True, 1.0, 4, 4, [(0, 1, 1, 0, 30)])
    calibration([MAP, DENSE, (0, 2, *DENSE[2:]), CODE, pool]).save(path)
    clean = net(pixels)
    assert torch.equal(net(pixels, fault_model(f"calibrated:{path}", 0.0)), clean)
    runs = [net(pixels, fault_model(f"calibrated:{path}", 1.0, seed)) for seed in (1, 1, 2)]
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])
    runs[2].sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.layers.parameters())


def test_a_file_comes_back(tmp_path):
    found = calibration([POINT, MAP, DENSE, CODE])
    found.save(tmp_path / "model.npz")
    again = Calibration.load(tmp_path / "model.npz")
    for name, value in found.templates.arrays().items():
        assert torch.equal(getattr(again.templates, name), value), name
    assert np.array_equal(again.rates, found.rates)
    assert (again.array, again.bits, again.counts) == (found.array, found.bits, found.counts)


def rewritten(path, **changes):
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    header = json.loads(str(arrays["header"])) | changes.pop("header", {})
    np.savez(path, **{**arrays, "header": np.array(json.dumps(header)), **changes})


BROKEN = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-30]),
    "flipped": lambda path: path.write_bytes(
        path.read_bytes().replace(b"change.npy", b"chang_.npy")
    ),
    "text": lambda path: path.write_text("hello"),
    "empty": lambda path: path.write_bytes(b""),
    "array": lambda path: np.savez(path, channel=np.zeros(3)),
    "lengths": lambda path: rewritten(path, channel=np.zeros(1, np.int16)),
    "rates": lambda path: rewritten(path, header={"rates": [[0.0] * len(KINDS)] * 2}),
    "order": lambda path: rewritten(path, structure=np.array([1, 0, 0, 1], np.int16)),
}


@pytest.mark.parametrize("damage", BROKEN.values(), ids=BROKEN)
def test_damaged_files_are_refused(tmp_path, damage):
    path = tmp_path / "model.npz"
    calibration([POINT, MAP, DENSE, CODE]).save(path)
    damage(path)
    with pytest.raises(HoldfastError, match=r"calibrated fault model .*model\.npz.*\.$"):
        Calibration.load(path)


def test_foreign_files_are_refused(tmp_path, quantized):
    path = tmp_path / "model.npz"
    with pytest.raises(HoldfastError, match=r"there is no calibrated fault model .*model\.npz"):
        fault_model(f"calibrated:{path}", 0.5)
    found = calibration([POINT, MAP, DENSE, CODE])
    found.save(path)
    with pytest.raises(HoldfastError, match=r"rate must be from 0 to 1, not 1\.5"):
        fault_model(f"calibrated:{path}", 1.5)
    rewritten(path, header={"format": 99})
    with pytest.raises(HoldfastError, match="of format 99; this Holdfast reads format 1"):
        fault_model(f"calibrated:{path}", 0.5)
    found = calibration([POINT, MAP, DENSE])
    found.act_bits = 4
    found.save(path)
    net, pixels = quantized
    with pytest.raises(HoldfastError, match="on activations of 4 bits, this network's have 8"):
        net(pixels, fault_model(f"calibrated:{path}", 0.5))
    with pytest.raises(HoldfastError, match="cannot write"):
        found.save(tmp_path / "model.npz" / "below")


def test_another_width_is_refused_before_training(tmp_path, capsys, monkeypatch):
    path = tmp_path / "model.npz"
    calibration([POINT]).save(path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(train, "load_cifar10", None)
    options = ["--network", "lenet5", "--bits", "4", "--faults", f"calibrated:{path}"]
    monkeypatch.setattr("sys.argv", ["train", *options])
    assert run(train.app) == 2
    printed = capsys.readouterr().err
    assert "was fitted on activations of 8 bits, this network's have 4." in printed
    assert printed.count("\n") == 1
