"""The command: what it measures, what it writes, what it recommends, and how it refuses."""

import json
import tomllib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import holdfast.explore.__main__ as command
import holdfast.fault.__main__ as campaign
from holdfast.base.cache import Cache
from holdfast.base.command import run
from holdfast.constraints.families.base import Cost
from holdfast.constraints.flow.synthesis import Synthesis
from holdfast.explore.exploration import plan_points
from holdfast.explore.measurements import area
from holdfast.explore.measurements.images import test_sets as image_sets
from holdfast.explore.report import report
from holdfast.explore.study import Study
from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.verilog import emit
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.data import cifar as data
from holdfast.nn.graph.golden import Golden, classes
from holdfast.nn.graph.graph import Graph
from holdfast.nn.graph.guard_modes import GUARDS, check_guard
from holdfast.nn.graph.pixels import image_codes
from holdfast.sim.machine.cycles import step_cycles
from tests.base.pages import HOSTILE, figures, hostile, needs_nothing, parts
from tests.explore.tiny import write_study
from tests.fault.in_process import POOL, in_this_process


def counted(verilog, top, family, folder):
    """Stands in for synthesis, which has tests of its own and takes ten seconds a design."""
    assert f"module {top}(" in verilog
    return Synthesis(family, Cost(lut=len(verilog) // 100, ff=2, dsp=3, mem=4.5), {})


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A study beside its networks, and no CIFAR-10."""
    folder = tmp_path_factory.mktemp("explore")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("HOLDFAST_DATA", raising=False)
        patch.setattr(data, "_SHARED", folder / "absent")
        patch.setattr(area, "synthesize", counted)
        image_sets.cache_clear()
        study = write_study(folder)
        yield SimpleNamespace(
            folder=folder, study=str(study), out=folder / "out", cache=folder / "cache",
            patch=patch,
        )  # fmt: skip
    image_sets.cache_clear()


def call(place, capfd, *options, study=None):
    """Exit code, output and complaint."""
    given = [] if "recommend" in options else ["--study", study or place.study]
    if not given:
        options = [*options, "--output", str(place.out)]
    else:
        given += ["--output", str(place.out), "--cache", str(place.cache), "--jobs", "1"]
    place.patch.setattr("sys.argv", ["explore", *given, *options])
    code = run(command.app)
    told = capfd.readouterr()
    return code, " ".join(told.out.split()), told.err


@pytest.fixture(scope="module")
def summary(place):
    arguments = ["--study", place.study, "--output", str(place.out), "--cache", str(place.cache)]
    place.patch.setattr("sys.argv", ["explore", *arguments, "--jobs", "1"])
    assert run(command.app) == 0
    return json.loads((place.out / "summary.json").read_text())


def test_every_point_has_its_figures(place, summary):
    graph = Graph.load(place.folder / "small.safetensors")
    assert [p["name"] for p in summary["points"]] == ["small 2x1 off", "small 2x1 bound"]
    for point, guard in zip(summary["points"], (False, True), strict=True):
        config = AcceleratorConfig(**point["config"])
        assert config.guard is guard
        assert (config.rows, config.cols, config.act_bits, config.weight_bits) == (2, 1, 4, 4)
        assert config.weight_depth == 512
        program = compile_graph(graph, config)
        assert point["cycles"] == sum(step_cycles(program, s).total() for s in program.steps)
        assert point["accuracy"] is None and "CIFAR-10" in point["absent"]["accuracy"]
        faults = point["models"]["single-flip"]
        assert (faults["set"], faults["images"]) == ("generated", 20)
    off, bound = summary["points"]
    assert "pairs" not in off["campaign"]["all"] and "pairs" in bound["campaign"]["all"]
    assert summary["front_of"] == ["sdc1", "lut", "cycles"]


@pytest.mark.parametrize(
    ("guards", "campaigns"),
    [
        (("off",), [("off",)]),
        (("off", "fixed"), [("off", "fixed")] * 2),
        (("fixed", "bound"), [("fixed",), ("bound",)]),
        (
            ("off", "fixed", "bound", "zero"),
            [("off", "bound", "zero"), ("off", "fixed")] + [("off", "bound", "zero")] * 2,
        ),
    ],
)
def test_learnt_and_fixed_bounds_have_campaigns_of_their_own(place, tmp_path, guards, campaigns):
    """No accelerator can do both; one whose guard is off is that of the others."""
    study = Study.from_toml(Path(place.study)).changed(guards=guards)
    plans = plan_points(study, None, tmp_path, Cache(tmp_path))
    assert [plan.measurements["campaign"].guards for plan in plans] == campaigns
    for plan in plans:
        made, campaign = plan.point.config, plan.measurements["campaign"]
        assert (made.guard, made.learnt_bounds) == {
            "off": (False, True), "fixed": (True, False),
        }.get(plan.point.guard, (True, True))  # fmt: skip
        for name in campaign.guards:
            check_guard(campaign.config, GUARDS[name])


def test_area_is_of_the_netlist_with_and_without_the_guard(place, summary):
    off, bound = (p["area"]["ecp5"]["lut"] for p in summary["points"])
    assert off < bound
    config = AcceleratorConfig(**summary["points"][0]["config"])
    assert off == len(emit(config, "accelerator")) // 100


def test_reliability_is_the_campaigns(place, summary, capfd, monkeypatch):
    """The campaign's own command finds the same shares for the same faults."""
    monkeypatch.setattr(POOL, in_this_process)
    config = place.folder / "small.toml"
    config.write_text(AcceleratorConfig(**summary["points"][1]["config"]).to_toml())
    store = place.folder / "store"
    arguments = ["--network", str(place.folder / "small.safetensors"), "--config", str(config)]
    arguments += ["--faults", "60", "--minimum", "2", "--audit", "10%", "--seed", "1"]
    arguments += ["--compare", "off,bound", "--processes", "1", "--store", str(store)]
    place.patch.setattr("sys.argv", ["campaign", *arguments])
    assert run(campaign.app) == 0
    pairs = json.loads((store / "comparison.json").read_text())["second"]["bound"]
    for point in summary["points"]:
        found = json.loads((store / f"guard_{point['guard']}" / "summary.json").read_text())
        own = point["campaign"]["all"]
        assert own["total"] == {name: found["total"][name] for name in own["total"]}
        assert own["faults"] == found["faults"] and own["audit"]["checked"] > 0
    assert summary["points"][1]["campaign"]["all"]["pairs"] == pairs


def test_known_measurements_are_not_repeated(place, summary, capfd):
    code, told, _ = call(place, capfd)
    assert code == 0 and "2 points, 6 measurements, 6 of them known." in told
    again = json.loads((place.out / "summary.json").read_text())
    assert again["points"] == summary["points"]
    one = next(place.cache.glob("campaign/*.json"))
    one.write_text("{")
    code, told, _ = call(place, capfd)
    assert code == 0
    assert "6 measurements, 5 of them known." in told
    assert f"{one} is damaged: measured anew." in told
    assert json.loads((place.out / "summary.json").read_text())["points"] == summary["points"]


def test_the_report_holds_every_point(place, summary):
    page = (place.out / "report.html").read_text()
    assert needs_nothing(page)
    rows = page.split('<table id="points">', 1)[1].split("</tbody>", 1)[0]
    assert rows.count("<tr>") == 3
    shown = figures(page)
    assert set(shown) == {"sdc1_lut", "lut_cycles", "sdc1_cycles"}
    for figure in shown.values():
        assert [row["lut"] for row in figure["spec"]["data"]["values"]] == [
            point["area"]["ecp5"]["lut"] for point in summary["points"]
        ]


def test_no_text_of_a_summary_becomes_markup(summary):
    study, points = summary["study"], summary["points"]
    names = {summary["command"], *study["targets"], *study["models"], *study["guards"]}
    names |= {text for p in points for text in (p["network"], p["name"], p["guard"])}
    names |= {why for p in points for why in p["absent"].values()}
    for point in points:
        names |= {*point["milliseconds"], *(entry["set"] for entry in point["models"].values())}
    page = report(hostile(summary, names))
    assert parts(page)[0] == parts(report(summary))[0]
    shown = figures(page)["lut_cycles"]["spec"]["data"]["values"]
    assert shown[0]["network"] == points[0]["network"] + HOSTILE
    assert page.encode()


def test_stuck_elements_are_shown_by_array(summary):
    summary = json.loads(json.dumps(summary).replace('"single-flip"', '"stuck-pes@0.1"'))
    summary["points"][1]["config"]["rows"] = 3
    shown = report(summary).split("stuck-pes@0.1</h2>", 1)[1]
    assert "small 2x1" in shown and "small 3x1" in shown


def test_a_placed_configuration_has_its_clock(place, summary, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    built = Path("build", "bitstream", "ulx3s", "summary.json")
    built.parent.mkdir(parents=True)
    first = summary["points"][0]
    built.write_text(json.dumps({"board": "ulx3s", "config": first["config"], "fmax_mhz": 62.5}))
    code, told, _ = call(place, capfd)
    found, other = json.loads((place.out / "summary.json").read_text())["points"]
    milliseconds = first["cycles"] / 62_500
    assert found["clock_mhz"] == {"ulx3s": 62.5}
    assert found["milliseconds"]["ulx3s"] == pytest.approx(milliseconds)
    assert other["clock_mhz"] == other["milliseconds"] == {}
    assert code == 0 and " ms front" in told and f"{milliseconds:.3g}" in told
    assert "(ulx3s, 62.5 MHz)" in (place.out / "report.html").read_text()
    built.write_text('{"board": "ulx3s"')  # as while it is built
    assert call(place, capfd)[0] == 0
    assert json.loads((place.out / "summary.json").read_text())["points"] == summary["points"]


def test_accuracy_is_measured_where_data_are(place, summary, capfd, tmp_path):
    images = data.generated_images(30, 1).images
    graph = Graph.load(place.folder / "small.safetensors")
    found = classes(Golden(graph).logits(image_codes(images, 4))).numpy()
    labels = found.astype(np.uint8)
    labels[:6] = (labels[:6] + 1) % 10
    file = tmp_path / "cifar.npz"
    np.savez(file, train_x=images, train_y=labels, test_x=images, test_y=labels)
    code, told, _ = call(place, capfd, "--data", str(file), "--faults", "0")
    assert code == 0, told
    off, bound = json.loads((place.out / "summary.json").read_text())["points"]
    assert off["accuracy"]["sets"][0]["images"] == 30
    assert off["accuracy"]["sets"][0]["percent"] == 80.0
    assert off["campaign"] is None and "no faults" in off["absent"]["campaign"]
    guarded = classes(Golden(graph, "bound", "bound").logits(image_codes(images, 4))).numpy()
    assert bound["accuracy"]["sets"][0]["percent"] == pytest.approx(
        100 * (guarded == labels).mean(), abs=0.01
    )


def test_recommend_writes_what_sim_reads(place, summary, capfd):
    del summary["check"]
    (place.out / "summary.json").write_text(json.dumps(summary))
    off = summary["points"][0]["area"]["ecp5"]["lut"]
    code, told, _ = call(place, capfd, "recommend", "--max-lut", str(off))
    assert code == 0 and "small 2x1 off: least latency, then least look-up tables" in told
    written = place.out / "recommended.toml"
    assert tomllib.loads(written.read_text())["guard"] is False
    config = AcceleratorConfig.from_toml(written)
    assert config == AcceleratorConfig(**summary["points"][0]["config"])
    written.unlink()
    code, told, complaint = call(place, capfd, "recommend", "--max-lut", "9")
    assert code == 2 and not written.exists()
    assert complaint.startswith("none of 2 points keeps the budget; nearest is small 2x1 off, ")
    assert f"look-up tables with {off:,} of 9." in complaint
    assert "Nearest points" in told


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--networks", "resnet9"], "there is no network 'resnet9'; shipped are"),
        (["--networks", "resnet8,resnet8_int8"], "two networks are called resnet8_int8"),
        (["--networks", "{folder}/wide.safetensors"], "wide 2x1 off cannot be built: "),
        (["--arrays", "17x2"], "rows must be 1 to 16, not 17."),
        (["--arrays", "2by2"], "an array is ROWSxCOLS, such as 8x8, not '2by2'."),
        (["--guards", "on"], "guards has an unknown 'on'; known are off, bound, zero, fixed."),
        (["--targets", "ecp6"], "targets has an unknown 'ecp6'; known are ecp5"),
        (["--structures", "wieght"], "structures has an unknown 'wieght'"),
        (["--faults", "-1"], "--faults must be 0 to 100,000,000, not -1."),
        (["--models", "mibb@2"], "rate must be from 0 to 1, not 2.0."),
        (["--models", "mibb@x"], "the rate of mibb must be a number, not 'x'."),
        (["--models", "mbb@1"], "unknown fault model 'mbb@1'; known are single-flip"),
        (["--audit", "2"], "--audit must be between 0 and 1"),
        (["--jobs", "0"], "--jobs must be 1 to 256, not 0."),
        (["--data", "{folder}/none"], "no CIFAR-10 data at"),
    ],
)
def test_mistakes_are_one_sentence(place, capfd, tmp_path, options, message):
    place.out = tmp_path / "out"
    code, _, told = call(place, capfd, *(o.format(folder=place.folder) for o in options))
    assert code == 2
    assert message in told and told.count("\n") == 1
    assert not (place.out / "summary.json").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("faults = 'x'", "faults must be an integer, not 'x'."),
        ("faults = true", "faults must be an integer, not True."),
        ("audit = 'x'", "audit must be a number, not 'x'."),
        ("arrays = '8x8'", "arrays must be a list of texts, not '8x8'."),
        ("accelerator = 1", "accelerator must be a table, not 1."),
        ("arrays = []", "arrays must not be empty."),
        ("arrays = ['2x1', '2x1']", "arrays has '2x1' twice."),
        ("audit = 1.5", "audit must be 0 to 1, not 1.5."),
        ("audit = nan", "audit must be 0 to 1, not nan."),
        ("images = 10001", "images must be 1 to 10,000, not 10001."),
        ("bits = 8", "has an unknown key 'bits'; known are networks"),
        ("[accelerator]\nact_bits = 9", "accelerator.act_bits is decided by the network"),
        ("[accelerator]\nrow = 9", "accelerator has an unknown key 'row'."),
        ("[accelerator]\nacc_bits = 40", "acc_bits must be 8 to 32, not 40."),
        ("[", "is not valid TOML"),
    ],
)
def test_mistakes_in_a_study(place, capfd, tmp_path, text, message):
    study = tmp_path / "bad.toml"
    study.write_text(text)
    code, _, told = call(place, capfd, study=str(study))
    assert code == 2
    assert message in told and told.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no {path}; `holdfast explore` writes it."),
        ("{", "exploration {path} is not valid JSON: "),
        (
            '{"format": 1, "check": "0"}',
            "exploration {path} is damaged: it does not match its check;",
        ),
        ("[" * 5000, "exploration {path} is not valid JSON: it is nested too deep; `holdfast"),
        ('{"format": 1, "points": []}', "{path} is damaged; `holdfast explore` writes it anew."),
        ('{"format": 1, "points": [{}]}', "{path} is damaged; `holdfast explore` writes it anew."),
        ('{"format": 0, "points": [1]}', "{path} is of another version"),
    ],
)
def test_recommend_without_an_exploration(place, capfd, tmp_path, content, message):
    place.out = tmp_path
    path = tmp_path / "summary.json"
    if content is not None:
        path.write_text(content)
    code, _, told = call(place, capfd, "recommend", "--max-lut", "100")
    assert code == 2 and told.startswith(message.format(path=path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "recommend needs --min-accuracy, --max-sdc, --max-lut or --max-cycles."),
        (["--max-lut", "0"], "--max-lut must be 1 to 1,000,000,000, not 0."),
        (["--min-accuracy", "101"], "--min-accuracy must be 0 to 100, not 101.0."),
        (["--max-sdc", "2"], "--max-sdc must be between 0 and 1"),
    ],
)
def test_impossible_budgets(place, capfd, options, message):
    code, _, told = call(place, capfd, "recommend", *options)
    assert code == 2 and told.startswith(message)
