"""Captions in XMP, IPTC and EXIF, as people and programs for photos write them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from xml.etree import ElementTree

from kohya_presets.dataset.captioning.said import Said

_LONGEST = 2**20  # bytes of XMP; the standard's own limit for a JPEG is 64 KiB
_DC = "{http://purl.org/dc/elements/1.1/}description"
_LI = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}li"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_CAPTION = (2, 120)  # IPTC IIM 4.2, Caption/Abstract
_ASCII, _UNICODE, _UNDEFINED = b"ASCII\0\0\0", b"UNICODE\0", bytes(8)  # EXIF 2.32, table 9


def of_xmp(data: bytes | str) -> Said:
    """Return dc:description: in the default language, else in the first."""
    source = "XMP dc:description"
    data = data.encode("utf-8", "replace") if isinstance(data, str) else data
    # Entities can make gigabytes of a few lines; no program writes them in XMP.
    if len(data) > _LONGEST or re.search(rb"<!\s*(DOCTYPE|ENTITY)", data, re.IGNORECASE):
        return Said("", source, "its XMP cannot be read")
    try:
        root = ElementTree.fromstring(data.strip(b"\0 \r\n\t"))
    except (ElementTree.ParseError, ValueError, LookupError):
        return Said("", source, "its XMP cannot be read")
    for element in root.iter():
        if element.tag == _DC:
            items = element.findall(f".//{_LI}")
            items.sort(key=lambda item: item.get(_LANGUAGE) != "x-default")
            return Said(((items or [element])[0].text or ""), source)
        if _DC in element.attrib:
            return Said(element.attrib[_DC], source)
    return Said("", source)


def of_iptc(found: Mapping[tuple[int, int], bytes | list[bytes]]) -> Said:
    """Return the caption of IPTC; only UTF-8 is sure to be read right."""
    source = "IPTC caption"
    data = found.get(_CAPTION, b"")
    data = data[0] if isinstance(data, list) else data
    try:
        return Said(data.decode("utf-8"), source)
    except UnicodeDecodeError:
        return Said("", source, "its IPTC caption is not UTF-8")


def of_description(text: str) -> Said:
    """Return EXIF's ImageDescription: ASCII by the standard, UTF-8 in practice.

    `text` has one letter for each byte, as Pillow gives it.
    """
    with contextlib.suppress(UnicodeError):  # Latin-1 then, or other letters already
        text = text.encode("latin-1").decode("utf-8")
    return Said(text.strip("\0"), "EXIF ImageDescription")


def of_user_comment(data: bytes, byte_order: str) -> str:
    """Return the text of EXIF's UserComment, "" where its encoding is not one that we know.

    UTF-16 has the file's byte order (`<` or `>`) by the standard, but programs write either.
    """
    kind, rest = data[:8], data[8:]
    if kind == _UNICODE:
        return _utf16(rest, byte_order).strip("\0")
    if kind in (_ASCII, _UNDEFINED):
        try:
            return rest.decode("utf-8").strip("\0")
        except UnicodeDecodeError:
            return ""
    return ""


def _utf16(data: bytes, byte_order: str) -> str:
    """Return UTF-16 in the byte order that makes more Latin letters; else in the file's."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "ignore")
    little, big = (data.decode(name, "ignore") for name in ("utf-16-le", "utf-16-be"))
    counted = [sum(letter < "\u0250" for letter in text) for text in (little, big)]
    if counted[0] == counted[1]:
        return little if byte_order == "<" else big
    return little if counted[0] > counted[1] else big
