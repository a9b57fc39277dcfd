"""Random command lines for every command, up to where its work begins."""

import random
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import typer

import holdfast.constraints.__main__ as bitstream
import holdfast.explore.__main__ as explore
import holdfast.fault.__main__ as campaign
import holdfast.gen.__main__ as generate
from holdfast.constraints import client
from holdfast.constraints.flow import build
from holdfast.explore import exploration
from holdfast.fault import rates, simulate, simulation
from holdfast.fault.calibration import calibrate
from holdfast.fault.campaign import campaign as engine
from holdfast.fault.campaign import replay_upset
from holdfast.fault.injection import layerwise
from holdfast.nn.data.cifar import Cifar10
from holdfast.nn.data.images import ImageSet
from holdfast.nn.networks.float import FloatNetwork
from holdfast.nn.networks.registry import network
from holdfast.nn.training import ftt, ptq, recipe, train
from holdfast.nn.training.checkpoint import write_checkpoint
from holdfast.sim.machine.schedule import Schedule
from tests.fault.tiny import CONFIG, graph, images, netlist, program

APPS = {
    "generate": generate.app,
    "sim": simulate.app,
    "campaign": campaign.app,
    "rates": rates.app,
    "calibrate": calibrate.app,
    "explore": explore.app,
    "bitstream": bitstream.app,
    "holdfast": client.app,
    "train": train.app,
    "ptq": ptq.app,
    "ftt": ftt.app,
}

NUMBERS = ["0", "1", "-1", "2", "3", "8", "9", "16", "17", "255", "10000", "10001", "1e3", "0.5",
           "-0.0", "1e-12", "nan", "inf", "-inf", "1e400", "2147483647", "2147483648",
           "-9223372036854775809", "99999999999999999999", "9" * 5000, "0x10", "1_000", " 7 ", "٣",
           "½", "", "1e", "--5", "0.99999999", "1.0000001"]  # fmt: skip
HOSTILE = ["", " ", ",", ",,", "x", "[/]", "[/x]", "[bold]x", "a[old]", "\x1b[31m", "\x07",
           "a\nb", "\r", "\t", "\udcff", "é", "\u202e", "null", "-", "--", "-h", "*", "a" * 300,
           "a/" * 2000, "a" * 100_000, "%s", "{}", "$(x)", "'", '"', "\\"]  # fmt: skip
PATHS = ["file.toml", "folder", "folder/new", "absent", "absent/deep/er", "[old]", "[/x]/y", "é",
         "\udcff", "a\nb", "file.toml/x", "pipe", "/dev/null", "/dev/zero", "link", "n" * 255,
         "n" * 256, "o/" * 101, "nested.toml", "long.toml", "study.toml", "list.json", "zeros.npz",
         "model.safetensors"]  # fmt: skip
