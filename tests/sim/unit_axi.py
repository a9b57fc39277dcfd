"""Testbench: the AXI4 subordinate between a master with random pauses and one memory.

Raw bursts of every type are driven here; random traffic comes from cocotbext-axi. Parameter
``transactions``: bursts of `bursts_with_pauses`, 500 without it.
"""

import random
import warnings
from itertools import pairwise

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import Combine, FallingEdge, Timer

from holdfast.sim.cocotb.build import parameters, write_results

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from cocotbext.axi import AxiBus, AxiMaster, AxiResp

OKAY, SLVERR = 0, 2
FIXED, INCR, WRAP = 0, 1, 2
LIMIT = 0x4000
"""Accesses from here on are refused, and those to a hole before it."""


def is_refused(address: int) -> bool:
    return address >= LIMIT or 0x1020 <= address < 0x1030


class HostSide:
    """What the accelerator is to the port: a write per cycle, or a read, whose data come four
    cycles later and whose address stays until then; both are judged one cycle later."""

    def __init__(self, dut, seed: int = 0):
        self.dut = dut
        self.words: dict[int, int] = {}
        self.accesses: list[tuple] = []
        self.random = random.Random(seed)

    def word(self, address: int) -> int:
        return self.words.setdefault(address >> 2, self.random.getrandbits(32))

    async def run(self) -> None:
        dut = self.dut
        pipeline: list[int | None] = [None] * 4
        judged: bool | None = None
        asked = 0
        while True:
            await Timer(2, "ns")
            address = int(dut.host__address.value)
            write, read = int(dut.host__write.value), int(dut.host__read.value)
            assert not (write and read)
            refused = is_refused(address)
            dut.host__error.value = self.random.getrandbits(1) if judged is None else int(judged)
            judged = refused if write or read else None
            answer = None
            if any(waiting is not None for waiting in pipeline):
                assert address == asked and not (write or read)
            if write:
                data, strobe = int(dut.host__data.value), int(dut.host__strobe.value)
                self.accesses.append(("write", address >> 2, data, strobe))
                if not refused:
                    mask = sum(0xFF << 8 * lane for lane in range(4) if strobe >> lane & 1)
                    self.words[address >> 2] = self.word(address) & ~mask | data & mask
            elif read:
                self.accesses.append(("read", address >> 2))
                answer, asked = self.word(address), address
            now = pipeline.pop(0)
            # Only the cycle in which the data are due holds them.
            dut.host__read_data.value = self.random.getrandbits(32) if now is None else now
            pipeline.append(answer)
            await FallingEdge(dut.clk)


class Master:
    """Drives one channel's handshakes with random pauses."""

    def __init__(self, dut, pause: float, seed: int):
        self.dut = dut
        self.pause = pause
        self.random = random.Random(seed)

    async def wait(self) -> None:
        while self.random.random() < self.pause:
            await FallingEdge(self.dut.clk)

    async def send(self, channel: str, **fields: int) -> None:
        dut = self.dut
        await self.wait()
        for name, value in fields.items():
            getattr(dut, f"s_axi_{channel}{name}").value = value
        valid, ready = (getattr(dut, f"s_axi_{channel}{end}") for end in ("valid", "ready"))
        valid.value = 1
        for _ in range(3000):
            await Timer(4, "ns")
            taken = int(ready.value)
            await FallingEdge(dut.clk)
            if taken:
                valid.value = 0
                return
        raise AssertionError(f"{channel} hangs")

    async def receive(self, channel: str, *names: str) -> dict[str, int]:
        """The fields of one transfer; they must not change while it waits."""
        dut = self.dut
        valid, ready = (getattr(dut, f"s_axi_{channel}{end}") for end in ("valid", "ready"))
        before = None
        for _ in range(3000):
            ready.value = int(self.random.random() >= self.pause)
            await Timer(4, "ns")
            seen = {n: int(getattr(dut, f"s_axi_{channel}{n}").value) for n in names}
            offered, taken = int(valid.value), int(ready.value)
            assert before is None or (offered and seen == before), "an offer was changed"
            before = seen if offered else None
            await FallingEdge(dut.clk)
            if offered and taken:
                ready.value = 0
                return seen
        raise AssertionError(f"{channel} hangs")

    async def write(self, address: int, beats: list[tuple[int, int]], size: int, burst: int) -> int:
        """Send data and strobes of a burst; the response."""
        number = self.random.randrange(16)
        await self.send("aw", id=number, addr=address, len=len(beats) - 1, size=size, burst=burst)
        for index, (data, strobe) in enumerate(beats):
            await self.send("w", data=data, strb=strobe, last=int(index == len(beats) - 1))
        seen = await self.receive("b", "id", "resp")
        assert seen["id"] == number
        return seen["resp"]

    async def read(self, address: int, length: int, size: int, burst: int) -> list[tuple[int, int]]:
        """(data, response) of every beat."""
        number = self.random.randrange(16)
        await self.send("ar", id=number, addr=address, len=length - 1, size=size, burst=burst)
        beats = []
        for index in range(length):
            seen = await self.receive("r", "id", "resp", "data", "last")
            assert seen["id"] == number and seen["last"] == (index == length - 1)
            beats.append((seen["data"], seen["resp"]))
        return beats


