"""The training loop: steps, checkpoints, divergence."""

import numpy as np
import pytest
import torch
from rich.progress import Progress

from holdfast.base.errors import HoldfastError
from holdfast.nn.data.images import ImageSet
from holdfast.nn.errors.registry import fault_model
from holdfast.nn.networks.float import FloatNetwork
from holdfast.nn.networks.spec import Network
from holdfast.nn.quantization.quantized import QuantizedNetwork
from holdfast.nn.training import loop as training
from holdfast.nn.training.checkpoint import read_checkpoint, write_checkpoint
from holdfast.nn.training.loop import Plan, augment, fit, image_digest, learning_rate, weight_digest


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
