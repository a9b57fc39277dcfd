from hypothesis import given
from hypothesis import strategies as st

from holdfast.base.text import printable, shown

anything = st.text(st.characters()) | st.binary() | st.integers() | st.none() | st.floats()
nested = st.recursive(anything, lambda part: st.lists(part) | st.dictionaries(st.text(), part))


@given(nested, st.integers(4, 100))
def test_shown_is_printable_and_short(value, limit):
    text = shown(value, limit)
    assert text.isprintable() and len(text) <= limit


def test_shown_survives_what_has_no_representation():
    assert shown(10**5000) == "a value of type int"
    deep = []
    for _ in range(100_000):
        deep = [deep]
    assert shown(deep).isprintable()


@given(st.text(st.characters()))
def test_printable_says_control_characters_as_escapes(text):
    assert printable(text).isprintable()
    if text.isprintable():
        assert printable(text) == text
    assert printable("a\x1b[31m\n\ud800") == "a\\x1b[31m\\n\\ud800"
