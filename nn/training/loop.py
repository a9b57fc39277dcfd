"""The training loop: batches, learning rate, checkpoints."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.base.errors import HoldfastError
from holdfast.base.progress import Progress
from holdfast.nn.data.images import ImageSet
from holdfast.nn.errors.base import ErrorModel
from holdfast.nn.networks.float import FloatNetwork
from holdfast.nn.quantization.quantized import QuantizedNetwork

from .checkpoint import read_checkpoint, write_checkpoint


@dataclass(frozen=True)
class Plan:
    """Says how a network is trained.

    Parameters
    ----------
    name : str
        What is trained, for messages and to recognize a checkpoint.
    learning_rate : float
        Peak of the schedule.
    warm_up : float
        Share of the steps in which the learning rate rises.
    frozen_epochs : int
        Last epochs, in which batch norm keeps its statistics.
    half_precision : bool
        Convolutions in bfloat16.
    faults : str
        What the fault model is, to recognize a checkpoint.
    fault_share : float
        a_l of the loss (1 - a_l) CE_clean + a_l CE_fault (FTT-NAS).
    epoch_images : int, optional
        Images of an epoch, drawn anew for each; by default all.
    data, start_weights, clip : str
        What it is trained on and what it starts from, to recognize a checkpoint.
    """

    name: str
    epochs: int
    seed: int
    learning_rate: float
    weight_decay: float = 5e-4
    warm_up: float = 0.15
    frozen_epochs: int = 0
    half_precision: bool = True
    batch: int = 128
    faults: str = "none"
    fault_share: float = 0.0
    epoch_images: int | None = None
    data: str = ""
    start_weights: str = ""
    clip: str = ""


def image_digest(images: ImageSet) -> str:
    """Returns the name of a set, and a digest of its images and labels."""
    assert images.labels is not None
    found = hashlib.sha256(images.images.tobytes())
    found.update(images.labels.tobytes())
    return f"{images.name} {found.hexdigest()[:16]}"


def weight_digest(net: nn.Module) -> str:
    """Returns the digest of a network's parameters and statistics."""
    found = hashlib.sha256()
    for value in net.state_dict().values():
        found.update(value.numpy().tobytes())
    return found.hexdigest()[:16]


def learning_rate(plan: Plan, step: int, steps: int) -> float:
    """Returns a linear rise from a twentieth of the peak, then half a cosine down to zero."""
    rise = plan.warm_up * steps
    if step < rise:
        return plan.learning_rate * (0.05 + 0.95 * step / rise)
    return plan.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - rise) / (steps - rise)))


