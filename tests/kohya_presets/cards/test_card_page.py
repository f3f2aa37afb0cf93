"""A model page: its parts in the guide's order, in Markdown and in HTML, whatever it is told."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from kohya_presets.cards import front_matter, html, markdown, page
from kohya_presets.cards.blocks import Code, Link, Strong, address, paragraph, plain
from kohya_presets.cards.words import Words
from kohya_presets.loras import escape
from tests.kohya_presets.cards import made

# What CivitAI's editor keeps.
TAGS = {"h1", "h2", "h3", "p", "br", "strong", "em", "u", "a", "code", "pre", "blockquote"}
TAGS |= {"ul", "ol", "li"}
RENDERED = MarkdownIt("commonmark").enable(["table", "strikethrough"])


class Read(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.said: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.said.append(data)

    @property
    def words(self) -> list[str]:
        """The text, without what is space only."""
        return " ".join(self.said).split()


@pytest.mark.parametrize("name", made.pages())
def test_the_pages_are_the_golden_ones(name: str) -> None:
    """After a change that is meant: python -m tests.kohya_presets.cards.made."""
    assert made.pages()[name] == (made.GOLDEN / name).read_text("utf-8")


def test_the_parts_come_in_the_guides_order() -> None:
    text = made.pages()["run.md"]
    order = (
        "Avatar Korra",
        "Trigger words",
        "Generation settings",
        "Recommended",
        "Sample pictures",
        "Further usage notes",
        "Permissions",
        "How it was trained",
        "Changelog",
    )
    places = [text.index(words) for words in order]
    assert places == sorted(places)


def test_what_is_pasted_into_civitai_begins_with_the_description() -> None:
    assert made.pages()["run.html"].startswith("<p>Avatar Korra, from the series.</p>")


def test_every_gap_is_a_marked_line() -> None:
    gaps = made.told("").gaps
    for name in ("alone-with-gaps.md", "alone-with-gaps.html", "alone-with-gaps-hub.md"):
        assert made.pages()[name].count("TO FILL IN: ") == len(gaps) > 5
    assert "TO FILL IN" not in made.pages()["run.md"]


@pytest.mark.parametrize("hostile", made.HOSTILE)
def test_a_hostile_text_stays_text_wherever_it_stands(hostile: str) -> None:
    facts, said = made.hostile(hostile)
    blocks = page.titled(facts, said, made.evaluation())
    by_html = Read(html.text(blocks))
    by_markdown = Read(RENDERED.render(markdown.text(blocks)))
    assert by_html.words == by_markdown.words
    assert by_html.tags == by_markdown.tags
    assert set(by_html.tags) <= TAGS - {"a"}
    assert not by_html.attributes
    shown = " ".join(by_html.words)
    # One line of it, as it stands in the list of facts.
    assert f"Method: {' '.join(escape.controls(hostile).split())}" in shown


@pytest.mark.parametrize("hostile", made.HOSTILE)
def test_a_hostile_text_changes_nothing_in_the_structure_of_the_page(hostile: str) -> None:
    """But for the author's own paragraphs and lists, which are left out here."""
    facts, said = made.hostile(hostile)
    harmless, words = made.hostile("x")
    own = {"description": "a", "notes": "b", "other_permissions": "c", "versions": ()}
    pages = [
        RENDERED.render(markdown.text(page.of_hub(f, Words(**{**vars(w), **own}), None, "a/b")))
        for f, w in ((facts, said), (harmless, words))
    ]
    assert Read(pages[0]).tags == Read(pages[1]).tags


def test_the_code_for_diffusers_is_python_whatever_the_trigger() -> None:
    for hostile in made.HOSTILE:
        facts, said = made.hostile(hostile)
        text = markdown.text(page.of_hub(facts, said, None, "a/b"))
        found = re.search(r"^(`{3,})python\n(.*?)\n\1$", text, re.DOTALL | re.MULTILINE)
        assert found
        compile(found[2], "card", "exec")


def test_a_links_address_is_of_the_web() -> None:
    assert address("https://civitai.com/user/a?b=c&d") == "https://civitai.com/user/a?b=c&d"
    for wrong in (
        *("javascript:alert(1)", "data:text/html,x", "/etc/passwd", "my shop"),
        *('https://a"onclick="x', "https://a b", "https://a\nb", "https://a>b", "https://a`b"),
    ):
        assert address(wrong) is None


def test_a_link_is_the_same_in_both() -> None:
    blocks = [paragraph(Link("a [b]", "https://x.y/(z)_&amp;"), " ", Strong("*s*"), Code("`"))]
    by_html = Read(html.text(blocks))
    by_markdown = Read(RENDERED.render(markdown.text(blocks)))
    assert by_html.tags == by_markdown.tags == ["p", "a", "strong", "code"]
    assert "".join(by_html.said).strip() == "".join(by_markdown.said).strip() == "a [b] *s*`"
    assert by_html.attributes == [("href", "https://x.y/(z)_&amp;")]


def test_an_authors_text_has_paragraphs_and_lists_and_nothing_else() -> None:
    kinds = [type(b).__name__ for b in plain("a\nb\n\n- c\n- d\ne\n\n\n\n# f")]
    assert kinds == ["Paragraph", "Items", "Paragraph", "Paragraph"]
    assert plain("") == []


def test_a_model_without_trigger_words_says_so() -> None:
    text = markdown.text(page.of(made.ALONE, made.told('trigger = "-"'), None))
    assert "It needs no trigger word." in text


def test_a_rehearsals_card_says_what_it_is() -> None:
    facts = replace(made.RUN, rehearsal=True)
    assert page.REHEARSAL in markdown.text(page.of(facts, Words(), None))
    hub = markdown.text(page.of_hub(facts, Words(), None, "a/b"))
    assert "Diffusers" not in hub


def test_a_license_that_the_hub_does_not_know_is_named() -> None:
    said = made.told('license = "My License 1.0"\nlicense_link = "https://a.b/c"')
    found = front_matter.values(made.RUN, said)
    assert (found["license"], found["license_name"]) == ("other", "my-license-1.0")
    assert found["license_link"] == "https://a.b/c"
    assert "license" not in front_matter.values(made.RUN, Words())
