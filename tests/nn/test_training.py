import numpy as np
import pytest
import torch
from rich.progress import Progress
from typer.testing import CliRunner

from holdfast.base.command import run
from holdfast.base.errors import HoldfastError
from holdfast.nn.data.cifar import ImageSet
from holdfast.nn.errors.base import RatedModel
from holdfast.nn.errors.empirical import CalibratedFaults
from holdfast.nn.errors.registry import fault_model
from holdfast.nn.graph.graph import Graph
from holdfast.nn.networks.float import FloatNetwork
from holdfast.nn.networks.registry import network_names
from holdfast.nn.networks.spec import Network
from holdfast.nn.quantization.quantized import QuantizedNetwork
from holdfast.nn.training import loop as training
from holdfast.nn.training import train as command
from holdfast.nn.training.checkpoint import read_checkpoint, write_checkpoint
from holdfast.nn.training.evaluate import accuracy
from holdfast.nn.training.loop import (
    Plan,
    augment,
    fit,
    image_digest,
    learning_rate,
    weight_digest,
)


def tiny() -> Network:
    net = Network("tiny", (3, 8, 8))
    a = net.conv("a", "image", 4, 3)
    net.dense("d", net.pool("avgpool", "p", a, 8, 8), 10)
    return net


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    return (rng.integers(0, 256, (64, 3, 8, 8)).astype(np.uint8),
            rng.integers(0, 10, 64).astype(np.uint8))  # fmt: skip


def plan(**changes) -> Plan:
    return Plan(**{"name": "tiny", "epochs": 4, "seed": 5, "learning_rate": 0.1, "batch": 16,
                   "half_precision": False, **changes})  # fmt: skip


def fitted(batch, file, resume, stop_after=99, **changes):
    torch.manual_seed(0)
    net = FloatNetwork(tiny())

    def stop(epoch, loss):
        if epoch == stop_after:
            raise KeyboardInterrupt

    with Progress(disable=True) as progress:
        fit(
            net,
            ImageSet("x", *batch),
            plan(**changes),
            file,
            progress,
            resume=resume,
            on_epoch=stop,
        )
    return net.state_dict()


def test_a_resumed_run_ends_where_an_unbroken_one_does(batch, tmp_path):
    whole = fitted(batch, tmp_path / "a.pt", resume=False)
    with pytest.raises(KeyboardInterrupt):
        fitted(batch, tmp_path / "b.pt", resume=False, stop_after=2)
    resumed = fitted(batch, tmp_path / "b.pt", resume=True)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_fault_tolerant_training_resumes_and_depends_on_its_faults(batch, tmp_path):
    images, labels = batch

    def trained(file, rate, stop_after=99, resume=False):
        torch.manual_seed(0)
        net = QuantizedNetwork(tiny(), {"image": 1.0, "a": 2.0, "p": 1.0, "d": 4.0}, 8, 8)
        faults = fault_model("mibb", rate)

        def stop(epoch, loss):
            if epoch == stop_after:
                raise KeyboardInterrupt

        with Progress(disable=True) as progress:
            fit(net, ImageSet("x", images, labels),
                plan(faults=f"mibb {rate}", fault_share=0.5), file, progress,
                resume=resume, faults=faults, on_epoch=stop)  # fmt: skip
        return net.layers["a"].conv.weight

    whole = trained(tmp_path / "a.pt", 0.01)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "b.pt", 0.01, stop_after=2)
    with pytest.raises(HoldfastError, match=r"with faults mibb 0\.01, not mibb 0\.0"):
        trained(tmp_path / "b.pt", 0.0, resume=True)
    assert torch.equal(whole, trained(tmp_path / "b.pt", 0.01, resume=True))
    assert not torch.equal(whole, trained(tmp_path / "c.pt", 0.0))


