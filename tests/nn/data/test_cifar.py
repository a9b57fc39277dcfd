import hashlib
import http.server
import io
import os
import pickle
import struct
import tarfile
import threading

import numpy as np
import pytest
from PIL import Image

from holdfast.base.errors import HoldfastError
from holdfast.nn.data import cifar as data
from holdfast.nn.data.batches import read_batch
from holdfast.nn.data.cifar import download, find_data, generated_images, load_cifar10
from holdfast.nn.data.cifar import test_images as quick_images


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

    (tmp_path / "c" / "data_batch_3").write_bytes(pickle.dumps({b"data": Attack(), b"labels": []}))
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


def changed(images, **arrays):
    """An .npz as bytes, some of its arrays others."""
    x, y = images
    stream = io.BytesIO()
    given = {"train_x": x[:50], "train_y": y[:50], "test_x": x[50:], "test_y": y[50:]} | arrays
    np.savez(stream, **{name: value for name, value in given.items() if value is not None})
    return stream.getvalue()


EXACT = {"exact_test_x": np.zeros((2, 3, 32, 32), np.uint8), "exact_test_y": np.arange(2),
         "exact_train_x": np.ones((2, 3, 32, 32), np.uint8)}  # fmt: skip


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"test_y": np.full(10, 3.0)}, r"'test_y' in .* must be integer \[N\], not 'float64' \[10"),
        ({"test_y": np.full(10, np.nan)}, "must be integer"),
        ({"test_y": np.array(["cat"] * 10)}, r"must be integer \[N\], not '<U3' \[10\]"),
        ({"test_y": np.array([{}] * 10)}, "must be integer"),
        ({"test_y": np.arange(10) - 1}, "label 0 of the test images .* from 0 to 255, not -1"),
        ({"train_y": np.arange(50) * 6}, "label 43 of the train images .* 0 to 255, not 258"),
        ({"test_y": np.arange(9)}, "the 10 test images of .* have 9 labels"),
        ({"test_x": np.zeros((0, 3, 32, 32), np.uint8), "test_y": np.arange(0)},
         "there are no test images of "),
        ({"train_x": np.zeros((50, 3, 32, 32))}, r"must be uint8 .*, not 'float64' \[50, 3, "),
        (EXACT | {"exact_train_index": [0, 50]}, "exact_train_index of .* from 0 to 49, not 50"),
        (EXACT | {"exact_train_index": [-1, 1]}, "from 0 to 49, not -1"),
        (EXACT | {"exact_train_index": [1, 1]}, "has an image twice"),
        (EXACT | {"exact_train_index": [1]}, r"must be integer \[2\], not 'int64' \[1\]"),
    ],
)  # fmt: skip
def test_values_are_checked(tmp_path, images, arrays, message):
    (tmp_path / "c.npz").write_bytes(changed(images, **arrays))
    with pytest.raises(HoldfastError, match=message) as caught:
        load_cifar10(tmp_path / "c.npz")
    assert str(caught.value).isprintable()


def test_classes_beyond_ten(tmp_path, images):
    (tmp_path / "c.npz").write_bytes(changed(images, test_y=np.arange(10) * 11))
    (test,) = load_cifar10(tmp_path / "c.npz").tests
    assert test.labels.tolist() == [11 * label for label in range(10)]


@pytest.mark.parametrize("codec", ["rot13", "zip", "utf-8"])
def test_another_codec_is_refused(tmp_path, images, codec):
    write_batches(tmp_path / "c", images)
    file = tmp_path / "c" / "data_batch_3"
    content = file.read_bytes().replace(
        b"X\6\0\0\0latin1", b"X" + bytes([len(codec), 0, 0, 0]) + codec.encode()
    )
    assert content != file.read_bytes()
    file.write_bytes(content)
    with pytest.raises(HoldfastError, match=f"asks for the codec '{codec}', not for latin1"):
        load_cifar10(tmp_path / "c")


@pytest.mark.parametrize("protocol", [1, 2, 3, 4])
@pytest.mark.parametrize("order", ["C", "F"])
def test_pickles_of_every_kind_are_read(images, protocol, order):
    """As this Python and NumPy write them, arrays of labels too."""
    x, y = images
    pixels = np.array(x.reshape(60, -1), order=order)
    batch = {b"data": pixels, b"labels": y.astype(">i2")}
    found, labels = read_batch(pickle.dumps(batch, protocol))
    np.testing.assert_array_equal(found, x)
    np.testing.assert_array_equal(labels, y)


def official_by_python_2(x, y):
    """The instructions that the official files begin and end with."""
    rows = x.reshape(len(x), -1)
    return (
        b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\n"
        b"q\x04K\x00\x85U\x01b\x87Rq\x05(K\x01" + b"M" + struct.pack("<H", len(x)) + b"M\x00\x0c"
        b"\x86cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01\x87Rq\x07(K\x03U\x01|NNNJ\xff\xff\xff\xff"
        b"J\xff\xff\xff\xffK\x00tb\x89T" + struct.pack("<i", rows.size) + rows.tobytes() + b"tb"
        b"U\x06labelsq\x08]q\x09(" + b"".join(b"K" + bytes([label]) for label in y) + b"eu."
    )


