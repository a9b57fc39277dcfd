"""The AXI4 port."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from holdfast.gen.layout import ADDRESS_BITS
from holdfast.gen.roles import Kind, Role

ID_BITS = 4
_SLVERR = 2

AXI_MEMBERS = {
    "s_axi_awid": In(ID_BITS),
    "s_axi_awaddr": In(ADDRESS_BITS),
    "s_axi_awlen": In(8),
    "s_axi_awsize": In(3),
    "s_axi_awburst": In(2),
    "s_axi_awvalid": In(1),
    "s_axi_awready": Out(1),
    "s_axi_wdata": In(32),
    "s_axi_wstrb": In(4),
    "s_axi_wlast": In(1),
    "s_axi_wvalid": In(1),
    "s_axi_wready": Out(1),
    "s_axi_bid": Out(ID_BITS),
    "s_axi_bresp": Out(2),
    "s_axi_bvalid": Out(1),
    "s_axi_bready": In(1),
    "s_axi_arid": In(ID_BITS),
    "s_axi_araddr": In(ADDRESS_BITS),
    "s_axi_arlen": In(8),
    "s_axi_arsize": In(3),
    "s_axi_arburst": In(2),
    "s_axi_arvalid": In(1),
    "s_axi_arready": Out(1),
    "s_axi_rid": Out(ID_BITS),
    "s_axi_rdata": Out(32),
    "s_axi_rresp": Out(2),
    "s_axi_rlast": Out(1),
    "s_axi_rvalid": Out(1),
    "s_axi_rready": In(1),
}

HostAccess = wiring.Signature(
    {
        "address": Out(ADDRESS_BITS),
        "write": Out(1),
        "read": Out(1),
        "data": Out(32),
        "strobe": Out(4),
        "error": In(1),
        "read_data": In(32),
    }
)
"""One 32-bit write per cycle, or a read, whose address is stable until ``read_data``, four cycles
later; ``error`` one cycle later."""


class _Burst:
    """The burst under way: the address of its next beat, and what the bus said of all of them."""

    def __init__(self):
        self.address = Signal(ADDRESS_BITS)
        self.length = Signal(8)
        self.beats = Signal(8)
        self.size = Signal(3)
        self.burst = Signal(2)
        self.identity = Signal(ID_BITS)
        self.failed = Signal()


class _Access:
    """The access to the host's side that a beat becomes."""

    def __init__(self):
        self.access_address = Signal(ADDRESS_BITS)
        self.access_write = Signal()
        self.access_read = Signal()
        self.access_data = Signal(32)
        self.access_strobe = Signal(4)