def test_the_share_of_faults_in_the_loss(batch, tmp_path):
    """With a share of 0, faults teach nothing; with 1, the clean pass does not."""

    def trained(model, share):
        torch.manual_seed(0)
        net = QuantizedNetwork(tiny(), {"image": 1.0, "a": 2.0, "p": 1.0, "d": 4.0}, 8, 8)
        given = plan(epochs=1, fault_share=share)
        with Progress(disable=True) as progress:
            fit(
                net,
                ImageSet("x", *batch),
                given,
                tmp_path / f"{share}.pt",
                progress,
                resume=False,
                faults=model,
            )
        return [parameter.detach() for parameter in net.parameters()]

    def same(one, other):
        return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))

    clean = trained(None, 0.0)
    assert same(clean, trained(fault_model("mibb", 0.3), 0.0))
    assert not same(clean, trained(fault_model("mibb", 0.3), 1.0))
    # Without faults both passes are the same, but for the order of float operations.
    for one, other in zip(clean, trained(fault_model("mibb", 0.0), 1.0), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_seeds_differ(batch, tmp_path):
    a = fitted(batch, tmp_path / "a.pt", resume=False)
    b = fitted(batch, tmp_path / "a.pt", resume=False, seed=6)
    assert not torch.equal(a["layers.a.conv.weight"], b["layers.a.conv.weight"])


def test_divergence_stops_and_keeps_the_last_checkpoint(batch, tmp_path):
    with pytest.raises(
        HoldfastError, match=r"loss of tiny is not finite any more in epoch ., batch "
    ):
        fitted(batch, tmp_path / "a.pt", resume=False, learning_rate=1e30)
    for state in tmp_path.glob("*.pt"):
        saved = torch.load(state, weights_only=True)["network"]
        assert saved["layers.a.conv.weight"].isfinite().all()


def quantized_fitted(batch, file, rate, epochs=1):
    torch.manual_seed(0)
    net = QuantizedNetwork(tiny(), {"image": 1.0, "a": 2.0, "p": 1.0, "d": 4.0}, 8, 8)
    with Progress(disable=True) as progress:
        fit(
            net,
            ImageSet("x", *batch),
            plan(epochs=epochs, learning_rate=rate),
            file,
            progress,
            resume=False,
        )
    return net.state_dict()


@pytest.mark.parametrize(("kind", "rate"), [("float", 1e24), ("float", 1e30), ("quantized", 1e30)])
def test_divergence_in_the_last_step_is_not_saved(batch, tmp_path, kind, rate):
    """One batch: its loss is that of the first weights; only what it leaves has diverged."""
    one = tuple(part[:16] for part in batch)
    with pytest.raises(
        HoldfastError,
        match=r"network of tiny is not finite any more in epoch 1, batch 1; this run has written "
        r"no checkpoint: try a learning rate below 1e\+..\.",
    ):
        if kind == "float":
            fitted(one, tmp_path / "a.pt", resume=False, epochs=1, learning_rate=rate)
        else:
            quantized_fitted(one, tmp_path / "a.pt", rate)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["float", "quantized"])
def test_looking_for_divergence_changes_nothing(batch, tmp_path, monkeypatch, kind):
    def trained():
        if kind == "float":
            return fitted(batch, tmp_path / "a.pt", resume=False)
        return quantized_fitted(batch, tmp_path / "a.pt", 0.05, epochs=2)

    looked = trained()
    monkeypatch.setattr(training, "_bounded", lambda *_: True)
    blind = trained()
    assert all(torch.equal(looked[name], blind[name]) for name in looked)


def test_a_checkpoint_cut_short_is_refused(batch, tmp_path):
    """Shapes that PyTorch would broadcast."""
    fitted(batch, tmp_path / "a.pt", resume=False, epochs=1)
    state = read_checkpoint(tmp_path / "a.pt")
    state["network"] = {name: v[:1] if v.ndim else v for name, v in state["network"].items()}
    write_checkpoint(tmp_path / "a.pt", state)
    with pytest.raises(HoldfastError, match=r"a\.pt does not fit .*; delete it"):
        fitted(batch, tmp_path / "a.pt", resume=True, epochs=1)


def test_a_checkpoint_that_cannot_be_written_is_named(batch, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HoldfastError, match=r"cannot write .*a\.pt: (File exists|Not a directory)"):
        fitted(batch, tmp_path / "file" / "a.pt", resume=False)