# What is right, or nearly, so that random lines also get beyond the first check.
RIGHT = {
    "--network": ["resnet8", "resnet20", "lenet5_w0.5", "resnet8 ", "resnet8,resnet8"],
    "--networks": ["resnet8", "resnet8,resnet20", "resnet8, resnet8"],
    "--model": ["resnet8", "resnet20"],
    "--guard": ["off", "bound", "zero", "fixed"],
    "--guards": ["off", "off,bound", "bound, bound", "fixed"],
    "--compare": ["off,bound", "off,off", "off, zero", "bound,fixed"],
    "--against": ["folder", "folder,folder", "a/x,b/x"],
    "--environment": ["sky.toml"],
    "--metric": ["sdc1", "avf", "hang"],
    "--margin": ["1%", "0.5%", "0.0001%", "50%", "1e-9"],
    "--confidence": ["99%", "0.5", "0.999999999999999999"],
    "--stop-at": ["1%", "0.1"],
    "--audit": ["0", "0.1%", "100%"],
    "--max-sdc": ["1%", "0"],
    "--structures": ["weight", "weight,skew", "weight, weight", "skew"],
    "--layers": ["a", "a,b", "a,a", "logits"],
    "--phases": ["stream", "stream,stream", "drain,fetch"],
    "--pes": ["0.0", "0.0,1.1", "0.0,0.0", "99.99", "²."],
    "--pattern": ["a{99999999999}", "(" * 3000, "[z-a]", "array__pe", "weight$", "(a+)+"],
    "--cycles": ["all", "first-mac"],
    "--requantize": ["sum", "slice", "tile"],
    "--fit": ["flip-flop=1,memory=2", "flip-flop=nan,memory=1", "flip-flop=1e308,memory=1"],
    "--replay": ["a/i0/c1/first[0]", "c1/weight[0]", "c1234/array__pe_0_0__weight[5]"],
    "--engine": ["cocotb", "fast"],
    "--arrays": ["8x8", "2x2,2x2", "99x99", "²x²"],
    "--targets": ["ecp5", "ecp5,xc7", "ecp5,ecp5"],
    "--target": ["ecp5"],
    "--models": ["single-flip", "mibb@1e-5", "mibb@nan", "stuck-pes@0.1", "adsaf@"],
    "--board": ["ulx3s", "icebreaker", "kv260"],
    "--name": ["my_core", "logic", "module", "clk", "_", "é"],
    "--clip": ["max", "percentile", "mse"],
    "--scales": ["multiplier", "power-of-two"],
    "--granularity": ["channel", "tensor"],
    "--bounds": ["calibrated", "learnt"],
    "--faults": ["100", "0", "none", "mibb", "adsaf", "stuck-pes:4x4", "calibrated:absent",
                 "stuck-pes:²x1"],
    "--port": ["/dev/ttyUSB9"],
    "--scheduler": ["tcp://x:1"],
    "--config": ["file.toml"],
    "--study": ["study.toml"],
    "--output": ["folder/new", "[old]", "[/x]/y", "é"],
    "--store": ["folder/new", "[old]", "[/x]/y", "é"],
    "--data": ["folder", "zeros.npz"],
    "--images": ["1", "2", "3"],
}  # fmt: skip
SMALL = ["1", "2", "4", "8", "0", "0.5"]


class BeginsError(Exception):
    """The work of a command begins."""


def begins(*_, **__):
    raise BeginsError


def files(folder: Path) -> None:
    """What lies in the folder from which commands are called."""
    (folder / "file.toml").write_text(CONFIG.to_toml(), encoding="utf-8")
    (folder / "folder").mkdir()
    (folder / "link").symlink_to("absent")
    (folder / "nested.toml").write_text("a = " + "[" * 5000, encoding="utf-8")
    (folder / "long.toml").write_text("rows = " + "9" * 5000, encoding="utf-8")
    (folder / "study.toml").write_text("arrays = ['4x4']\nimages = 2\n", encoding="utf-8")
    sky = 'format = 1\nsource = "x"\nunit = "FIT/Mbit"\nrates = {flip_flop = 1, block_ram = 1}\n'
    (folder / "sky.toml").write_text(sky, encoding="utf-8")
    (folder / "list.json").write_text("[]", encoding="utf-8")
    np.savez(folder / "zeros.npz", x=np.zeros(3))
    (folder / "model.safetensors").write_bytes(b"\xff" * 20)
    (folder / "build" / "train").mkdir(parents=True)
    net = FloatNetwork(network("resnet8"))
    write_checkpoint(folder / "build/train/resnet8_float.pt", {"network": net.state_dict()})