def beat_addresses(address: int, length: int, size: int, burst: int) -> list[int]:
    """A3.4.1 of the AXI specification."""
    number_bytes = 1 << size
    aligned = address // number_bytes * number_bytes
    if burst == FIXED:
        return [address] * length
    if burst == INCR:
        return [address] + [aligned + n * number_bytes for n in range(1, length)]
    total = number_bytes * length
    boundary = address // total * total
    return [boundary + (address - boundary + n * number_bytes) % total for n in range(length)]


async def start(dut) -> HostSide:
    cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
    for name in parameters()["inputs"]:
        if name != "clk":
            getattr(dut, name).value = 0
    dut.rst.value = 1
    for _ in range(3):
        await FallingEdge(dut.clk)
    dut.rst.value = 0
    host = HostSide(dut)
    cocotb.start_soon(host.run())
    await FallingEdge(dut.clk)
    return host


def draw_burst(draw: random.Random) -> tuple[int, int, int, int]:
    """Address, length, size and type of a legal burst, some of them beyond the limit."""
    size = draw.choice([0, 1, 2, 2])
    burst = draw.choice([FIXED, INCR, INCR, WRAP])
    length = draw.choice([2, 4, 8, 16]) if burst == WRAP else draw.choice([1, 1, 2, 3, 5, 16, 40])
    if burst == FIXED:
        length = min(length, 16)
    base = draw.choice([0, 0x1000, LIMIT - 0x40, LIMIT, 0x1FF0000])
    address = base + draw.randrange(0x80)
    if burst == WRAP:
        address &= -1 << size
    if address // 0x1000 != (address + (length << size)) // 0x1000:
        address &= ~0xFFF
    return address, length, size, burst


async def one_write(host: HostSide, master: Master) -> None:
    draw = master.random
    address, length, size, burst = draw_burst(draw)
    beats = [(draw.getrandbits(32), draw.randrange(16)) for _ in range(length)]
    addresses = beat_addresses(address, length, size, burst)
    before = len(host.accesses)
    response = await master.write(address, beats, size, burst)
    wanted = [("write", a >> 2, d, s) for a, (d, s) in zip(addresses, beats, strict=True)]
    got = [access for access in host.accesses[before:] if access[0] == "write"]
    assert got == wanted, (address, length, size, burst)
    assert response == (SLVERR if any(map(is_refused, addresses)) else OKAY)


async def one_read(host: HostSide, master: Master) -> None:
    address, length, size, burst = draw_burst(master.random)
    addresses = beat_addresses(address, length, size, burst)
    before = len(host.accesses)
    beats = await master.read(address, length, size, burst)
    got = [access for access in host.accesses[before:] if access[0] == "read"]
    assert got == [("read", a >> 2) for a in addresses], (address, length, size, burst)
    for where, (data, response) in zip(addresses, beats, strict=True):
        assert response == (SLVERR if is_refused(where) else OKAY)
        if not is_refused(where):
            assert data == host.words[where >> 2], hex(where)


