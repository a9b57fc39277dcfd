"""A simulated board behind a pseudo-terminal, for clients that want a serial port."""

import contextlib
import os
import select
import threading
import tty

from tests.sim.simulated_line import SimulatedLine


@contextlib.contextmanager
def serial_port(line: SimulatedLine, chunk_cycles: int = 2000):
    """Path of a serial port at whose other end is `line`."""
    host, port = os.openpty()
    tty.setraw(port)
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            ready, _, _ = select.select([host], [], [], 0)
            if ready:
                try:
                    line.write(os.read(host, 4096))
                except OSError:
                    return
            line.wait(chunk_cycles)
            answer = line.take()
            if answer:
                os.write(host, answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield os.ttyname(port)
    finally:
        stop.set()
        thread.join()
        os.close(host)
        os.close(port)