def stop_where_work_begins(monkeypatch) -> None:
    """Everything up to it stays as it is; small networks stand for large ones."""
    some = ImageSet("small", np.zeros((4, 3, 32, 32), np.uint8), np.zeros(4, np.uint8))
    data = Cifar10(some, (some,))
    real = simulate.configuration

    def configuration(network, *given):
        real(network, *given)
        return CONFIG

    monkeypatch.setattr(client, "load_network", lru_cache(client.load_network))
    for room in (simulate, campaign):
        monkeypatch.setattr(room, "load_network", tiny(room.load_network))
        monkeypatch.setattr(room, "configuration", configuration)
    for room in (simulation, campaign):
        monkeypatch.setattr(room, "images_for", lambda *_: ImageSet("", images().numpy(), None))
    monkeypatch.setattr(
        client, "compile_graph", lambda network, *_, **__: SimpleNamespace(graph=network)
    )
    for room in (simulate, engine):
        monkeypatch.setattr(room, "compile_graph", lambda *_: program())
        monkeypatch.setattr(room, "accelerator_netlist", lambda _: netlist())
    monkeypatch.setattr(simulation, "image_codes", lambda *_: images())
    monkeypatch.setattr(engine, "pixel_codes", lambda *_: images().numpy())
    for room in (simulation, engine, exploration):
        monkeypatch.setattr(room, "find_tools", lambda: None)
    monkeypatch.setattr(generate, "emit", lambda *_: "module")
    for name in ("build_cocotb", "build_compiled"):
        monkeypatch.setattr(simulate, name, lambda *_, **__: SimpleNamespace(netlist=netlist()))
    monkeypatch.setattr(simulation, "golden_run", begins)
    monkeypatch.setattr(layerwise, "simulate_work", begins)
    schedule = Schedule(program())
    monkeypatch.setattr(engine, "Schedule", lambda _: schedule)
    monkeypatch.setattr(replay_upset, "replay_upset", begins)
    monkeypatch.setattr(engine, "golden_runs", begins)
    monkeypatch.setattr(rates, "PriorCampaign", SimpleNamespace(load=begins))
    monkeypatch.setattr(calibrate, "fit", begins)
    monkeypatch.setattr(calibrate, "predict", begins)
    monkeypatch.setattr(exploration, "plan_points", begins)
    monkeypatch.setattr(build, "program", lambda _: None)
    monkeypatch.setattr(build, "synthesize_board", begins)
    monkeypatch.setattr(client, "generated_images", lambda *_: some)
    monkeypatch.setattr(client, "open_transport", begins)
    for room in (train, ptq, ftt):
        monkeypatch.setattr(room, "load_cifar10", known_data(room.load_cifar10, data))
    monkeypatch.setattr(ptq, "clips_on", begins)
    monkeypatch.setattr(train, "download", begins)
    monkeypatch.setattr(recipe, "FloatNetwork", begins)
    monkeypatch.setattr(ftt, "_Bench", begins)


def tiny(load):
    """A network's mistakes are its own; what is right is the tiny one."""
    known = lru_cache(load)

    def loaded(name):
        known(name)
        return graph()

    return loaded


def known_data(load, data):
    def loaded(place):
        if place is not None:
            load(place)
        return data

    return loaded


@dataclass(frozen=True)
class Parameter:
    """An option or an argument of a command."""

    name: str
    kind: str
    flag: bool
    required: bool
    option: bool


@cache
def commands(app_name: str) -> dict[tuple[str, ...], list[Parameter]]:
    """Parameters of the commands of an app."""
    found = {}
    top = typer.main.get_command(APPS[app_name])
    groups = getattr(top, "commands", {})
    if not groups or getattr(top, "invoke_without_command", False):
        found[()] = top
    found |= {(name,): command for name, command in groups.items()}
    return {words: [described(p) for p in command.params] for words, command in found.items()}


def described(parameter) -> Parameter:
    option = parameter.param_type_name == "option"
    return Parameter(
        max(parameter.opts, key=len),
        sort_of(parameter) or "",
        getattr(parameter, "is_flag", False),
        parameter.required,
        option,
    )


def sort_of(parameter) -> str | None:
    """What base.options made it; None: it did not."""
    callback = parameter.callback
    while callback is not None and not hasattr(callback, "sort"):
        callback = getattr(callback, "__wrapped__", None)
    return None if callback is None else callback.sort


def value(source: random.Random, parameter: Parameter) -> str:
    """One for an option, mostly of its kind."""
    numeric = parameter.kind in ("whole", "number")
    right = RIGHT.get(parameter.name) or (SMALL if numeric else PATHS)
    pool = NUMBERS if numeric else PATHS if parameter.kind == "path" else HOSTILE
    every = [*NUMBERS, *PATHS, *(one for known in RIGHT.values() for one in known)]
    return source.choice(source.choices([right, pool, HOSTILE, every], [16, 4, 1, 1])[0])


def line(source: random.Random, app_name: str) -> list[str]:
    """A command line; surrogates are bytes of a file's name that are not UTF-8."""
    words, parameters = source.choice(list(commands(app_name).items()))
    arguments = list(words)
    for parameter in parameters:
        if parameter.name == "--help":
            continue
        wanted = 0.9 if parameter.required else min(0.5, 2.5 / len(parameters))
        for _ in range((source.random() < wanted) + (source.random() < 0.02)):
            if parameter.flag:
                arguments.append(parameter.name)
            elif parameter.option:
                arguments += [parameter.name, value(source, parameter)]
            else:
                arguments.append(value(source, parameter))
    if source.random() < 0.02:
        arguments.append(source.choice(HOSTILE))
    return arguments