def test_a_checkpoint_of_another_network_is_refused(batch, tmp_path):
    fitted(batch, tmp_path / "a.pt", resume=False, epochs=1)
    net = Network("tiny", (3, 8, 8))
    net.dense("d", net.pool("avgpool", "p", net.conv("a", "image", 5, 3), 8, 8), 10)
    with (
        Progress(disable=True) as progress,
        pytest.raises(HoldfastError, match=r"a\.pt does not fit tiny; delete it"),
    ):
        fit(
            FloatNetwork(net),
            ImageSet("x", *batch),
            plan(epochs=1),
            tmp_path / "a.pt",
            progress,
            resume=True,
        )


def test_an_epoch_of_too_few_images(batch, tmp_path):
    with pytest.raises(HoldfastError, match="needs at least 16 images, not 15"):
        fitted(batch, tmp_path / "a.pt", resume=False, epoch_images=15)


def test_digests_tell_sets_and_networks_apart(batch):
    images, labels = batch
    first = image_digest(ImageSet("x", images, labels))
    assert first == image_digest(ImageSet("x", images.copy(), labels.copy()))
    assert first != image_digest(ImageSet("x", images, labels[::-1].copy()))
    assert first != image_digest(ImageSet("x", images[::-1], labels))
    net = FloatNetwork(tiny())
    before = weight_digest(net)
    assert before == weight_digest(net.to(memory_format=torch.channels_last))
    net.layers["a"].bn.running_mean[1] += 1
    assert before != weight_digest(net)


def test_a_checkpoint_of_another_plan_is_refused(batch, tmp_path):
    fitted(batch, tmp_path / "a.pt", resume=False, epochs=1)
    with pytest.raises(HoldfastError, match="was trained with epochs 1, not 4"):
        fitted(batch, tmp_path / "a.pt", resume=True)


