"""Dask: what answers at the address, who works there, and what is sent."""

import errno
import http.server
import pickle
import shutil
import socket
import subprocess
import threading

import dask
import pytest
from distributed import Client, LocalCluster
from distributed.security import Security

from holdfast.base.errors import HoldfastError
from holdfast.fault.campaign import cluster
from holdfast.fault.campaign import workers as work
from holdfast.fault.campaign.cluster import on_cluster
from holdfast.fault.campaign.spec import UnitStatistics

UNITS = [f"weight-{number:06d}" for number in range(5)]
PAYLOAD = b"a job" * 100_000


@pytest.fixture
def workers(monkeypatch):
    """A cluster in this process, whose units need no time."""
    monkeypatch.setattr(
        work,
        "compute",
        lambda payload, unit: (unit, payload[:5] + unit.encode(), UnitStatistics(faults=1)),
    )

    def start(count, **options):
        return LocalCluster(
            n_workers=count, threads_per_worker=1, processes=False, dashboard_address=None,
            **options,
        )  # fmt: skip

    return start


def results(address):
    return {unit: data for unit, data, _ in on_cluster(work.compute, PAYLOAD, UNITS, address)}


EXPECTED = {unit: b"a job" + unit.encode() for unit in UNITS}


def test_the_job_is_sent_once(workers, monkeypatch):
    sent = []
    submit = Client.submit

    def counted(self, *arguments, **options):
        sent.append(len(pickle.dumps((arguments[2:], options))))
        return submit(self, *arguments, **options)

    monkeypatch.setattr(Client, "submit", counted)
    with workers(2) as running:
        assert results(running.scheduler_address) == EXPECTED
        # Nothing of it stays, and the next finds its way.
        assert not cluster._payloads
        assert results(running.scheduler_address) == EXPECTED
    assert len(sent) == 10 and max(sent) < 1000


def test_no_worker_is_said_and_one_that_joins_later_works(workers, monkeypatch, capsys):
    monkeypatch.setattr(cluster, "_WORKERS_S", 0)
    with workers(0) as running:
        found = on_cluster(work.compute, PAYLOAD, UNITS, running.scheduler_address)
        seen = []

        def take():
            seen.append({unit: data for unit, data, _ in found})

        thread = threading.Thread(target=take)
        thread.start()
        told = ""
        while "waiting for one." not in told:
            told += capsys.readouterr().err
            assert thread.is_alive()
        address = running.scheduler_address.replace(".", r"\.")
        assert told == (
            f"no worker is connected to the Dask scheduler at {running.scheduler_address}: waiting "
            "for one.\n"
        ), address
        running.scale(1)
        thread.join(60)
        assert seen == [EXPECTED]


def test_workers_of_other_code_are_one_sentence(workers, monkeypatch):
    real = cluster.identity
    calls = []

    def identity():
        calls.append(1)
        # The first to ask is this side.
        return real() | ({"sources": "0123456789abcdef"} if len(calls) == 1 else {})

    monkeypatch.setattr(cluster, "identity", identity)
    there = real()["sources"]
    with workers(1) as running:
        told = rf"worker \S+ has other code: sources {there}, not 0123456789abcdef\.$"
        with pytest.raises(HoldfastError, match=told):
            results(running.scheduler_address)


def test_a_worker_of_other_code_that_joins_later(workers, monkeypatch):
    """It is not given the job, and says why when it is given a unit."""
    monkeypatch.setattr(cluster, "_give", lambda *_: None)
    real = cluster.identity
    calls = []

    def identity():
        calls.append(1)
        return real() | ({"numpy": "0.1"} if len(calls) > 1 else {})

    monkeypatch.setattr(cluster, "identity", identity)
    with workers(1) as running:
        with pytest.raises(HoldfastError, match=r"has other code: numpy 0\.1, not \d"):
            results(running.scheduler_address)


def test_a_unit_that_raises_does_so_here(workers, monkeypatch):
    def compute(payload, unit):
        raise HoldfastError("not this one.")

    with workers(1) as running:
        monkeypatch.setattr(work, "compute", compute)
        with pytest.raises(HoldfastError, match=r"^not this one\.$"):
            results(running.scheduler_address)


def test_a_workers_full_disk_is_not_a_lost_scheduler(workers, monkeypatch):
    def compute(payload, unit):
        raise OSError(errno.ENOSPC, "No space left on device", "x")

    with workers(1) as running:
        monkeypatch.setattr(work, "compute", compute)
        with pytest.raises(OSError, match="No space left on device: 'x'"):
            results(running.scheduler_address)


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(cluster, "_ANSWER_S", 0.5)


def refused(address, reason):
    with pytest.raises(HoldfastError) as raised:
        results(address)
    text = str(raised.value)
    assert text.startswith(f"no Dask scheduler answers at {address}: ") and reason in text, text
    assert "\n" not in text and len(text) < 500


def test_another_server_at_the_address(short):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    refused(f"tcp://127.0.0.1:{server.server_port}", "no answer in 0.5 s")
    server.shutdown()


def test_nothing_or_a_silent_server_at_the_address(short):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        refused(f"tcp://127.0.0.1:{port}", "no answer in 0.5 s")
    refused(f"tcp://127.0.0.1:{port}", "0.5 s")


@pytest.mark.parametrize(
    ("address", "reason"),
    [("nonsense://a:1", "unknown address scheme"), ("host", "port"), ("tcp://a\x1b[1m:x", "")],
)
def test_what_is_no_address(address, reason, short):
    refused(address.replace("\x1b", "\\x1b") if not reason else address, reason)


def test_a_worker_instead_of_the_scheduler(workers):
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None, protocol="tcp"
    ) as running:
        address = next(iter(running.workers.values())).address
        with pytest.raises(HoldfastError, match="is no Dask scheduler but a Worker"):
            results(address)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate with openssl")
def test_tls_is_dasks_own_configuration(workers, short, tmp_path):
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", "/CN=dask", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    settings = {"distributed.comm.tls.ca-file": str(certificate)}
    for role in ("client", "scheduler", "worker"):
        settings[f"distributed.comm.tls.{role}.cert"] = str(certificate)
        settings[f"distributed.comm.tls.{role}.key"] = str(key)
    with dask.config.set(settings):
        security = Security(require_encryption=True)
    with workers(1, security=security, protocol="tls://") as running:
        address = running.scheduler_address
        assert address.startswith("tls://")
        refused(address, "TLS configuration")
        refused(address.replace("tls", "tcp"), "")
        with dask.config.set(settings):
            assert results(address) == EXPECTED
    with workers(1, protocol="tcp://") as plain, dask.config.set(settings):
        refused(plain.scheduler_address.replace("tcp", "tls"), "")