class AxiSubordinate(wiring.Component):
    """Turns beats of AXI4, 32 bits, one burst at a time, into host accesses.

    FIXED, INCR and WRAP bursts of any length; narrow beats by strobes. Writes and reads take turns.

    Members
    -------
    s_axi_*
        The bus.
    host
        One access per beat.

    Latency
    -------
    A write beat per cycle; a read beat every seven cycles.

    Back-pressure
    -------------
    Any on every channel. A refused access ends the burst normally with SLVERR.
    """

    NAME = "axi"

    STATE = {
        "fsm_state": Kind(Role.HOST, live=("layer", "inference")),
        "host__write": Kind(Role.HOST, live=("inference",)),
        r"\w+": Kind(Role.HOST),
    }

    def __init__(self):
        super().__init__(AXI_MEMBERS | {"host": Out(HostAccess)})

    def elaborate(self, platform):
        m = Module()
        host, beat, access = self.host, _Burst(), _Access()
        write_first = Signal(init=1)
        read_data = Signal(32)
        m.d.comb += [
            host.address.eq(access.access_address),
            host.write.eq(access.access_write),
            host.read.eq(access.access_read),
            host.data.eq(access.access_data),
            host.strobe.eq(access.access_strobe),
            self.s_axi_bid.eq(beat.identity),
            self.s_axi_rid.eq(beat.identity),
            self.s_axi_bresp.eq(Mux(beat.failed, _SLVERR, 0)),
            self.s_axi_rresp.eq(Mux(beat.failed, _SLVERR, 0)),
            self.s_axi_rdata.eq(read_data),
            self.s_axi_rlast.eq(beat.beats == 0),
        ]
        m.d.sync += [access.access_write.eq(0), access.access_read.eq(0)]
        accessed = Signal()
        m.d.sync += accessed.eq(access.access_write | access.access_read)
        with m.If(accessed & host.error):
            m.d.sync += beat.failed.eq(1)
        following = self._following(m, beat)
        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.s_axi_awvalid & (write_first | ~self.s_axi_arvalid)):
                    self._take(m, beat, "aw")
                    m.d.sync += write_first.eq(0)
                    m.next = "WRITE"
                with m.Elif(self.s_axi_arvalid):
                    self._take(m, beat, "ar")
                    m.d.sync += [beat.beats.eq(self.s_axi_arlen), write_first.eq(1)]
                    m.next = "READ"
            self._write(m, beat, access, following)
            self._read(m, beat, access, following, read_data)
        return m

    def _following(self, m, beat: _Burst) -> Signal:
        """The address of the beat after this one."""
        step = Signal(3)
        m.d.comb += step.eq(Const(1, 3) << beat.size[:2])
        following = Signal(ADDRESS_BITS)
        wrap = Signal(ADDRESS_BITS)
        m.d.comb += wrap.eq(Cat(Const(3, 2), beat.length))
        with m.Switch(beat.size[:2]):
            with m.Case(0):
                m.d.comb += wrap.eq(beat.length)
            with m.Case(1):
                m.d.comb += wrap.eq(Cat(Const(1, 1), beat.length))
        incremented = beat.address + step
        with m.Switch(beat.burst):
            with m.Case(0):
                m.d.comb += following.eq(beat.address)
            with m.Case(2):
                m.d.comb += following.eq((beat.address & ~wrap) | (incremented & wrap))
            with m.Default():
                m.d.comb += following.eq(incremented)
        return following

    def _take(self, m, beat: _Burst, channel: str) -> None:
        """Takes a burst's address from a channel."""
        address, length, size, burst, identity, ready = (
            getattr(self, f"s_axi_{channel}{part}")
            for part in ("addr", "len", "size", "burst", "id", "ready")
        )
        m.d.comb += ready.eq(1)
        m.d.sync += [
            beat.address.eq(address),
            beat.length.eq(length),
            beat.size.eq(size),
            beat.burst.eq(burst),
            beat.identity.eq(identity),
            beat.failed.eq(size > 2),
        ]

    def _write(self, m, beat: _Burst, access: _Access, following) -> None:
        """The states of a written burst. The error of its last access is known with the answer."""
        with m.State("WRITE"):
            m.d.comb += self.s_axi_wready.eq(1)
            with m.If(self.s_axi_wvalid):
                m.d.sync += [
                    access.access_address.eq(beat.address),
                    access.access_data.eq(self.s_axi_wdata),
                    access.access_strobe.eq(self.s_axi_wstrb),
                    access.access_write.eq(beat.size <= 2),
                    beat.address.eq(following),
                ]
                with m.If(self.s_axi_wlast):
                    m.next = "WRITTEN"
        with m.State("WRITTEN"):
            m.next = "JUDGED"
        with m.State("JUDGED"):
            m.next = "RESPOND"
        with m.State("RESPOND"):
            m.d.comb += self.s_axi_bvalid.eq(1)
            with m.If(self.s_axi_bready):
                m.next = "IDLE"

    def _read(self, m, beat: _Burst, access: _Access, following, read_data) -> None:
        """The states of a read burst."""
        wait = Signal(3)
        with m.State("READ"):
            m.d.sync += [
                access.access_address.eq(beat.address),
                access.access_read.eq(beat.size <= 2),
                beat.address.eq(following),
                wait.eq(4),
            ]
            m.next = "WAIT"
        with m.State("WAIT"):
            m.d.sync += wait.eq(wait - 1)
            with m.If(wait == 0):
                m.d.sync += read_data.eq(self.host.read_data)
                m.next = "DELIVER"
        with m.State("DELIVER"):
            m.d.comb += self.s_axi_rvalid.eq(1)
            with m.If(self.s_axi_rready):
                m.d.sync += [beat.beats.eq(beat.beats - 1), beat.failed.eq(beat.size > 2)]
                m.next = "READ"
                with m.If(beat.beats == 0):
                    m.next = "IDLE"
