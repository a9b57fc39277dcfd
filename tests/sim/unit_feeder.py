"""Testbench: the feeder against a plain nested loop."""

import cocotb

from holdfast.gen.dataflow.feeder import Feeder
from tests.sim.units import Cycles, config, pack_layer

OUTPUTS = (
    "address", "sub_block", "pad", "token", "load_next", "done",
    "streaming", "stall_weights", "stall_memory", "stall_writeback",
)  # fmt: skip


def walk(layer: dict[str, int], sub_blocks: int, weight_interval: int) -> dict[int, tuple]:
    """(address, sub_block, pad, token, load_next) by cycle after go."""
    seen = {}
    begin = 2
    pixels = layer["out_h"] * layer["out_w"]
    tiles = [
        (tile, ky, kx, block)
        for tile in range(layer["co_tiles"])
        for ky in range(layer["kernel_h"])
        for kx in range(layer["kernel_w"])
        for block in range(layer["blocks"])
    ]
    for number, (tile, ky, kx, block) in enumerate(tiles):
        first = (ky, kx, block) == (0, 0, 0)
        last = number + 1 == len(tiles) or tiles[number + 1][0] != tile
        new_weights = last or not layer["hold_weights"]
        word, sub = divmod(layer["sub_block"] + block, sub_blocks)
        base = layer["input_base"] + tile * layer["input_step"] + word
        base += ky * layer["step_ky"] + kx * layer["step_kx"]
        for pixel in range(pixels):
            oy, ox = divmod(pixel, layer["out_w"])
            y = layer["origin_y"] + ky * layer["dilation"] + oy * layer["stride"]
            x = layer["origin_x"] + kx * layer["dilation"] + ox * layer["stride"]
            start, end = pixel == 0, pixel == pixels - 1
            token = 1 | start << 1 | end << 2 | first << 3 | last << 4
            load_next = start and new_weights and number + 1 < len(tiles)
            seen[begin + pixel] = (
                (base + oy * layer["step_y"] + ox * layer["step_x"]) % (1 << 16),
                sub,
                not (0 <= y < layer["in_h"] and 0 <= x < layer["in_w"]),
                token,
                load_next,
            )
        keep = 1 if pixels == 1 and not layer["maximum"] else Feeder.HAZARD
        interval = weight_interval if new_weights else keep
        begin += max(pixels, interval) + (Feeder.GAP if last else 0)
    return seen


async def compare(bench: Cycles, layer: dict[str, int]) -> None:
    """One layer from go to done, and a few idle cycles."""
    cfg = config()
    expect = walk(layer, cfg.sub_blocks, Feeder.weight_interval(cfg.rows, cfg.cols))
    last = max(expect)
    await bench.step(layer=pack_layer(**layer), go=0)
    spent = dict.fromkeys(OUTPUTS[6:], 0)
    for cycle in range(last + 8):
        seen = await bench.step(go=cycle == 0)
        for name in spent:
            spent[name] += seen[name]
        got = tuple(seen[name] for name in OUTPUTS[:5])
        if cycle in expect:
            assert got == expect[cycle], f"cycle {cycle}: {got} != {expect[cycle]}, {layer}"
        else:
            assert seen["token"] == 0 and seen["load_next"] == 0, f"cycle {cycle}, {layer}"
        assert seen["done"] == (cycle == last), f"cycle {cycle}, {layer}"
    assert spent["streaming"] == len(expect)
    # Each cycle from the first pixel to the last is spent on something, and only one thing.
    assert sum(spent.values()) == last - 1, spent


def draw_layer(bench: Cycles, **fixed: int) -> dict[str, int]:
    draw = bench.random.randint
    words = {
        name: draw(0, 0xFFFF)
        for name in (
            "input_base", "input_step", "step_x", "step_y", "step_kx", "step_ky"
        )
    }  # fmt: skip
    blocks = draw(1, 4)
    return (
        words
        | {
            "stride": draw(1, 2),
            "dilation": draw(1, 2),
            "sub_block": draw(0, config().sub_blocks - 1),
            "blocks": blocks,
            "hold_weights": int(blocks == 1 and draw(0, 1)),
            "maximum": draw(0, 1),
            "origin_y": draw(-3, 1),
            "origin_x": draw(-3, 1),
            "kernel_h": draw(1, 3),
            "kernel_w": draw(1, 3),
            "in_h": draw(1, 6),
            "in_w": draw(1, 6),
            "co_tiles": draw(1, 3),
            "out_h": draw(1, 4),
            "out_w": draw(1, 4),
        }
        | fixed
    )


@cocotb.test()
async def random_layers(dut):
    bench = await Cycles.start(dut, *OUTPUTS)
    for _ in range(25):
        await compare(bench, draw_layer(bench))


@cocotb.test()
async def one_pixel(dut):
    """Tiles of one pixel, with new weights and with held ones."""
    bench = await Cycles.start(dut, *OUTPUTS)
    for hold, maximum in ((0, 0), (1, 0), (1, 1)):
        fixed = {"out_h": 1, "out_w": 1, "blocks": 1, "hold_weights": hold, "maximum": maximum}
        await compare(bench, draw_layer(bench, **fixed, kernel_h=3, kernel_w=3, co_tiles=2))


@cocotb.test()
async def wide_rows(dut):
    """Maps with negative origins: coordinates beyond 8 bits."""
    bench = await Cycles.start(dut, *OUTPUTS)
    fixed = {"kernel_h": 1, "kernel_w": 2, "blocks": 1, "co_tiles": 1, "out_h": 2}
    await compare(bench, draw_layer(bench, **fixed, out_w=300, in_w=299, stride=1, origin_x=-2))


@cocotb.test()
async def stop_ends_the_walk(dut):
    bench = await Cycles.start(dut, *OUTPUTS)
    layer = draw_layer(bench, out_h=4, out_w=4, kernel_h=3, kernel_w=3)
    await bench.step(layer=pack_layer(**layer))
    await bench.step(go=1)
    for _ in range(20):
        await bench.step(go=0)
    await bench.step(stop=1)
    await bench.step(stop=0)
    for _ in range(50):
        seen = await bench.step()
        assert seen["token"] == 0 and not seen["done"]
    await compare(bench, draw_layer(bench))