def augment(images: Tensor, generator: torch.Generator, border: int = 4) -> Tensor:
    """Flips half of the images, uint8 [N, C, H, W], and moves each by up to ``border`` pixels.

    What moves in is black, as in the padding of the convolutions.
    """
    count, _, height, width = images.shape
    padded = F.pad(images, (border,) * 4).permute(0, 2, 3, 1)
    top, left = torch.randint(0, 2 * border + 1, (2, count, 1), generator=generator)
    rows, columns = top + torch.arange(height), left + torch.arange(width)
    flip = torch.rand((count, 1), generator=generator) < 0.5
    columns = torch.where(flip, columns.flip(1), columns)
    which = torch.arange(count)[:, None, None]
    return padded[which, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def fit(
    net: FloatNetwork | QuantizedNetwork,
    data: ImageSet,
    plan: Plan,
    checkpoint: Path,
    progress: Progress,
    *,
    resume: bool,
    faults: ErrorModel | None = None,
    on_epoch: Callable[[int, float], None] | None = None,
) -> None:
    """Trains a network in place, writing a checkpoint after every epoch.

    Every epoch draws its random numbers from the seed and its own number alone, so that a resumed
    run takes the same steps as one that was never stopped.

    Parameters
    ----------
    faults : ErrorModel, optional
        Fault-tolerant training: every step also passes the batch through the network under these
        faults, which is then a :class:`nn.quantization.quantized.QuantizedNetwork`.
    on_epoch : function of epoch and mean loss, optional

    Raises
    ------
    HoldfastError
        The loss or the network is not finite any more, the checkpoint belongs to another plan, or
        it cannot be written.
    """
    assert data.labels is not None
    x, y = torch.from_numpy(data.images), torch.from_numpy(data.labels).long()
    count = min(len(x), plan.epoch_images or len(x))
    batches = count // plan.batch
    if batches == 0:
        raise HoldfastError(
            f"an epoch of training needs at least {plan.batch} images, not {count}."
        )
    optimizer = _optimizer(net, plan)
    first = _load(checkpoint, net, optimizer, plan) if resume and checkpoint.exists() else 0
    steps = plan.epochs * batches
    bar = progress.add_task(
        plan.name, total=steps * plan.batch, completed=first * batches * plan.batch
    )
    for epoch in range(first, plan.epochs):
        seed = 1000 * plan.seed + epoch
        generator = torch.Generator().manual_seed(seed)
        if faults is not None:
            faults.reseed(seed)
        order = torch.randperm(len(x), generator=generator)
        net.train()
        if epoch >= plan.epochs - plan.frozen_epochs:
            _freeze(net)
        total = 0.0
        for batch in range(batches):
            pick = order[batch * plan.batch : (batch + 1) * plan.batch]
            pixels = augment(x[pick], generator).float().div_(255)
            pixels = pixels.contiguous(memory_format=torch.channels_last)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(plan, epoch * batches + batch, steps)
            value = _step(net, pixels, y[pick], plan, optimizer, faults)
            if not math.isfinite(value):
                raise HoldfastError(_diverged("loss", plan, epoch, batch, checkpoint))
            total += value
            progress.advance(bar, plan.batch)
        if not _bounded(net, pixels):
            raise HoldfastError(_diverged("network", plan, epoch, batches - 1, checkpoint))
        _save(checkpoint, net, optimizer, plan, epoch + 1)
        if on_epoch is not None:
            on_epoch(epoch + 1, total / batches)


def _optimizer(net: FloatNetwork | QuantizedNetwork, plan: Plan) -> torch.optim.Optimizer:
    """The optimizer of all parameters; scales do not decay."""
    scales = net.scale_parameters() if isinstance(net, QuantizedNetwork) else []
    undecayed = {id(parameter) for parameter in scales}
    return torch.optim.SGD(
        [
            {"params": [p for p in net.parameters() if id(p) not in undecayed]},
            {"params": scales, "weight_decay": 0.0},
        ],
        lr=plan.learning_rate,
        momentum=0.9,
        nesterov=True,
        weight_decay=plan.weight_decay,
    )


def _step(
    net: nn.Module,
    pixels: Tensor,
    labels: Tensor,
    plan: Plan,
    optimizer: torch.optim.Optimizer,
    faults: ErrorModel | None,
) -> float:
    """Takes one step, unless the loss is not finite; returns the loss."""
    with torch.autocast("cpu", torch.bfloat16, enabled=plan.half_precision):
        loss = F.cross_entropy(net(pixels).float(), labels)
        if faults is not None:
            faulty = F.cross_entropy(net(pixels, faults).float(), labels)
            loss = (1 - plan.fault_share) * loss + plan.fault_share * faulty
    value = loss.item()
    if math.isfinite(value):
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return value


def _freeze(net: nn.Module) -> None:
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


@torch.no_grad()
def _bounded(net: nn.Module, pixels: Tensor) -> bool:
    """Tells whether a network is still of use after a step: the loss was that of the weights before
    it.

    Quantized activations hide weights of any size; but the square of none may overflow.
    """
    state = (value.float().square().sum() for value in net.state_dict().values())
    return all(value.isfinite() for value in state) and bool(net.eval()(pixels).isfinite().all())


def _diverged(what: str, plan: Plan, epoch: int, batch: int, checkpoint: Path) -> str:
    kept = f"{checkpoint} holds epoch {epoch}" if epoch else "this run has written no checkpoint"
    return (
        f"the {what} of {plan.name} is not finite any more in epoch {epoch + 1}, batch "
        f"{batch + 1}; {kept}: try a learning rate below {plan.learning_rate:g}."
    )


def _save(
    path: Path, net: nn.Module, optimizer: torch.optim.Optimizer, plan: Plan, epoch: int
) -> None:
    write_checkpoint(
        path,
        {
            "plan": asdict(plan),
            "epoch": epoch,
            "network": net.state_dict(),
            "optimizer": optimizer.state_dict(),
        },
    )


def _load(path: Path, net: nn.Module, optimizer: torch.optim.Optimizer, plan: Plan) -> int:
    """Restores a checkpoint and returns how many epochs it has behind it."""
    state = read_checkpoint(path)
    try:
        made_by = dict(state["plan"])
    except (KeyError, TypeError, ValueError):
        raise HoldfastError(
            f"{path} is no checkpoint of a training; delete it to start anew."
        ) from None
    for name, value in asdict(plan).items():
        if made_by.get(name) != value:
            raise HoldfastError(
                f"{path} was trained with {name} {made_by.get(name)}, not {value}; "
                "resume with the same options, or delete it to start anew."
            )
    try:
        with torch.no_grad():
            # in place: Brevitas' own loading replaces scales, and the optimizer would train the old
            for name, value in net.state_dict().items():
                kept = state["network"][name]
                if kept.shape != value.shape:
                    raise ValueError(f"{name} is {tuple(kept.shape)}")
                value.copy_(kept)
        optimizer.load_state_dict(state["optimizer"])
        return int(state["epoch"])
    except (AttributeError, KeyError, ValueError, RuntimeError, TypeError) as error:
        raise HoldfastError(f"{path} does not fit {plan.name}; delete it to start anew.") from error
