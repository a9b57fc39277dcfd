"""Which unit is next: tables early, long units before short ones, everything once."""

from collections import Counter
from types import SimpleNamespace

import pytest

from holdfast.fault.campaign.agenda import Agenda, Part
from holdfast.fault.campaign.unit import UnitId


def units(**counts):
    return [UnitId(name, number) for name, count in counts.items() for number in range(count)]


def job(images=1, watches=True, golden="there"):
    return SimpleNamespace(golden=golden, watches_registers=watches, codes=[None] * images)


def names(agenda, count):
    return [getattr(agenda.popleft(), "structure", "table") for _ in range(count)]


def test_structures_take_turns_until_something_is_known():
    agenda = Agenda(job(watches=False), units(weight=3, skew=2, host=2))
    assert names(agenda, 6) == ["weight", "skew", "host"] * 2
    assert names(agenda, len(agenda)) == ["weight"]


@pytest.mark.parametrize("job", [job(watches=False), job(golden=None)])
def test_no_tables_where_nothing_asks_for_them(job):
    agenda = Agenda(job, units(weight=1, host=2))
    assert names(agenda, len(agenda)) == ["weight", "host", "host"]


def test_what_takes_longest_comes_first():
    agenda = Agenda(job(watches=False), units(weight=4, skew=4, host=4))
    for seconds in (1.0, 3.0, 2.0):
        agenda.done(agenda.popleft(), seconds)
    assert names(agenda, len(agenda)) == ["skew"] * 3 + ["host"] * 3 + ["weight"] * 3


def test_tables_come_among_units_that_do_not_ask():
    agenda = Agenda(job(images=2), units(weight=3, sequencer=2))
    first = [agenda.popleft() for _ in range(5)]
    assert [getattr(item, "structure", item) for item in first] == [
        "weight", Part(0), "weight", Part(1), "weight",
    ]  # fmt: skip
    assert names(agenda, len(agenda)) == ["sequencer"] * 2


def test_units_that_ask_wait_for_all_tables():
    agenda = Agenda(job(images=2), units(weight=9, sequencer=2))
    taken = [agenda.popleft() for _ in range(4)]
    agenda.done(taken[0], 1.0)
    agenda.done(taken[1], 12.0)
    assert names(agenda, 1) == ["weight"]
    agenda.done(taken[3], 12.0)
    assert names(agenda, len(agenda)) == ["sequencer"] * 2 + ["weight"] * 6


def test_tables_in_parts():
    agenda = Agenda(job(images=2), units(host=1), parts=2)
    taken = [agenda.popleft() for _ in range(4)]
    assert taken == [Part(image, part) for image in (0, 1) for part in (0, 1)]
    assert names(agenda, len(agenda)) == ["host"]


def test_strata_of_a_structure_ask_as_it_does():
    agenda = Agenda(job(), [UnitId("host.02", 0), UnitId("weight.01", 0)])
    assert names(agenda, len(agenda)) == ["weight.01", "table", "host.02"]


def test_what_is_put_back_comes_again_and_everything_once():
    given = units(weight=5, sequencer=4, host=3)
    agenda = Agenda(job(images=2), given)
    found = Counter()
    for turn in range(2 * len(agenda)):
        if len(agenda):
            item = agenda.popleft()
            if turn % 3 == 0:
                agenda.appendleft(item)
            else:
                found[item] += 1
                agenda.done(item, turn % 5)
    while len(agenda):
        found[agenda.popleft()] += 1
    assert found == Counter([*given, Part(0), Part(1)])
