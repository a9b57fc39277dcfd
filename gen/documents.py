"""Says what people and C programs read of ``layout``: a header and a page of tables."""

from collections.abc import Callable, Iterable

from holdfast.gen.port.uart_bridge import LINK_ADDRESS, LINK_BITS, Command
from holdfast.gen.protection.guards import LearntGuard
from holdfast.gen.protection.registry import ADDED_FROM

from .layout import (
    ADDRESS_BITS,
    CONTROL,
    DESCRIPTOR,
    DESCRIPTOR_STRIDE,
    DESCRIPTOR_WORDS,
    MAGIC,
    REGION_BITS,
    REGISTERS,
    STATUS_BITS,
    STATUS_MEANINGS,
    Region,
    Status,
)

_CONTROL = {
    "start": "begins a run; reads as 0",
    **LearntGuard.switches,
    "interrupt": "raises the interrupt when a run has ended",
}

_STATUS = {
    "busy": "a run is under way",
    "done": "a run has ended; 0 from the next start on",
    "refused": "a write during the run was refused",
    "code": "how the run ended",
    "index": "the descriptor under way or, at the end, the last one",
}

_LINK = {
    "read_refused": "a read was refused and answered with ones",
    "write_refused": "a write was refused",
    "byte_lost": "a byte was lost: its stop bit was missing, or an answer was being sent; or a "
    "checksum was wrong",
    "late": "a command was not completed in time",
    "checksum": "15 in a bridge with a checksum, otherwise 0",
    "locked": "only commands with a checksum are taken",
    "words": "words written since the last clear, modulo 65536",
}

_REGIONS = {
    Region.REGISTERS: "registers",
    Region.PROGRAM: f"descriptors, {4 * DESCRIPTOR_STRIDE} bytes from one to the next",
    Region.PARAMETERS: "parameters of output channels, 16 bytes from one to the next",
    Region.WEIGHTS: "weights, `cols` lanes per word",
    Region.ACTIVATIONS: "activation bank 0, `word_lanes` lanes per word; further banks follow",
}


def c_header() -> str:
    """Returns ``holdfast.h``: offsets, bits and codes, and macros that pack a descriptor."""
    lines = [
        "/* What a host needs to know of a Holdfast accelerator. Written by python -m gen. */",
        "#ifndef HOLDFAST_H",
        "#define HOLDFAST_H",
        "",
        "#include <stdint.h>",
        "",
        f"#define HOLDFAST_ID 0x{MAGIC:08X}u",
        "",
        "/* Reset: rst is active high and synchronous; one cycle of it is enough. */",
        "",
        "/* Byte addresses of registers. */",
        *_defines("REG", {r.name: f"0x{r.offset:02X}u" for r in REGISTERS}),
        "",
        "/* Register control. */",
        *_defines("CONTROL", {name: f"(1u << {bit})" for name, bit in CONTROL.items()}),
        "",
        "/* Register status. */",
        *(_part("STATUS", name, offset, width) for name, (offset, width) in STATUS_BITS.items()),
        "",
        "enum holdfast_code {",
        *(
            f"    HOLDFAST_CODE_{status.name} = {status}" + "," * (status != list(Status)[-1])
            for status in Status
        ),
        "};",
        "",
        "/* Byte addresses of memories. */",
        *_defines("REGION", {r.name: f"0x{r << REGION_BITS:07X}u" for r in Region}),
        f"#define HOLDFAST_REGION_SIZE 0x{1 << REGION_BITS:07X}u",
        "#define HOLDFAST_REGION_BANK(bank) \\",
        "    (HOLDFAST_REGION_ACTIVATIONS + (uint32_t)(bank) * HOLDFAST_REGION_SIZE)",
        "",
        "/* Bytes from one memory word of so many lanes to the next. */",
        "#define HOLDFAST_STRIDE(lanes) \\",
        "    ((lanes) <= 4 ? 4u : (lanes) <= 8 ? 8u : (lanes) <= 16 ? 16u : 32u)",
        "",
        "/* The words of an output channel's parameters; the fourth is not used. */",
        "#define HOLDFAST_PARAMETER_STRIDE 16u",
        "#define HOLDFAST_PARAMETER_BIAS(bias) ((uint32_t)(bias))",
        "#define HOLDFAST_PARAMETER_SCALE(multiplier, shift) \\",
        "    ((uint32_t)(multiplier) | (uint32_t)(shift) << 24)",
        "#define HOLDFAST_PARAMETER_BOUNDS(low, high) \\",
        "    (((uint32_t)(low) & 0xFFFFu) | ((uint32_t)(high) & 0xFFFFu) << 16)",
        "",
        "/* Descriptors: words, and bytes from one to the next. */",
        f"#define HOLDFAST_DESCRIPTOR_WORDS {DESCRIPTOR_WORDS}",
        f"#define HOLDFAST_DESCRIPTOR_STRIDE {4 * DESCRIPTOR_STRIDE}u",
        "",
        "/* Sets a field of a zeroed descriptor: HOLDFAST_SET(words, KERNEL_H, 3). */",
        "#define HOLDFAST_SET(words, field, value) \\",
        "    ((words)[HOLDFAST_##field##_WORD] |= \\",
        "        ((uint32_t)(value) & HOLDFAST_##field##_MASK) << HOLDFAST_##field##_OFFSET)",
    ]
    for field in DESCRIPTOR:
        name = f"HOLDFAST_{field.name.upper()}"
        lines += [
            "",
            f"/* {field.meaning}{'; signed' if field.signed else ''} */",
            f"#define {name}_WORD {field.word}",
            f"#define {name}_OFFSET {field.offset}",
            f"#define {name}_MASK 0x{(1 << field.width) - 1:X}u",
        ]
    lines += [
        "",
        "/* Serial line: commands, and the word that the bridge answers itself. */",
        *_defines("UART", {command.name: f"{command}u" for command in Command}),
        f"#define HOLDFAST_LINK_ADDRESS 0x{LINK_ADDRESS:07X}u",
        *(_part("LINK", name, offset, width) for name, (offset, width) in LINK_BITS.items()),
        "",
        "#endif",
    ]
    return "\n".join(lines) + "\n"


