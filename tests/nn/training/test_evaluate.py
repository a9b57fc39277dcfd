"""Accuracy of networks."""

import numpy as np
import torch

from holdfast.nn.data.images import ImageSet
from holdfast.nn.training.evaluate import accuracy


def test_accuracy_counts():
    data = ImageSet("official", np.zeros((4, 3, 1, 1), np.uint8), np.array([1, 2, 3, 3]))
    assert accuracy(torch.tensor([1, 2, 0, 3]), data).percent == 75