async def traffic(dut, pause: float, count: int) -> HostSide:
    """Bursts of one kind at a time: reads see what was written before them."""
    host = await start(dut)
    master = Master(dut, pause, seed=round(100 * pause))
    for _ in range(count):
        await master.random.choice([one_write, one_read])(host, master)
    return host


@cocotb.test()
async def bursts_without_pauses(dut):
    await traffic(dut, 0, 500)


@cocotb.test()
async def bursts_with_pauses(dut):
    count = parameters().get("transactions", 500)
    host = await traffic(dut, 0.5, count)
    write_results({"transactions": count, "beats": len(host.accesses)})


@cocotb.test()
async def reads_and_writes_take_turns(dut):
    """Both directions always pending: none starves, none is mixed up."""
    host = await start(dut)

    async def repeat(action, seed: int) -> None:
        master = Master(dut, 0, seed)
        for _ in range(100):
            await action(host, master)
            done.append(action)

    done: list = []
    await Combine(cocotb.start_soon(repeat(one_write, 1)), cocotb.start_soon(repeat(one_read, 2)))
    longest = max(len(run) for run in _runs(done[:100]))
    assert longest <= 2, longest


def _runs(items: list) -> list[list]:
    """Consecutive equal items."""
    runs = [[items[0]]]
    for before, item in pairwise(items):
        if item is before:
            runs[-1].append(item)
        else:
            runs.append([item])
    return runs


@cocotb.test()
async def too_wide_beats_are_refused(dut):
    """Beats wider than the bus reach nothing, and the burst still ends."""
    host = await start(dut)
    master = Master(dut, 0.3, 7)
    for size in (3, 7):
        assert await master.write(0x10, [(1, 15)] * 3, size, INCR) == SLVERR
        beats = await master.read(0x10, 4, size, INCR)
        assert [response for _, response in beats] == [SLVERR] * 4
    assert not host.accesses
    assert await master.write(0x10, [(7, 15)], 2, INCR) == OKAY
    assert await master.read(0x10, 1, 2, INCR) == [(7, OKAY)]


@cocotb.test()
async def an_error_does_not_stick(dut):
    await start(dut)
    master = Master(dut, 0, 1)
    assert await master.write(LIMIT, [(1, 15)], 2, INCR) == SLVERR
    assert await master.write(0, [(1, 15)], 2, INCR) == OKAY
    beats = await master.read(LIMIT - 4, 3, 2, INCR)
    assert [response for _, response in beats] == [OKAY, SLVERR, SLVERR]
    assert (await master.read(0, 1, 2, INCR))[0] == (1, OKAY)


@cocotb.test()
async def cocotbext_traffic(dut):
    """Byte-granular writes and reads of any length by another master's reading of AXI."""
    host = await start(dut)
    warnings.simplefilter("ignore", DeprecationWarning)
    axi = AxiMaster(AxiBus.from_prefix(dut, "s_axi"), dut.clk, dut.rst)
    draw = random.Random(3)
    for number, interface in enumerate((axi.write_if, axi.read_if)):
        for name in ("aw", "w", "b", "ar", "r"):
            channel = getattr(interface, f"{name}_channel", None)
            if channel is not None:
                channel.set_pause_generator(_pauses(number))
    content = bytearray(0x400)
    await axi.write(0, bytes(content))
    for _ in range(300):
        address = draw.randrange(0x300)
        length = draw.choice([1, 2, 3, 4, 7, 64, 200])
        size = draw.choice([0, 1, 2])
        if draw.random() < 0.5:
            data = draw.randbytes(length)
            content[address : address + length] = data
            assert (await axi.write(address, data, size=size)).resp == AxiResp.OKAY
        else:
            answer = await axi.read(address, length, size=size)
            assert answer.resp == AxiResp.OKAY
            assert answer.data == content[address : address + length]
    for address in range(0, 0x400, 4):
        assert host.word(address) == int.from_bytes(content[address : address + 4], "little")


def _pauses(seed: int):
    draw = random.Random(seed)
    while True:
        yield draw.random() < 0.3
