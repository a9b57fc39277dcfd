"""Ids of faults: what they say, that they are read back, and how a wrong one is refused."""

import pytest

from holdfast.base.errors import HoldfastError
from holdfast.fault.model.fault import Fault
from holdfast.fault.model.space import FaultSpace, Site
from tests.fault.tiny import netlist

LAYERS = {"a": 530, "b": 626}


def check(fault, cycles=100):
    """All that a runner checks."""
    if fault.layer:
        fault.check_layer(LAYERS, images=2)
    fault.check_bits(FaultSpace.of(netlist()))
    fault.check_cycle(LAYERS[fault.layer] if fault.layer else cycles)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("c17/weight[3]", Fault((Site("weight", None, 3),), 17)),
        ("c0/weights__lane_1[200][7]", Fault((Site("weights__lane_1", 200, 7),), 0)),
        (
            "c9/weights__lane_1[200][4:6]",
            Fault((Site("weights__lane_1", 200, 4), Site("weights__lane_1", 200, 5)), 9),
        ),
        ("c17/weight[3]=1", Fault((Site("weight", None, 3),), 17, 1)),
        ("c17/weight[3]=0x100", Fault((Site("weight", None, 3),), 17, 0, 100)),
        (
            "a/i1/c22/weights__lane_1[300][7]",
            Fault((Site("weights__lane_1", 300, 7),), 22, layer="a", image=1),
        ),
    ],
)
def test_an_id_says_what_and_when(text, fault):
    assert Fault.parse(text, in_layer=bool(fault.layer)) == fault
    assert str(fault) == text
    check(fault)


@pytest.mark.parametrize(
    "text",
    [
        "block1_conv1/i0/c1234/array__pe_0_1__weight[5]",
        "concat.0/i12/c0/weights__lane_1[511][7]",
        "odd/name/i1/c2/first[15]",
    ],
)
def test_ids_of_layers_are_read_back(text):
    assert str(Fault.parse(text, in_layer=True)) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x/i0/c0/first[0]", "layer x does not exist; known are a, b."),
        ("a/i2/c0/first[0]", "image 2 does not exist, there are images 0 to 1."),
        ("a/i0/c530/first[0]", "cycle 530 is beyond layer a, which has cycles 0 to 529."),
        ("a/i0/c0/frist[0]", "the netlist has no register or memory frist."),
        ("a/i0/c0/first[16]", "bit 16 is beyond first, which has bits 0 to 15."),
        ("a/i0/c0/first[1][2]", "first is a flip-flop and takes no word."),
        ("a/i0/c0/descriptors[1]", "descriptors is a memory and takes a word and a bit."),
        (
            "a/i0/c0/descriptors[256][1]",
            "word 256 is beyond descriptors, which has words 0 to 255.",
        ),
        ("c1/nothing[3]", "the netlist has no register or memory nothing."),
        ("c1/weight[0][3]", "weight is a flip-flop and takes no word."),
        ("c1/weights__lane_0[3]", "weights__lane_0 is a memory and takes a word and a bit."),
        ("c1/weight[16]", "bit 16 is beyond weight, which has bits 0 to 15."),
        ("c1/weight[14:17]", "bit 16 is beyond weight, which has bits 0 to 15."),
        (
            "c1/weights__lane_0[512][3]",
            "word 512 is beyond weights__lane_0, which has words 0 to 511.",
        ),
        ("c100/weight[3]", "cycle 100 is beyond the inference, which has cycles 0 to 99."),
    ],
)
def test_a_fault_that_does_not_exist_names_value_and_bound(text, message):
    with pytest.raises(HoldfastError) as error:
        check(Fault.parse(text, in_layer="/i" in text))
    assert str(error.value) == f"fault {text}: {message}"


@pytest.mark.parametrize(
    "text",
    ["", "first[0]", "a/i0/c-1/first[0]", "a/i0/c0/first", "c1/first[0]", "a/i0/c1/first[0:2]",
     "a/i0/c1/first[0]=1", f"a/i0/c{'9' * 5000}/first[0]"],
)  # fmt: skip
def test_what_is_no_fault_of_a_layer(text):
    with pytest.raises(HoldfastError, match="is not of the form LAYER/iIMAGE/cCYCLE/SIGNAL"):
        Fault.parse(text, in_layer=True)


@pytest.mark.parametrize(
    "text",
    ["weight[3]", "a/i0/c1/first[0]", "c1/first[3:3]", "c1/first[4:3]", "c1/first[1]=2", "c1/x"],
)
def test_what_is_no_fault_of_an_inference(text):
    with pytest.raises(HoldfastError, match="is not of the form cCYCLE/SIGNAL"):
        Fault.parse(text)


def test_a_range_that_no_register_has():
    with pytest.raises(HoldfastError, match="is beyond first, which has bits 0 to 15"):
        check(Fault.parse(f"c1/first[0:{10**17}]"))
