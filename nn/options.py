"""Options that several commands share: one type each, with its bound, text and place in the help.

def campaign(network: options.Network = "resnet8", seed: options.Seed = 1) -> int: ...
"""

from pathlib import Path
from typing import Annotated

from holdfast.base.options import LAST_SEED, number, path, text, whole
from holdfast.gen.protection.presets import PRESETS
from holdfast.nn.data.choice import MOST_IMAGES
from holdfast.nn.graph.guard_modes import GUARDS

SETUP, FAULTS, TRAINING = "Network, accelerator and images", "Faults", "Training"
RUN, RESULTS = "How it runs", "Results"
"""Panels of a command's help."""

_MODES = f"Range guard: {', '.join(GUARDS)}"

Network = Annotated[
    str, text("Shipped network, or path of a .safetensors model.", paths=True, panel=SETUP)
]
Config = Annotated[Path | None, path("Accelerator configuration, TOML.", panel=SETUP)]
Rows = Annotated[int | None, whole(1, 16, "Array rows (default 8).", panel=SETUP)]
Protection = Annotated[
    str | None, text(f"Preset of protections: {', '.join(PRESETS)}.", panel=SETUP)
]
Cols = Annotated[int | None, whole(1, 16, "Array columns (default 8).", panel=SETUP)]
Guard = Annotated[str, text(f"{_MODES}.", panel=SETUP)]
DesignsGuard = Annotated[
    str | None, text(f"{_MODES} (default bound, or what the accelerator has).", panel=SETUP)
]
"""Without it, the strongest mode that the accelerator has."""

Data = Annotated[
    Path | None, path("CIFAR-10 data; without any, images are generated.", panel=SETUP)
]
Images = Annotated[int, whole(1, MOST_IMAGES, "Images to run.", panel=SETUP)]
Seed = Annotated[int, whole(0, LAST_SEED, "Seed of images and faults.", panel=SETUP)]

TrainingData = Annotated[Path | None, path("CIFAR-10: folder, .npz or archive.", panel=RUN)]
TestImages = Annotated[int | None, whole(1, MOST_IMAGES, "Test images of each set.", panel=RUN)]
LearningRate = Annotated[float, number(1e-9, 1e30, "Peak, in floating point.", panel=TRAINING)]
WeightDecay = Annotated[float, number(0, 100, "Of all weights, not of scales.", panel=TRAINING)]
Threads = Annotated[int | None, whole(1, 1024, "CPU threads.", panel=RUN)]
