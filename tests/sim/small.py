"""A small design with every kind of state that a netlist must tell apart."""

from amaranth.hdl import Array, Module, Signal, signed, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

# Counted by hand from the code below.
FLIP_FLOPS = {f"pe_{row}_{column}__weight": 8 for row in range(2) for column in range(2)}
FLIP_FLOPS |= {f"pe_{row}_{column}__total": 16 for row in range(2) for column in range(2)}
FLIP_FLOPS |= {"copy0": 8, "copy1": 8, "copy2": 8}
FLIP_FLOPS |= {"slots1": 5, "halves": 8, "fields": 12, "fsm_state": 2, "count_reg": 7}
FLIP_FLOPS |= {"store__read0": 32, "store__read1": 32, "wide": 72, "twice": 4, "twice_2": 4}
FLIP_FLOPS |= {"signed_": 3, "U_6__hidden": 2, "flag": 1}
MEMORIES = {"store": (32, 16), "table_": (5, 4)}


class Cell(wiring.Component):
    """A multiply-accumulate cell."""

    a: In(signed(8))
    en: In(1)
    q: Out(signed(16))

    def elaborate(self, platform):
        m = Module()
        weight = Signal(signed(8), init=3)
        total = Signal(signed(16))
        with m.If(self.en):
            m.d.sync += [weight.eq(self.a), total.eq(total + self.a * weight)]
        m.d.comb += self.q.eq(total)
        return m


class Hidden(wiring.Component):
    """A submodule that nobody names."""

    a: In(2)
    q: Out(2)

    def elaborate(self, platform):
        m = Module()
        hidden = Signal(2)
        m.d.sync += hidden.eq(self.a)
        m.d.comb += self.q.eq(hidden)
        return m


class Small(wiring.Component):
    """Cells in a grid, memories, a triplicated register, a state machine, odd names."""

    a: In(signed(8))
    en: In(1)
    address: In(4)
    lanes: In(4)
    data: In(32)
    q: Out(signed(16))
    read0: Out(32)
    read1: Out(32)
    vote: Out(8)
    full: Out(1)
    count: Out(7)
    other: Out(8)
    wide_out: Out(72)
    looked_up: Out(5)

    def elaborate(self, platform):
        m = Module()
        chain = self.a
        for row in range(2):
            for column in range(2):
                cell = Cell()
                m.submodules[f"pe_{row}_{column}"] = cell
                m.d.comb += [cell.a.eq(chain), cell.en.eq(self.en)]
                chain = cell.q[:8]
        m.d.comb += self.q.eq(cell.q)

        m.submodules.store = store = memory.Memory(shape=unsigned(32), depth=16, init=[1, 2, 3])
        write = store.write_port(granularity=8)
        forwarding = store.read_port(transparent_for=[write])
        plain = store.read_port()
        m.d.comb += [
            write.addr.eq(self.address),
            write.en.eq(self.lanes),
            write.data.eq(self.data),
            forwarding.addr.eq(self.a),
            forwarding.en.eq(self.en),
            plain.addr.eq(self.address + 1),
            plain.en.eq(1),
            self.read0.eq(forwarding.data),
            self.read1.eq(plain.data),
        ]
        m.submodules.table = table = memory.Memory(shape=unsigned(5), depth=4, init=[])
        fill = table.write_port()
        look = table.read_port(domain="comb")
        m.d.comb += [
            fill.addr.eq(self.data),
            fill.en.eq(self.en),
            fill.data.eq(self.address),
            look.addr.eq(self.address),
            self.looked_up.eq(look.data),
        ]

        copies = [Signal(8, name=f"copy{index}") for index in range(3)]
        for copy in copies:
            m.d.sync += copy.eq(copy + self.a)
        first, second, third = copies
        m.d.comb += self.vote.eq((first & second) | (second & third) | (first & third))

        slots = Array([Signal(5, name=f"slots{index}") for index in range(4)])
        with m.If(self.en):
            m.d.sync += slots[self.address[:2]].eq(self.data)

        halves = Signal(8)
        with m.If(self.en):
            m.d.sync += halves[:4].eq(self.a)
        m.d.sync += halves[4:].eq(self.data)

        fields = Signal(data.StructLayout({"low": 5, "high": signed(7)}))
        m.d.sync += fields.low.eq(self.data[3:])
        with m.If(self.en):
            m.d.sync += fields.high.eq(fields.high + 1)

        wide = Signal(72, init=1 << 70)
        m.d.sync += wide.eq((wide << 1) ^ self.data)
        m.d.comb += self.wide_out.eq(wide)

        twice = [Signal(4, name="twice") for _ in range(2)]
        m.d.sync += [twice[0].eq(self.a), twice[1].eq(twice[0] ^ self.data)]
        reserved = Signal(3, name="signed")
        m.d.sync += reserved.eq(self.data)
        m.submodules += (hidden := Hidden())
        m.d.comb += hidden.a.eq(reserved)
        flag = Signal()
        m.d.sync += flag.eq(~flag ^ self.en)
        m.d.comb += self.other.eq(twice[1] + reserved + hidden.q + flag + fields.low + fields.high)

        m.d.sync += self.count.eq(self.count + self.en)

        with m.FSM():
            with m.State("IDLE"), m.If(halves[0]):
                m.next = "FIRST"
            with m.State("FIRST"):
                m.d.comb += self.full.eq(slots[1][0])
                m.next = "SECOND"
            with m.State("SECOND"):
                m.next = "IDLE"
        return m


def flip_flop_bits(netlist):
    return sum(flip_flop.width for flip_flop in netlist.flip_flops)


def memory_bits(netlist):
    return sum(memory.width * memory.depth for memory in netlist.memories)
