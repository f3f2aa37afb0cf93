"""What an image says of itself, cleaned: one line, without what only a terminal or a tool reads."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

# Directions of text and byte-order marks. Other format characters join emoji and letters.
_INVISIBLE = re.compile(
    "[\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\ufff9-\ufffb]"
)
_UNWRITTEN = {"Cc", "Cs", "Zl", "Zp"}  # control characters, half a letter, ends of lines
# <lora:NAME:1> loads a file in other programs. To the trainer it would be words.
_NETWORK = re.compile(r"<(?:lora|lyco|hypernet|lokr|loha):[^<>\n]{1,200}>", re.IGNORECASE)
# What cameras and programs write where nobody wrote anything.
_NOTHING = frozenset(
    {
        *("olympus digital camera", "minolta digital camera", "konica minolta digital camera"),
        *("sony dsc", "digital camera", "camera", "samsung", "kodak digital still camera"),
        *("default", "untitled", "description", "image", "photo", "screenshot", "jpeg", "oplus_0"),
        *("created with gimp", "created with the gimp", "ai generated image", "binary comment"),
    }
)


class Said(NamedTuple):
    """A caption that an image holds and where it stands, or the `fault` why there is none."""

    text: str
    source: str
    fault: str = ""


def cleaned(text: str) -> str:
    """Return a text as a caption: one line; "" where it says nothing about a picture."""
    text = _INVISIBLE.sub("", _NETWORK.sub(" ", text))
    text = "".join(" " if unicodedata.category(c) in _UNWRITTEN else c for c in text)
    text = " ".join(text.split()).strip(", ")
    return "" if text.lower() in _NOTHING or not any(map(str.isalnum, text)) else text


def chosen(found: Iterable[Said]) -> Said:
    """Return the first caption of an image's, else the first fault; both empty: it has none."""
    faults = []
    for said in found:
        if text := cleaned(said.text):
            return Said(text, said.source)
        if said.fault:
            faults.append(Said("", said.source, said.fault))
    return faults[0] if faults else Said("", "", "it holds no caption or prompt")
