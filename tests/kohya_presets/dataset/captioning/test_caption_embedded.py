"""XMP, IPTC and EXIF are read in the encodings that programs really write."""

from __future__ import annotations

import pytest

from kohya_presets.dataset.captioning import embedded

XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
 xmlns:dc="http://purl.org/dc/elements/1.1/">{}</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""
TWO = """<dc:description><rdf:Alt><rdf:li xml:lang="de">eine Frau</rdf:li>
<rdf:li xml:lang="x-default">a wömän</rdf:li></rdf:Alt></dc:description>"""


@pytest.mark.parametrize(
    ("xmp", "text"),
    [
        (XMP.format(TWO), "a wömän"),
        (XMP.format(TWO).encode() + b"\0", "a wömän"),
        (XMP.format("<dc:description>a dog</dc:description>"), "a dog"),
        (
            XMP.format("").replace("dc/elements/1.1/", 'dc/elements/1.1/" dc:description="a cat'),
            "a cat",
        ),
        (XMP.format(""), ""),
        (XMP.format("<dc:description><rdf:Alt/></dc:description>"), ""),
    ],
)
def test_dc_description(xmp: str | bytes, text: str) -> None:
    assert embedded.of_xmp(xmp).text == text
    assert not embedded.of_xmp(xmp).fault


LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><x>&b;</x>'


@pytest.mark.parametrize("xmp", ["", "<x", LAUGHS, b"\xff\xfe\x00", "<x>" * 10, "x" * 2**21])
def test_what_is_no_xmp_is_said(xmp: str | bytes) -> None:
    assert embedded.of_xmp(xmp).fault == "its XMP cannot be read"


def test_an_iptc_caption_is_read_as_utf_8_or_not_at_all() -> None:
    assert embedded.of_iptc({(2, 120): "a wömän".encode()}).text == "a wömän"
    assert embedded.of_iptc({(2, 120): [b"a", b"b"]}).text == "a"
    assert "not UTF-8" in embedded.of_iptc({(2, 120): b"a w\xf6man"}).fault
    assert embedded.of_iptc({(2, 5): b"title"}).text == ""


@pytest.mark.parametrize(
    ("data", "order", "text"),
    [
        (b"ASCII\0\0\0a woman\0\0", "<", "a woman"),
        (bytes(8) + "a wömän".encode(), "<", "a wömän"),
        (b"UNICODE\0" + "a wömän".encode("utf-16-be"), "<", "a wömän"),  # as A1111 writes it
        (b"UNICODE\0" + "a wömän".encode("utf-16-le"), ">", "a wömän"),
        (b"UNICODE\0" + "a woman".encode("utf-16"), ">", "a woman"),
        (b"UNICODE\0" + "東京の女性, 1人".encode("utf-16-be"), "<", "東京の女性, 1人"),
        (b"UNICODE\0" + "東京".encode("utf-16-le"), "<", "東京"),
        (b"JIS\0\0\0\0\0\x1b$B", "<", ""),
        (b"ASCII\0\0\0\xff\xfe", "<", ""),
        (b"", "<", ""),
        (b"UNICODE\0a", "<", ""),
    ],
)
def test_a_user_comment_has_its_encoding_before_it(data: bytes, order: str, text: str) -> None:
    assert embedded.of_user_comment(data, order) == text


def test_a_description_is_utf_8_or_latin_1() -> None:
    assert embedded.of_description("a wömän".encode().decode("latin-1")).text == "a wömän"
    assert embedded.of_description("a wömän").text == "a wömän"
    assert embedded.of_description("東京\0").text == "東京"