def test_batches_of_python_2(images):
    x, y = images
    found, labels = read_batch(official_by_python_2(x, y))
    np.testing.assert_array_equal(found, x)
    assert labels == y.tolist()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0.5] * 10, "label 0 of the images of data_batch_2 in .* is no whole number: 0.5"),
        ([True] * 10, "is no whole number: True"),
        (["cat"] * 10, "is no whole number: 'cat'"),
        ([*range(9), 10], "label 9 of .* must be from 0 to 9, not 10"),
        ([2**70] * 10, "label 0 of .* must be from 0 to 9, not 1180591620717411303424"),
        ([1] * 9, "the 10 images of data_batch_2 in .* have 9 labels"),
        (7, "labels must be a list, not a int"),
    ],
)
def test_labels_of_batches_are_checked(tmp_path, images, labels, message):
    write_batches(tmp_path / "c", images)
    batch = {b"data": images[0][:10].reshape(10, -1), b"labels": labels}
    (tmp_path / "c" / "data_batch_2").write_bytes(pickle.dumps(batch, 2))
    with pytest.raises(HoldfastError, match=message):
        load_cifar10(tmp_path / "c")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (tarfile.SYMTYPE, "its member 'c/test_batch' is no regular file"),
        (tarfile.LNKTYPE, "is no regular file"),
        (tarfile.FIFOTYPE, "is no regular file"),
        (tarfile.REGTYPE, "test_batch in .* is there twice"),
    ],
)
def test_links_and_doubles_in_an_archive(tmp_path, images, kind, message):
    write_batches(tmp_path / "c", images)
    with tarfile.open(tmp_path / "c.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "c", "c")
        entry = tarfile.TarInfo("c/test_batch")
        entry.type, entry.linkname = kind, "/etc/hostname"
        tar.addfile(entry)
    with pytest.raises(HoldfastError, match=message):
        load_cifar10(tmp_path / "c.tar.gz")


def jpeg_folder(folder, images):
    """The JPEG copies with their labels, and lossless images; what the copies decode to."""
    x, y = images
    folder.mkdir()
    splits = {"train": (x[:50], y[:50]), "test": (x[50:], y[50:])}
    decoded = {}
    with tarfile.open(folder / "cifar10_jpeg_q75.tar.gz", "w:gz") as tar:
        for split, (pixels, labels) in splits.items():
            decoded[split] = np.empty_like(pixels)
            for index, (image, label) in enumerate(zip(pixels, labels, strict=True)):
                stream = io.BytesIO()
                Image.fromarray(image.transpose(1, 2, 0)).save(stream, "JPEG", quality=75)
                decoded[split][index] = np.asarray(Image.open(stream)).transpose(2, 0, 1)
                entry = tarfile.TarInfo(f"x/{split}/{data.CLASSES[label]}/{index:04}.jpg")
                entry.size = stream.tell()
                stream.seek(0)
                tar.addfile(entry, stream)
    np.savez(folder / "cifar10_labels.npz", train_y=y[:50], test_y=y[50:])
    np.savez(folder / "cifar10_exact_subset.npz", train_index=[4, 2], train_x=x[[4, 2]],
             test_x=x[50:53], test_y=y[50:53])  # fmt: skip
    return decoded


def test_jpeg_copies(tmp_path, images):
    decoded = jpeg_folder(tmp_path / "j", images)
    cifar = load_cifar10(tmp_path / "j")
    decoded["train"][[4, 2]] = images[0][[4, 2]]
    np.testing.assert_array_equal(cifar.train.images, decoded["train"])
    np.testing.assert_array_equal(cifar.train.labels, images[1][:50])
    np.testing.assert_array_equal(cifar.tests[0].images, decoded["test"])
    np.testing.assert_array_equal(cifar.tests[1].images, images[0][50:53])
    assert [part.classes for part in cifar.tests] == [10, 10]
    quick = quick_images(tmp_path / "j")
    assert (quick.name, quick.classes, len(quick.images)) == ("exact-932", 10, 3)


def test_a_place_that_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(HoldfastError, match="pipe: there is neither file nor folder"):
        load_cifar10(tmp_path / "pipe")
    (tmp_path / "c").mkdir()
    os.mkfifo(tmp_path / "c" / "test_batch")
    with pytest.raises(HoldfastError, match=r"cannot read CIFAR-10 batch .*: no regular file"):
        load_cifar10(tmp_path / "c")
    for name in ("a\0b", "n" * 300):
        with pytest.raises(HoldfastError, match="there is no such file or folder"):
            find_data(tmp_path / name)


def test_missing_batch(tmp_path, images):
    write_batches(tmp_path / "c", images)
    (tmp_path / "c" / "data_batch_2").unlink()
    with pytest.raises(HoldfastError, match="lacks data_batch_2"):
        load_cifar10(tmp_path / "c")


def test_no_data_at_all():
    assert find_data() is None
    with pytest.raises(HoldfastError, match=r"^no CIFAR-10 data: name their folder"):
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