def reference(header: str = "../rtl/holdfast.h") -> str:
    """Returns the page of the interface, in Markdown.

    Parameters
    ----------
    header : str
        Where the header lies, as seen from the page.
    """
    head = [
        "# Reference: what the host sees",
        "Written by `holdfast generate` from `gen/layout.py`; "
        f"[{header.removeprefix('../')}]({header}) is the same for C.",
    ]
    parts = (head, _addresses(), _registers(), _runs(), _formats(), _ports())
    return "\n\n".join(line for part in parts for line in part) + "\n"


def _addresses() -> list[str]:
    """Tells how the host reaches registers and memories."""
    return [
        "## Addresses",
        f"Bytes, {ADDRESS_BITS} bits; words have 32 bits, lowest byte first.",
        _table(("from", "what"), ((f"`0x{r << REGION_BITS:07X}`", _REGIONS[r]) for r in Region)),
        "A word of weights or activations takes one byte per lane, lane 0 first, padded to a power "
        "of two of at least four bytes. Codes narrower than a byte are read sign-extended; of what "
        "is written, the upper bits are ignored.",
        "While a run is under way, no memory can be read and activations cannot be written; "
        "weights, parameters and descriptors can. An address beyond a memory, a register that does "
        "not exist, or a write of part of a register, parameter or descriptor word is refused.",
    ]


def _registers() -> list[str]:
    """The registers and their bits."""
    return [
        "## Registers",
        _table(
            ("offset", "name", "access", "meaning"),
            ((f"`0x{r.offset:02X}`", f"`{r.name}`", r.access, r.meaning) for r in REGISTERS),
        ),
        "During a run, writes to `control`, `first` and `count` are refused.",
        "### control",
        _table(
            ("bit", "name", "meaning"), ((b, f"`{n}`", _CONTROL[n]) for n, b in CONTROL.items())
        ),
        "The guard's bits and counters exist only in an accelerator with a guard; of one with "
        "fixed bounds, `guard_output` alone.",
        "### status",
        _table(
            ("bits", "name", "meaning"),
            ((_bits(o, w), f"`{n}`", _STATUS[n]) for n, (o, w) in STATUS_BITS.items()),
        ),
        _table(
            ("code", "name", "descriptor `index`"),
            (
                (status, f"`{status.name}`", meaning.replace("{", "`").replace("}", "`"))
                for status, meaning in STATUS_MEANINGS.items()
            ),
        ),
        "After an error the accelerator is idle and takes the next start.",
        "### Registers of added protections",
        "Names in `protections` of the configuration add hardware that finds or repairs errors. "
        "Holdfast comes with the range guard alone, whose registers are above; CONTRIBUTING.md "
        "says how to add another. Such a protection has registers of its own, of four bytes each, "
        f"from `0x{ADDED_FROM:02X}` on: its switches, then its alarms, in the order in which "
        "it names them. Several protections follow one another, in the order in which the registry "
        "lists them.",
        _table(
            ("register", "access", "meaning"),
            (
                ("a switch", "rw", "bit 0 switches it on; 0 after reset, fixed during a run"),
                ("an alarm", "rw", "what it has counted, 32 bits; any write clears"),
            ),
        ),
        "Other accelerators refuse these addresses. In Python, `sim.registers.offsets(config)` "
        "gives the address of every register by name.",
    ]


def _runs() -> list[str]:
    """Reset, and how a network is run."""
    return [
        "## Reset",
        "`rst` is active high and synchronous: high at one rising edge of `clk` is enough, and "
        "settles every register. From then on `s_axi_awvalid`, `s_axi_wvalid` and `s_axi_arvalid` "
        "must be driven. Memories keep what they held, after power-up anything (X in a simulator "
        "of four states): write all of an image, weights and descriptors before a run reads them.",
        "## A run",
        "1. Write descriptors, parameters, weights and the image.\n"
        "2. Write `first` and `count`; with weights that are still to come, `ready`.\n"
        "3. Write `control` with `start`.\n"
        "4. Wait for the interrupt or for `busy` to fall, meanwhile raising `ready` as weights "
        "arrive.\n"
        "5. Look at `code`; read the last tensor.",
    ]


