"""What GitHub's own Markdown, and one that makes links of whatever it can, make of escaped chart text: text."""

import re

import cmarkgfm
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from hooks.wording import escaped

HOSTILE = [
    "[x](http://e.example)",
    "![x](http://e.example/p.png)",
    "<script>alert(1)</script>",
    "<img src=x onerror=a>",
    "http://e.example",
    "www.e.example",
    "mailto:a@b.example",
    "a@b.example",
    "<http://e.example>",
    "`code`",
    "``x``",
    "\\[x](y)",
    "\\\\[x](http://y)",
    "# Head",
    "#Head",
    "###### x",
    "- item",
    "1. item",
    "1) item",
    "123456789. x",
    "> quote",
    "+ item",
    "* item",
    "---",
    "***",
    "===",
    "a\n\n# b",
    "a\r\n- x",
    "    code",
    "\tcode",
    "```\ncode",
    "~~~\ncode",
    "~~x~~",
    "~x~",
    "|a|b|\n|-|-|\n|1|2|",
    "&lt;script&gt;",
    "&#60;b>",
    "&#x3c;b>",
    "[x]: http://e.example",
    "[x][1]",
    "[^1]",
    "__x__",
    "_x_",
    "a_b_c",
    "**x**",
    "javascript:alert(1)",
    "ftp://e.example",
    "xmpp:a@b.example",
    "HTTPS://E.EXAMPLE",
    "wWw.e.example",
    "\u200bwww.e.example",
    "a\u2028# b",
    "<!-- x",
    "<?x",
    "<![CDATA[x",
    "</b>",
    "$x$",
    "$$x$$",
    ":smile:",
    "@user",
    "#123",
    "e.example/x",
    "//e.example/x",
    "https:/\\e.example",
    "http:\u200b//e.example",
    "[ ] task",
    "[x] task",
    "- [ ] task",
    "<a\nhref=x>",
    "!<x>",
    "![",
    "](http://x)",
    "*",
    "_",
    "_a",
    "a_",
    "\\",
    "\\\\",
    "\\*",
    "tel:+123",
    "a*b*c",
    "www.е.example",
    "http&#58;//e.example",
    "http&colon;//e.example",
    "evil.com",
    "see evil.com now",
    "e.de",
    "evil.com/x",
    "1.2.3.4",
    "http://1.2.3.4/x",
    "https://[::1]/",
    "user:pw@evil.com",
    "-",
    "=",
    "1.",
    "1)",
    " # x",
    "mailto:x@evil.com",
    "www.1.2",
]
EAGER = MarkdownIt("gfm-like")  # with linkify
PLACES = {
    "alone": ("{}", {"p"}),
    "in a list": ("- {}", {"p", "ul", "li"}),
    "after words": ("- Met: platelets. {}", {"p", "ul", "li"}),
    "in a sentence": ("*{}*", {"p", "em"}),
}


def tags(markdown: str) -> set[str]:
    """The HTML elements that either makes of it."""
    html = cmarkgfm.github_flavored_markdown_to_html(markdown) + EAGER.render(markdown)
    return set(re.findall(r"<([a-z0-9]+)", html))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("text", HOSTILE)
def test_chart_text_is_text(text: str, place: str) -> None:
    """No link, no image, no element, no heading, list, quotation, code or rule, wherever it stands."""
    template, allowed = PLACES[place]
    assert tags(template.format(escaped(text))) <= allowed


@given(st.text(alphabet="ab1 w.:/@#>-+=*_`~<>[]()!&;|\\\n", max_size=30))
def test_no_mixture_of_signs_is_anything_but_text(text: str) -> None:
    """Whatever is put together from what Markdown reads as markup."""
    assert tags(f"- Met: x. {escaped(text)}") <= {"p", "ul", "li"}
    assert tags(f"- {escaped(text)}") <= {"p", "ul", "li"}


@pytest.mark.parametrize(
    "text",
    [
        "Factor IX activity 1.2 % on 2019-03-04",
        "Hereditary factor IX deficiency disease (D67)",
        "Order: 1 kit, at 10:30 a.m.",
        "Dr. Hale, 0.80 mL/kg",
        "5 mg",
    ],
)
def test_usual_text_stays_as_it_is(text: str) -> None:
    """Nothing visible or invisible is added to it."""
    assert escaped(text) == text


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_read_is_what_was_written(text: str) -> None:
    """Of the signs that are shown, none is lost."""
    shown = re.sub(r"<[^>]+>", "", cmarkgfm.github_flavored_markdown_to_html(f"- x {escaped(text)}"))
    for entity, sign in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
        shown = shown.replace(entity, sign)
    letters = re.compile(r"[^\s\u200b-\u2060]")
    assert letters.findall(shown) == ["x", *letters.findall(text)]
