"""The AXI4 port."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from holdfast.gen.layout import ADDRESS_BITS
from holdfast.gen.roles import Kind, Role

__all__ = ["AXI_MEMBERS", "AxiSubordinate", "HostAccess"]

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


class AxiSubordinate(wiring.Component):
    """AXI4 subordinate, 32 bits, one burst at a time, turning beats into host accesses.

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
        host = self.host
        address = Signal(ADDRESS_BITS)
        length = Signal(8)
        beats = Signal(8)
        size = Signal(3)
        burst = Signal(2)
        identity = Signal(ID_BITS)
        failed = Signal()
        write_first = Signal(init=1)
        access_address = Signal(ADDRESS_BITS)
        access_write = Signal()
        access_read = Signal()
        access_data = Signal(32)
        access_strobe = Signal(4)
        read_data = Signal(32)
        wait = Signal(3)

        m.d.comb += [
            host.address.eq(access_address),
            host.write.eq(access_write),
            host.read.eq(access_read),
            host.data.eq(access_data),
            host.strobe.eq(access_strobe),
            self.s_axi_bid.eq(identity),
            self.s_axi_rid.eq(identity),
            self.s_axi_bresp.eq(Mux(failed, _SLVERR, 0)),
            self.s_axi_rresp.eq(Mux(failed, _SLVERR, 0)),
            self.s_axi_rdata.eq(read_data),
            self.s_axi_rlast.eq(beats == 0),
        ]
        m.d.sync += [access_write.eq(0), access_read.eq(0)]
        accessed = Signal()
        m.d.sync += accessed.eq(access_write | access_read)
        with m.If(accessed & host.error):
            m.d.sync += failed.eq(1)

        step = Signal(3)
        m.d.comb += step.eq(Const(1, 3) << size[:2])
        following = Signal(ADDRESS_BITS)
        wrap = Signal(ADDRESS_BITS)
        m.d.comb += wrap.eq(Cat(Const(3, 2), length))
        with m.Switch(size[:2]):
            with m.Case(0):
                m.d.comb += wrap.eq(length)
            with m.Case(1):
                m.d.comb += wrap.eq(Cat(Const(1, 1), length))
        incremented = address + step
        with m.Switch(burst):
            with m.Case(0):
                m.d.comb += following.eq(address)
            with m.Case(2):
                m.d.comb += following.eq((address & ~wrap) | (incremented & wrap))
            with m.Default():
                m.d.comb += following.eq(incremented)

        with m.FSM():
            with m.State("IDLE"):
                take_write = self.s_axi_awvalid & (write_first | ~self.s_axi_arvalid)
                with m.If(take_write):
                    m.d.comb += self.s_axi_awready.eq(1)
                    m.d.sync += [
                        address.eq(self.s_axi_awaddr),
                        length.eq(self.s_axi_awlen),
                        size.eq(self.s_axi_awsize),
                        burst.eq(self.s_axi_awburst),
                        identity.eq(self.s_axi_awid),
                        failed.eq(self.s_axi_awsize > 2),
                        write_first.eq(0),
                    ]
                    m.next = "WRITE"
                with m.Elif(self.s_axi_arvalid):
                    m.d.comb += self.s_axi_arready.eq(1)
                    m.d.sync += [
                        address.eq(self.s_axi_araddr),
                        length.eq(self.s_axi_arlen),
                        beats.eq(self.s_axi_arlen),
                        size.eq(self.s_axi_arsize),
                        burst.eq(self.s_axi_arburst),
                        identity.eq(self.s_axi_arid),
                        failed.eq(self.s_axi_arsize > 2),
                        write_first.eq(1),
                    ]
                    m.next = "READ"
            with m.State("WRITE"):
                m.d.comb += self.s_axi_wready.eq(1)
                with m.If(self.s_axi_wvalid):
                    m.d.sync += [
                        access_address.eq(address),
                        access_data.eq(self.s_axi_wdata),
                        access_strobe.eq(self.s_axi_wstrb),
                        access_write.eq(size <= 2),
                        address.eq(following),
                    ]
                    with m.If(self.s_axi_wlast):
                        m.next = "WRITTEN"
            with m.State("WRITTEN"):
                # The last access is being made; its error is known with the response.
                m.next = "JUDGED"
            with m.State("JUDGED"):
                m.next = "RESPOND"
            with m.State("RESPOND"):
                m.d.comb += self.s_axi_bvalid.eq(1)
                with m.If(self.s_axi_bready):
                    m.next = "IDLE"
            with m.State("READ"):
                m.d.sync += [
                    access_address.eq(address),
                    access_read.eq(size <= 2),
                    address.eq(following),
                    wait.eq(4),
                ]
                m.next = "WAIT"
            with m.State("WAIT"):
                m.d.sync += wait.eq(wait - 1)
                with m.If(wait == 0):
                    m.d.sync += read_data.eq(host.read_data)
                    m.next = "DELIVER"
            with m.State("DELIVER"):
                m.d.comb += self.s_axi_rvalid.eq(1)
                with m.If(self.s_axi_rready):
                    m.d.sync += [beats.eq(beats - 1), failed.eq(size > 2)]
                    m.next = "READ"
                    with m.If(beats == 0):
                        m.next = "IDLE"
        return m
