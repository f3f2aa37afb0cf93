"""Blocks as the HTML that CivitAI's editor takes."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from kohya_presets.cards.blocks import Block
from kohya_presets.loras import escape


def text(blocks: Sequence[Block]) -> str:
    """Return a page as HTML, without a head: it is pasted into another page."""
    return _template().render(blocks=blocks)


@functools.cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=False,
    )
    environment.globals |= {"kind_of": _kind, "shown": escape.controls, "lines": _lines}
    return environment.get_template("card.html.jinja")


def _kind(value: object) -> str:
    return type(value).__name__


def _lines(said: str) -> str:
    return "\n".join(map(escape.controls, said.splitlines()))