def _formats() -> list[str]:
    """Words of descriptors and parameters."""
    return [
        "## Descriptor",
        f"{DESCRIPTOR_WORDS} words, {4 * DESCRIPTOR_STRIDE} bytes from one to the next.",
        _table(
            ("word", "bits", "name", "signed", "meaning"),
            (
                (
                    f.word,
                    _bits(f.offset, f.width),
                    f"`{f.name}`",
                    "yes" if f.signed else "",
                    f.meaning,
                )
                for f in DESCRIPTOR
            ),
        ),
        "## Parameters",
        _table(
            ("word", "bits", "meaning"),
            (
                (0, "31..0", "bias, signed, of which the accelerator keeps `acc_bits`"),
                (1, "23..0", "multiplier, of which it keeps `multiplier_bits`"),
                (1, "29..24", "shift"),
                (2, "15..0", "lower bound of the output guard, signed, `act_bits` + 8 bits"),
                (2, "31..16", "its upper bound; an accelerator with fixed bounds keeps neither"),
                (3, "31..0", "not used"),
            ),
        ),
    ]


def _ports() -> list[str]:
    """The ports to the host."""
    return [
        "## AXI",
        "AXI4 subordinate, 32 data bits, 4 identity bits; FIXED, INCR and WRAP bursts of any "
        "length, narrow beats through their strobes. One burst at a time, writes and reads in "
        "turns: a written beat takes one cycle, a read beat five. A refused access is answered "
        "with SLVERR, for the whole burst of a write, for the beat of a read; the burst runs to "
        "its end. Beats of more than 32 bits are refused.",
        "## Serial line",
        "`Accelerator(config, UartBridge(divisor))`: eight data bits, no parity, one stop bit, "
        "`divisor` clock cycles per bit, and the commands of LiteX's UARTBone. A command is one "
        "byte for what to do, one for the number of words (0: 256), four for the byte address "
        "divided by four; then the words. All numbers begin with their highest byte.",
        _table(("command", "name"), ((f"`0x{c:02X}`", f"`{c.name}`") for c in Command)),
        f"UARTBone has no errors; the bridge keeps them at `0x{LINK_ADDRESS:07X}`, and any write "
        "there clears them. After a lost byte it ignores everything until the line has been "
        "quiet for its timeout; a half command is forgotten after the same time.",
        _table(
            ("bits", "name", "meaning"),
            ((_bits(o, width), f"`{n}`", _LINK[n]) for n, (o, width) in LINK_BITS.items()),
        ),
        "### Checksum",
        "`UartBridge(divisor, checksum=True)` (`holdfast generate --uart N --checksum`) knows the "
        "two `CHECKED` commands as well; their addresses increment. Their frames end in four more "
        "bytes, the CRC-32 (that of zlib and Ethernet) of all bytes before, lowest byte first. The "
        "words of a checked write wait in the bridge until the checksum has been found right, and "
        "are then written at one a clock cycle. A frame with a wrong one changes nothing, has no "
        "answer and counts as a lost byte. The answer to a checked read ends in the CRC-32 of its "
        "words. After a checked write of more words than clock cycles pass in three bytes the host "
        "has to wait; up to 64 words are fast enough at any speed.",
        f"A checked write to `0x{LINK_ADDRESS:07X}` locks the bridge if bit 0 of its word is 1, "
        "and lets go if it is 0; so does a reset. A locked bridge takes no command without a "
        "checksum, and ignores everything after one until the line has been quiet: what is left of "
        "a damaged frame is never taken for a command. To find out whether there is a checksum, a "
        "client locks the bridge and asks for its word with a checked read. A bridge without one "
        "does not answer: it takes the frames for a write beyond all addresses, and forgets the "
        "rest after its timeout. To clients of LiteX, a bridge that is not locked is the same with "
        "a checksum and without.",
    ]


DOCUMENTS: dict[str, Callable[[], str]] = {
    "rtl/holdfast.h": c_header,
    "docs/reference.md": reference,
}
"""Files by their path in the repository."""


def _defines(kind: str, values: dict[str, str]) -> Iterable[str]:
    return (f"#define HOLDFAST_{kind}_{name.upper()} {value}" for name, value in values.items())


def _part(kind: str, name: str, offset: int, width: int) -> str:
    mask = (1 << width) - 1
    return (
        f"#define HOLDFAST_{kind}_{name.upper()}(value) "
        f"((uint32_t)(value) >> {offset} & 0x{mask:X}u)"
    )


def _bits(offset: int, width: int) -> str:
    return str(offset) if width == 1 else f"{offset + width - 1}..{offset}"


def _table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *([str(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
