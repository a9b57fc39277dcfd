import pytest

from holdfast.fault.results.tables import compact


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (1000, "1k"), (1094, "1.09k"), (999_499, "999k"), (999_500, "1M"),
     (2_359_296, "2.36M")],
)  # fmt: skip
def test_counts_have_at_most_five_characters(number, text):
    assert compact(number) == text
    assert len(text) <= 5
