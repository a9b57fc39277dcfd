import hashlib
import http.server
import io
import os
import pickle
import tarfile
import threading

import numpy as np
import pytest

from base.errors import HoldfastError
from nn import data
from nn.data import download, find_data, generated_images, load_cifar10
from nn.data import test_images as quick_images


@pytest.fixture(autouse=True)
def no_data_of_this_machine(monkeypatch, tmp_path):
    monkeypatch.delenv("HOLDFAST_DATA", raising=False)
    monkeypatch.setattr(data, "_SHARED", tmp_path / "absent")


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (60, 3, 32, 32)).astype(np.uint8), rng.integers(0, 10, 60)


def write_batches(folder, images):
    """Five training batches and a test batch of ten images each, pickled as the official ones."""
    x, y = images
    folder.mkdir(parents=True)
    for index, name in enumerate([f"data_batch_{n}" for n in range(1, 6)] + ["test_batch"]):
        rows = slice(10 * index, 10 * index + 10)
        batch = {b"data": x[rows].reshape(10, -1), b"labels": y[rows].tolist()}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))


def check(cifar, images):
    x, y = images
    np.testing.assert_array_equal(cifar.train.images, x[:50])
    np.testing.assert_array_equal(cifar.train.labels, y[:50])
    (test,) = cifar.tests
    assert test.name == "official"
    np.testing.assert_array_equal(test.images, x[50:])
    np.testing.assert_array_equal(test.labels, y[50:])


def test_official_folder_and_archive(tmp_path, images):
    folder = tmp_path / "cifar-10-batches-py"
    write_batches(folder, images)
    check(load_cifar10(folder), images)
    check(load_cifar10(tmp_path), images)
    archive = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, folder.name)
    check(load_cifar10(archive), images)


def test_npz(tmp_path, images, monkeypatch):
    x, y = images
    file = tmp_path / "c.npz"
    np.savez(file, train_x=x[:50], train_y=y[:50], test_x=x[50:], test_y=y[50:])
    check(load_cifar10(file), images)
    monkeypatch.setenv("HOLDFAST_DATA", str(tmp_path))
    check(load_cifar10(), images)
    assert quick_images().name == "official"


def test_lossless_training_images_replace_their_copies(tmp_path, images):
    x, y = images
    exact = 255 - x
    arrays = {"train_x": x[:50], "train_y": y[:50], "test_x": x[50:], "test_y": y[50:],
              "exact_train_index": np.array([3, 7]), "exact_train_x": exact[[3, 7]],
              "exact_test_x": exact[50:54], "exact_test_y": y[50:54]}  # fmt: skip
    np.savez(tmp_path / "c.npz", **arrays)
    cifar = load_cifar10(tmp_path / "c.npz")
    assert [test.name for test in cifar.tests] == ["JPEG-q75", "exact-932"]
    np.testing.assert_array_equal(cifar.train.images[[2, 3, 7]], [x[2], exact[3], exact[7]])
    np.testing.assert_array_equal(cifar.tests[0].images, x[50:])


def test_a_pickle_that_runs_code_is_refused(tmp_path, images):
    write_batches(tmp_path / "c", images)

    class Attack:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    (tmp_path / "c" / "data_batch_3").write_bytes(pickle.dumps({b"data": Attack()}))
    with pytest.raises(
        HoldfastError, match=r"data_batch_3 in .* is no CIFAR-10 batch: it asks for"
    ):
        load_cifar10(tmp_path / "c")
    assert not (tmp_path / "owned").exists()


def with_a_bad_file(folder, name):
    """A folder whose data were damaged within, past what tells their kind."""
    folder.mkdir()
    with tarfile.open(folder / name, "w:gz") as tar:
        entry = tarfile.TarInfo("cifar-10-batches-py/test_batch")
        entry.size = 1 << 16
        tar.addfile(entry, io.BytesIO(np.random.default_rng(0).bytes(entry.size)))
    content = bytearray((folder / name).read_bytes())
    content[30000:40000] = bytes(10000)
    (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda f: None, "no CIFAR-10 data at .*: there is no such file or folder"),
        (lambda f: f.mkdir(), "it holds neither the official batches"),
        (lambda f: f.write_bytes(b"PK\x03\x04"), "cannot be read as .npz"),
        (lambda f: np.savez(f.open("wb"), x=np.zeros(3)), "it lacks train_x, train_y, test_x"),
        (lambda f: np.save(f.open("wb"), np.zeros(3)), "cannot be read as .npz: File is not a zip"),
        (lambda f: with_a_bad_file(f, "c.npz"), r"c\.npz cannot be read as .npz"),
        (lambda f: with_a_bad_file(f, "cifar-10-python.tar.gz"), r"tar\.gz cannot be read"),
        (
            lambda f: np.savez(
                f.open("wb"),
                train_x=np.zeros((2, 32, 32, 3), np.uint8),
                train_y=np.zeros(2),
                test_x=np.zeros((2, 3, 32, 32), np.uint8),
                test_y=np.zeros(2),
            ),
            r"'train_x' in .* must be uint8 \[N, 3, 32, 32\], not 'uint8' \[2, 32, 32, 3\]",
        ),
    ],
)
def test_bad_places(tmp_path, prepare, message):
    prepare(tmp_path / "place")
    with pytest.raises(HoldfastError, match=message) as caught:
        load_cifar10(tmp_path / "place")
    assert "\n" not in str(caught.value)


def test_missing_batch(tmp_path, images):
    write_batches(tmp_path / "c", images)
    (tmp_path / "c" / "data_batch_2").unlink()
    with pytest.raises(HoldfastError, match="lacks data_batch_2"):
        load_cifar10(tmp_path / "c")


def test_no_data_at_all():
    assert find_data() is None
    with pytest.raises(HoldfastError, match="name a folder with --data or"):
        load_cifar10()


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A local web site with an archive; its content's true MD5 is expected."""
    root = tmp_path / "site"
    root.mkdir()
    content = b"archive"
    (root / "cifar-10-python.tar.gz").write_bytes(content)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(root))

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/cifar-10-python.tar.gz"
    monkeypatch.setattr(data, "ARCHIVE_URL", url)
    monkeypatch.setattr(data, "ARCHIVE_MD5", hashlib.md5(content).hexdigest())
    yield root
    server.shutdown()
    server.server_close()


def test_download_checks_and_keeps(site, tmp_path):
    path = download(tmp_path / "data")
    assert path.read_bytes() == b"archive"
    (site / path.name).unlink()
    assert download(tmp_path / "data") == path


def test_download_with_a_wrong_checksum(site, tmp_path):
    (site / "cifar-10-python.tar.gz").write_bytes(b"something else")
    with pytest.raises(HoldfastError, match=r"could not fetch .*hash") as caught:
        download(tmp_path / "data")
    assert "\n" not in str(caught.value)
    assert [p for p in (tmp_path / "data").rglob("*") if p.is_file()] == []


def test_generated_images():
    first, again = generated_images(4, 7), generated_images(4, 7)
    assert (first.name, first.labels, first.images.dtype) == ("generated", None, np.uint8)
    np.testing.assert_array_equal(first.images, again.images)
    assert (generated_images(4, 8).images != first.images).mean() > 0.9
    # neither flat nor noise: neighbours are alike, images use most of the range
    pixels = generated_images(50, 1).images.astype(float)
    assert np.abs(np.diff(pixels, axis=3)).mean() < 0.55 * pixels.std()
    assert pixels.std() > 30
