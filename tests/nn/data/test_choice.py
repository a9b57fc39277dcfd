"""Images by chance: of the test set at hand, else generated."""

import numpy as np
import pytest

from holdfast.base.errors import HoldfastError
from holdfast.nn.data import choice
from holdfast.nn.data.choice import chosen_images
from holdfast.nn.data.cifar import generated_images
from holdfast.nn.data.images import ImageSet


@pytest.fixture
def five(monkeypatch, tmp_path):
    """A test set of five images, each of one colour, its label's."""
    labels = np.arange(5, dtype=np.uint8)
    pixels = np.ones((5, 3, 32, 32), np.uint8) * labels[:, None, None, None]
    monkeypatch.setattr(choice, "find_data", lambda data: tmp_path)
    monkeypatch.setattr(choice, "test_images", lambda data: ImageSet("five", pixels, labels, 7))


def test_drawn_without_repetition_and_by_the_seed(five):
    found = chosen_images(None, 4, 3)
    assert (found.name, found.classes, len(set(found.labels.tolist()))) == ("five", 7, 4)
    assert (found.images[:, 0, 0, 0] == found.labels).all()
    assert (chosen_images(None, 4, 3).labels == found.labels).all()
    draws = {tuple(chosen_images(None, 4, seed).labels.tolist()) for seed in range(10)}
    assert len(draws) > 5


@pytest.mark.parametrize(
    ("count", "message"),
    [(6, "images must be at most 5, not 6."), (0, "images must be 1 to 10,000, not 0."),
     (10_001, "images must be 1 to 10,000, not 10001.")],
)  # fmt: skip
def test_more_than_there_are(five, count, message):
    with pytest.raises(HoldfastError) as caught:
        chosen_images(None, count, 1)
    assert str(caught.value) == message


def test_generated_without_data(monkeypatch):
    monkeypatch.setattr(choice, "find_data", lambda data: None)
    found = chosen_images(None, 2, 9)
    assert found.labels is None
    assert np.array_equal(found.images, generated_images(2, 9).images)
