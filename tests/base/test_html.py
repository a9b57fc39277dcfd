import json

from hypothesis import given
from hypothesis import strategies as st

from holdfast.base.html import Markup, html, script_data
from holdfast.base.text import printable
from tests.base.pages import HOSTILE, parts

TEXTS = st.text(st.characters() | st.sampled_from("<>&\"'/!-") | st.sampled_from(["\ud800"]))


@given(text=TEXTS | st.just(HOSTILE))
def test_text_stays_text(text):
    page = f'<p title="{html(text)}">{html(text)}</p>'
    assert page.isprintable()
    tags, shown = parts(page)
    assert tags == [("p", ["title"]), ("/p", [])]
    assert shown == printable(text)


def test_markup_stays_markup():
    assert html(Markup("<b>1</b>")) == "<b>1</b>"
    assert html(html("<")) == "&lt;"
    assert html(7) == "7"


@given(text=TEXTS | st.just(HOSTILE))
def test_data_do_not_end_their_script(text):
    script = script_data({text: [text]})
    assert "<" not in script and script.isascii()
    assert json.loads(script) == {text: [text]}