def test_a_foreign_checkpoint_is_refused(batch, tmp_path):
    (tmp_path / "a.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(HoldfastError, match="no checkpoint of Holdfast"):
        fitted(batch, tmp_path / "a.pt", resume=True)


def test_learning_rate_rises_and_falls_to_zero():
    rates = [learning_rate(plan(learning_rate=1.0), step, 100) for step in range(101)]
    assert rates[0] == pytest.approx(0.05)
    assert max(rates) == rates[15] == 1
    assert rates[100] == pytest.approx(0)


def test_augmentation_moves_and_flips():
    image = torch.zeros((200, 1, 32, 32), dtype=torch.uint8)
    image[:, 0, 10, 20] = 255
    moved = augment(image, torch.Generator().manual_seed(1))
    found = {tuple(place) for place in moved.nonzero()[:, 2:].tolist()}
    rows, columns = {row for row, _ in found}, {column for _, column in found}
    assert rows == set(range(6, 15))
    assert columns == set(range(16, 25)) | set(range(7, 16))


def test_accuracy_counts():
    data = ImageSet("official", np.zeros((4, 3, 1, 1), np.uint8), np.array([1, 2, 3, 3]))
    assert accuracy(torch.tensor([1, 2, 0, 3]), data).percent == 75


@pytest.fixture
def cifar_like(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (160, 3, 32, 32)).astype(np.uint8)
    y = (x.mean((1, 2, 3)) > 127).astype(np.uint8)
    np.savez(tmp_path / "c.npz", train_x=x[:128], train_y=y[:128], test_x=x[128:], test_y=y[128:])
    return tmp_path / "c.npz"


def test_learnt_bounds_reach_the_file(cifar_like, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ["--network", "lenet5", "--width", "0.5", "--epochs", "1", "--qat-epochs", "1",
               "--bounds", "learnt", "--data", str(cifar_like), "--calibration", "16"]  # fmt: skip
    assert CliRunner().invoke(command.app, options, catch_exceptions=False).exit_code == 0
    folder = tmp_path / "build" / "train"
    graph = Graph.load(folder / "lenet5_w0.5_w8a8_learnt.safetensors")
    state = torch.load(folder / "lenet5_w0.5_w8a8_learnt_quantized.pt", weights_only=True)[
        "network"
    ]
    for node in graph.weighted():
        low, high = state[f"bounds.{node.name}"].double().numpy() / node.scale
        np.testing.assert_array_equal(node.guard_lo, np.rint(low) + node.zero_point)
        np.testing.assert_array_equal(node.guard_hi, np.rint(high) + node.zero_point)
    assert graph.provenance["bounds"] == "learnt"
    assert "--bounds learnt" in graph.provenance["command"]


def test_shifts_and_one_scale_a_layer_reach_the_file(cifar_like, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ["--network", "lenet5", "--width", "0.5", "--epochs", "1", "--qat-epochs", "1",
               "--scales", "power-of-two", "--granularity", "tensor",
               "--data", str(cifar_like), "--calibration", "16"]  # fmt: skip
    assert CliRunner().invoke(command.app, options, catch_exceptions=False).exit_code == 0
    folder = tmp_path / "build" / "train"
    graph = Graph.load(folder / "lenet5_w0.5_w8a8_shifts_tensor.safetensors")
    assert graph.multiplier_bits == 0
    assert all(len(set(node.shift.tolist())) == 1 for node in graph.weighted())
    assert "--scales power-of-two --granularity tensor " in graph.provenance["command"]


def test_the_command_writes_a_self_describing_file(cifar_like, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ["--network", "resnet8", "--width", "0.5", "--bits", "4", "--epochs", "1",
               "--qat-epochs", "1",
               "--data", str(cifar_like), "--calibration", "16", "--seed", "3"]  # fmt: skip
    outcome = CliRunner().invoke(command.app, options, catch_exceptions=False)
    assert outcome.exit_code == 0
    graph = Graph.load(tmp_path / "build" / "train" / "resnet8_w0.5_w4a4.safetensors")
    # image and logits keep their channels: stem and dense layer have half the MACs
    assert (graph.act_bits, graph.weight_bits) == (4, 4)
    assert graph.macs == 442_368 // 2 + 640 // 2 + (12_501_632 - 442_368 - 640) // 4
    story = graph.provenance
    assert story["command"].startswith("nox -s train -- --network resnet8 --width 0.5 --bits 4 ")
    assert str(tmp_path) not in str(story)
    assert story["accuracy"]["integer"][0]["images"] == 32
    assert {"sources", "python", "torch", "brevitas", "numpy"} <= set(story["versions"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--network", "nope"], "unknown network 'nope'; known are resnet8, resnet20"),
        (["--width", "0"], "--width must be 0.015625 to 4, not 0.0"),
        (["--bounds", "x"], "bounds must be calibrated or learnt, not 'x'"),
        (["--scales", "x"], "scales must be multiplier or power-of-two, not 'x'"),
        (["--granularity", "x"], "granularity must be channel or tensor, not 'x'"),
        (["--bounds", "learnt", "--qat-epochs", "0"], "bounds are learnt in the fake-quantized"),
        (["--bits", "9"], "--bits must be 2 to 8, not 9"),
        (["--act-bits", "1"], "--act-bits must be 2 to 8, not 1"),
        (["--qat-epochs", "-1"], "--qat-epochs must be 0 to 10,000, not -1"),
        (["--epochs", "0"], "--epochs must be 1 to 10,000, not 0"),
        (["--weight-bits", "0"], "--weight-bits must be 2 to 8, not 0"),
        (["--seed", "-1"], "--seed must be 0 to 2,147,483,646, not -1"),
        (["--seed", "99999999999999999999"], "--seed must be 0 to 2,147,483,646, not 9999999999"),
        (["--learning-rate", "0"], "--learning-rate must be 1e-09 to 1e+30, not 0.0"),
        (["--learning-rate", "inf"], "--learning-rate must be 1e-09 to 1e+30, not inf"),
        (["--qat-learning-rate", "nan"], "--qat-learning-rate must be 1e-09 to 1e+30, not nan"),
        (["--weight-decay", "-1"], "--weight-decay must be 0 to 100, not -1.0"),
        (["--weight-decay", "nan"], "--weight-decay must be 0 to 100, not nan"),
        (["--faults", "calibrated:"], "calibrated: needs the name of a file behind it"),
        (["--calibration", "0"], "--calibration must be 1 to 50,000, not 0"),
        (["--threads", "0"], "--threads must be 1 to 1,024, not 0"),
        (["--data", "nowhere"], "no CIFAR-10 data at nowhere: there is no such file or folder"),
    ],
)
def test_mistakes_end_in_one_sentence(options, message, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["train", *options])
    assert run(command.app) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1


FAST = ["--network", "lenet5_w0.5", "--epochs", "1", "--qat-epochs", "1", "--calibration", "16",
        "--learning-rate", "0.01"]  # fmt: skip


def invoked(*options):
    return CliRunner().invoke(command.app, [*FAST, *options], catch_exceptions=True)


def test_what_was_trained_otherwise_is_not_resumed(cifar_like, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arrays = dict(np.load(cifar_like))
    arrays["train_y"] = 1 - arrays["train_y"]
    np.savez(tmp_path / "other.npz", **arrays)
    same = "--data", str(cifar_like)
    assert invoked(*same).exit_code == 0
    kept = tmp_path / "build/train/lenet5_w0.5_w8a8.safetensors"
    wanted = Graph.load(kept)
    for options, told in (
        ([*same, "--clip", "mse"], "lenet5_w0.5_w8a8_quantized.pt was trained with clip perc"),
        ([*same, "--restart-epochs", "1"], "w8a8_quantized.pt was trained with start_weights "),
        (["--data", "other.npz"], "lenet5_w0.5_float.pt was trained with data official "),
    ):
        outcome = invoked(*options, "--resume")
        assert isinstance(outcome.exception, HoldfastError)
        assert told in str(outcome.exception)
        assert "resume with the same options, or delete it" in str(outcome.exception)
    assert invoked(*same, "--resume").exit_code == 0
    resumed = Graph.load(kept)
    for before, after in zip(wanted.weighted(), resumed.weighted(), strict=True):
        np.testing.assert_array_equal(before.weight, after.weight)


def test_other_trainings_have_other_files(cifar_like, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for options in ([], ["--bounds", "learnt"], ["--faults", "mibb", "--bounds", "learnt"]):
        outcome = invoked("--data", str(cifar_like), "--resume", *options)
        assert outcome.exit_code == 0, outcome.exception
    assert {path.name for path in (tmp_path / "build/train").glob("*.safetensors")} == {
        "lenet5_w0.5_w8a8.safetensors",
        "lenet5_w0.5_w8a8_learnt.safetensors",
        "lenet5_w0.5_w8a8_mibb_learnt.safetensors",
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--output", "folder"], "cannot write folder: it is a folder"),
        (["--output", "file/x.safetensors"], "cannot make folder file"),
        (["--learning-rate", "1e30"], "lenet5_w0.5 float is not finite any more in epoch 1"),
    ],
)
def test_refused_before_it_costs_time(options, message, cifar_like, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("sys.argv", ["train", *FAST, "--data", str(cifar_like), *options])
    assert run(command.app) == 2
    printed = capsys.readouterr()
    assert message in printed.err and printed.err.count("\n") == 1
    assert not list(tmp_path.rglob("*.pt"))


def test_help_names_every_network(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["train", "--help"])
    assert run(command.app) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in network_names())


def test_a_fault_model_in_a_file_is_what_the_file_holds(cifar_like, tmp_path, monkeypatch):
    """A file written anew is another model; the same content under another name is not."""
    monkeypatch.chdir(tmp_path)

    def unread(self, path, rate, seed=0):
        RatedModel.__init__(self, rate, seed)

    monkeypatch.setattr(CalibratedFaults, "__init__", unread)
    for name in ("bind", "start", "sums", "stored"):
        monkeypatch.setattr(CalibratedFaults, name, getattr(RatedModel, name))
    file, copy = tmp_path / "model.npz", tmp_path / "copy.npz"
    file.write_bytes(b"one")
    copy.write_bytes(b"one")

    def trained(path, *options):
        return invoked("--data", str(cifar_like), "--faults", f"calibrated:{path}", *options)

    assert trained(file).exit_code == 0
    assert trained(copy, "--resume").exit_code == 0
    file.write_bytes(b"other")
    outcome = trained(file, "--resume")
    assert "was trained with faults calibrated:" in str(outcome.exception)
