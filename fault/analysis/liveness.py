"""Liveness: the first cycle in which an error in a register bit propagates or is overwritten.

    liveness = LivenessTable.of(netlist, lockstep, names)   # of the lockstep's golden run
    liveness.after(name, bit, cycle)                     # FirstUse, or None: not analysed

A register that is not written and that nothing reads keeps a wrong bit and changes nothing else.
As long as that lasts, an upset is the same as one a cycle later: it can be injected in the cycle in
which it is seen, and is masked if it is overwritten first.

For every bit, the netlist is evaluated with the golden values of every cycle and this one bit
inverted. In some cycles the next value of another register, a write to a memory, the address of a
read or the interrupt differs: there it is *seen*. In some its own next value does not differ: there
it is *written*. All cycles are evaluated at once (`sim.netlist.bitwise`), and nothing
is assumed about what the registers are for.

Some registers *follow*: they are loaded in every cycle, and reach no other follower. One that
follows a wrong bit differs a cycle later, and is as wrong as the bit. That is seen only where any
wrong value of it, whatever else the bit does, may reach something. So such a bit is injected a
cycle before it is seen: then what follows it is wrong too.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from holdfast.base.files import write_atomically
from holdfast.fault.injection.lockstep import LockstepRun
from holdfast.fault.model.fault import Fault
from holdfast.sim.netlist.bitwise import Net
from holdfast.sim.netlist.netlist import Netlist

from .effect import Effect
from .register_logic import RegisterLogic
from .resolver import Decision, Later

_PROBE = 1024
"""Cycles in which a bit has to sleep once to be looked at in all others."""
_STATES = 100 << 20
"""Bytes of golden states in the cycles that are analysed at once."""
_SETTLE = 16
"""Cycles in which the hidden registers take what follows from all others."""


class FirstUse(NamedTuple):
    """Says what first happens to a wrong bit.

    Attributes
    ----------
    kind : str
        ``"seen"``; ``"written"``: with its right value, before anything saw it; ``"end"``: the run
        has ended.
    cycle : int
        In which; at the end, one in which it can be injected to learn what the host sees.
    """

    kind: Literal["seen", "written", "end"]
    cycle: int


@dataclass(frozen=True)
class LivenessTable:
    """Cycles in which bits are seen or written, of one golden run.

    Attributes
    ----------
    rows : dict
        Row of each analysed bit, by register and bit; bits that are seen and written in the same
        cycles, such as most of a register's, have one.
    seen, ended : uint8 [rows, ceil(cycles / 8)]
        Bit t % 8 of byte t // 8: in cycle t it is seen; it is seen or written.
    hidden : frozenset of str
        Registers that nothing but the port's data can show.
    cycles : int
        Of the golden run.
    """

    rows: dict[tuple[str, int], int]
    seen: NDArray[np.uint8]
    ended: NDArray[np.uint8]
    hidden: frozenset[str]
    cycles: int

    def resolve(self, fault: Fault) -> Decision | Later | None:
        """Decides one inverted bit of a register that is overwritten first, or delays it."""
        if not fault.single:
            return None
        name, _, bit = fault.site
        use = self.after(name, bit, fault.cycle)
        if use is None:
            return None
        if use.kind == "written":
            return Decision("unread", Effect(), died="overwritten")
        return Later(use.cycle)

    def after(self, name: str, bit: int, cycle: int) -> FirstUse | None:
        """Returns what happens first to a bit that is wrong from a cycle on."""
        end = FirstUse("end", max(cycle, self.cycles - _SETTLE))
        if name in self.hidden:
            return end
        row = self.rows.get((name, bit))
        if row is None or cycle >= self.cycles:
            return None
        first = cycle // 8
        head = int(self.ended[row, first]) >> cycle % 8 << cycle % 8
        if not head:
            later = np.flatnonzero(self.ended[row, first + 1 :])
            if not len(later):
                return end
            first += 1 + int(later[0])
            head = int(self.ended[row, first])
        low = head & -head
        moment = 8 * first + low.bit_length() - 1
        if int(self.seen[row, first]) & low:
            return FirstUse("seen", max(cycle, moment - 1))
        return FirstUse("written", moment)

    @classmethod
    def of(cls, netlist: Netlist, lockstep: LockstepRun, names: Iterable[str]) -> "LivenessTable":
        """Analyses registers."""
        parts = LivenessParts(netlist, lockstep, names)
        return cls.joined([parts[number] for number in range(len(parts))])

    @classmethod
    def joined(cls, parts: Sequence["LivenessTable"]) -> "LivenessTable":
        """Puts together the tables of successive cycles, without bits that never sleep: these are
        simulated as soon as looked up.
        """
        alike: dict[tuple[int, ...], list[Net]] = {}
        for bit in parts[0].rows:
            alike.setdefault(tuple(part.rows[bit] for part in parts), []).append(bit)
        cycles = sum(part.cycles for part in parts)
        rows: dict[Net, int] = {}
        tables: list[list[NDArray[np.uint8]]] = []
        for numbers, same in alike.items():
            chosen = list(zip(parts, numbers, strict=True))
            ended = np.concatenate([part.ended[number] for part, number in chosen])
            if np.bitwise_count(ended).sum() < cycles // 2:
                rows |= dict.fromkeys(same, len(tables))
                tables.append([np.concatenate([p.seen[n] for p, n in chosen]), ended])
        whole = np.array(tables, np.uint8).reshape(len(tables), 2, -(-cycles // 8))
        return cls(rows, whole[:, 0], whole[:, 1], parts[0].hidden, cycles)

    def save(self, folder: Path) -> None:
        """Writes the tables, one file each."""
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "seen.npy", self.seen)
        np.save(folder / "ended.npy", self.ended)
        text = "".join(f"{name} {bit} {row}\n" for (name, bit), row in self.rows.items())
        write_atomically(folder / "rows.txt", text.encode())
        write_atomically(folder / "hidden.txt", "\n".join(sorted(self.hidden)).encode())

    @classmethod
    def load(cls, folder: Path, cycles: int) -> "LivenessTable":
        """Map saved tables into memory, shared by all processes that do."""
        lines = [
            line.split() for line in (folder / "rows.txt").read_text(encoding="utf-8").splitlines()
        ]
        rows = {(name, int(bit)): int(row) for name, bit, row in lines}
        seen, ended = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("seen", "ended"))
        hidden = frozenset((folder / "hidden.txt").read_text(encoding="utf-8").split())
        return cls(rows, seen, ended, hidden, cycles)


class LivenessParts:
    """Analyses a golden run in parts, which can be made in processes of their own.

    Parameters
    ----------
    lockstep : LockstepRun
        With its golden run.
    names : iterable of str
        Registers.
    """

    def __init__(self, netlist: Netlist, lockstep: LockstepRun, names: Iterable[str]):
        self._lockstep, self._cycles = lockstep, lockstep.golden.cycles
        self._length = part_length(netlist)
        self._logic = logic = RegisterLogic(netlist, names)
        begin = self._cycles // 4
        probe = logic.between(lockstep, logic.bits, begin, begin + _PROBE)
        self._bits = [bit for bit, (sees, keeps) in probe.items() if keeps & ~sees]
        logic.forget_loud()

    def __len__(self) -> int:
        return -(-self._cycles // self._length)

    def __getitem__(self, number: int) -> LivenessTable:
        """Returns the table of some cycles, of all bits that ever sleep."""
        begin = number * self._length
        end = min(begin + self._length, self._cycles)
        found = self._logic.between(self._lockstep, self._bits, begin, end)
        once: dict[tuple[int, int], int] = {}
        rows = {bit: once.setdefault(waves, len(once)) for bit, waves in found.items()}
        ones = (1 << end - begin) - 1
        seen, ended = [sees for sees, _ in once], [ones ^ keeps | sees for sees, keeps in once]
        size = -(-(end - begin) // 8)
        tables = (
            np.frombuffer(b"".join(wave.to_bytes(size, "little") for wave in waves), np.uint8)
            for waves in (seen, ended)
        )
        first, second = (table.reshape(len(once), size) for table in tables)
        return LivenessTable(rows, first, second, self._logic.hidden, end - begin)


def part_length(netlist: Netlist) -> int:
    """Returns how many cycles a part has: so many that their states have so many bytes."""
    size = sum(-(-flip_flop.width // 8) for flip_flop in netlist.flip_flops)
    return int(max(1024, _STATES // size // 8 * 8))
