"""Captions are read from made images, as generators and programs for photos write them."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from kohya_presets.dataset.captioning.said import Said
from wrapper.data.captions import from_metadata, pictures

XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
 xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:description><rdf:Alt>
<rdf:li xml:lang="x-default">a wömän</rdf:li></rdf:Alt></dc:description>
</rdf:Description></rdf:RDF></x:xmpmeta>"""
WORKFLOW = {
    "1": {"class_type": "KSampler", "inputs": {"positive": ["2", 0]}},
    "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a woman in snow"}},
}
PARAMETERS = "a woman\nNegative prompt: ugly\nSteps: 20, Sampler: Euler, Seed: 1"


def saved(file: Path, *, texts: dict[str, str] | None = None, **options: Any) -> Path:
    """Save a tiny image with text chunks."""
    chunks = PngImagePlugin.PngInfo()
    for key, text in (texts or {}).items():
        chunks.add_itxt(key, text)
    if texts:
        options["pnginfo"] = chunks
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(file, **options)
    return file


def exif(tags: dict[int, object], comment: bytes | None = None) -> Image.Exif:
    made = Image.Exif()
    for tag, value in tags.items():
        made[tag] = value
    if comment is not None:
        made.get_ifd(0x8769)[0x9286] = comment
    return made


def with_iptc(file: Path, caption: bytes) -> Path:
    """Insert an IPTC caption into a JPEG, as Photoshop does (APP13)."""
    data = b"\x1c\x02\x78" + struct.pack(">H", len(caption)) + caption
    block = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(data)) + data + b"\0" * (len(data) % 2)
    segment = b"Photoshop 3.0\0" + block
    bytes_ = file.read_bytes()
    app13 = b"\xff\xed" + struct.pack(">H", len(segment) + 2) + segment
    file.write_bytes(bytes_[:2] + app13 + bytes_[2:])
    return file


def test_text_chunks_of_png(tmp_path: Path) -> None:
    for texts, said in (
        ({"parameters": PARAMETERS}, Said("a woman", "A1111 parameters")),
        ({"prompt": json.dumps(WORKFLOW)}, Said("a woman in snow", "ComfyUI")),
        ({"XML:com.adobe.xmp": XMP}, Said("a wömän", "XMP dc:description")),
        # What a person wrote comes before what a generator was told.
        (
            {"parameters": PARAMETERS, "XML:com.adobe.xmp": XMP},
            Said("a wömän", "XMP dc:description"),
        ),
    ):
        assert pictures.caption(saved(tmp_path / "a.png", texts=texts)) == said


def test_a_chunk_behind_the_pixels_is_found(tmp_path: Path) -> None:
    file = saved(tmp_path / "a.png", texts={"parameters": PARAMETERS})
    data = file.read_bytes()
    start = data.index(b"iTXt") - 4
    end = start + 12 + struct.unpack(">I", data[start : start + 4])[0]
    last = data.index(b"IEND") - 4
    file.write_bytes(data[:start] + data[end:last] + data[start:end] + data[last:])
    assert pictures.caption(file) == Said("a woman", "A1111 parameters")


@pytest.mark.parametrize("ending", ["jpg", "webp"])
def test_exif_and_xmp_of_other_formats(ending: str, tmp_path: Path) -> None:
    utf16 = b"UNICODE\0" + PARAMETERS.replace("woman", "wömän").encode("utf-16-be")
    workflow = {0x0110: "prompt:" + json.dumps(WORKFLOW)}
    for options, said in (
        ({"exif": exif({}, utf16)}, Said("a wömän", "A1111 parameters")),
        ({"exif": exif({}, b"ASCII\0\0\0my dog")}, Said("my dog", "EXIF UserComment")),
        ({"exif": exif({0x010E: "my cat"})}, Said("my cat", "EXIF ImageDescription")),
        ({"exif": exif(workflow)}, Said("a woman in snow", "ComfyUI")),
        ({"xmp": XMP.encode()}, Said("a wömän", "XMP dc:description")),
    ):
        assert pictures.caption(saved(tmp_path / f"a.{ending}", **options)) == said


def test_the_caption_of_iptc(tmp_path: Path) -> None:
    file = with_iptc(saved(tmp_path / "a.jpg"), "a wömän".encode())
    assert pictures.caption(file) == Said("a wömän", "IPTC caption")
    file = with_iptc(saved(tmp_path / "b.jpg"), b"a w\xf6man")
    assert pictures.caption(file).fault == "its IPTC caption is not UTF-8"


BOMB = "a" * (64 * 2**20)


@pytest.mark.parametrize("name", ["a.png", "b.jpg", "c.webp", "d.bmp"])
def test_an_image_that_says_nothing_gets_nothing(name: str, tmp_path: Path) -> None:
    assert pictures.caption(saved(tmp_path / name)).text == ""
    assert pictures.caption(saved(tmp_path / name)).fault == "it holds no caption or prompt"


def test_damaged_and_hostile_files_are_said_and_end_nothing(tmp_path: Path) -> None:
    whole = saved(tmp_path / "whole.png", texts={"parameters": PARAMETERS}).read_bytes()
    photo = with_iptc(saved(tmp_path / "p.jpg", exif=exif({0x010E: "x" * 50})), b"a").read_bytes()
    file = tmp_path / "a.png"
    for data in (
        b"",
        b"\x89PNG\r\n\x1a\n",
        *(whole[:n] for n in range(8, len(whole), 23)),
        *(photo[:n] for n in range(2, len(photo), 41)),
        whole.replace(b"iTXtparameters", b"iTXtparamet\0rs"),
    ):
        file.write_bytes(data)
        said = pictures.caption(file)
        assert bool(said.text) != bool(said.fault)
    assert pictures.caption(tmp_path / "gone.png").fault


def test_a_text_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path: Path) -> None:
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("parameters", BOMB, zip=True)
    file = tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(file, pnginfo=chunks)
    assert file.stat().st_size < 2**20
    said = pictures.caption(file)
    assert said.text == ""
    assert said.fault


def test_captions_that_exist_stay_unless_overwriting_is_asked_for(tmp_path: Path) -> None:
    for name in ("a", "b"):
        saved(tmp_path / f"set/{name}.png", texts={"parameters": PARAMETERS})
    saved(tmp_path / "set/c.png")
    (tmp_path / "set/b.txt").write_text("mine", "utf-8")
    planned, left = from_metadata.plan(tmp_path / "set")
    assert {c.file.name: (c.state, c.text) for c in planned} == {
        "a.txt": ("new", "a woman"),
        "b.txt": ("kept", "a woman"),
    }
    assert [(file.name, why) for file, why in left] == [("c.png", "it holds no caption or prompt")]
    planned, _ = from_metadata.plan(tmp_path / "set", overwrite=True)
    assert [c.state for c in planned] == ["new", "overwritten"]


def test_two_images_of_one_caption_file_must_agree(tmp_path: Path) -> None:
    saved(tmp_path / "set/a.png", texts={"parameters": "a woman"})
    saved(tmp_path / "set/a.jpg", exif=exif({0x010E: "a man"}))
    saved(tmp_path / "set/b.png", texts={"parameters": "a woman"})
    saved(tmp_path / "set/b.jpg", exif=exif({0x010E: "a woman"}))
    planned, left = from_metadata.plan(tmp_path / "set")
    assert [(c.file.name, c.text) for c in planned] == [("b.txt", "a woman")]
    assert [why for _, why in left] == ["two images of this name hold different captions"]
