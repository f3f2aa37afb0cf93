"""For each check: images and captions in which it finds something, and some in which it does not.

A function gets an empty folder and makes the case in it. tests/upstream/test_dataset_proofs.py
gives the first of each to sd-scripts.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageFilter

from kohya_presets.sdscripts import releases
from tests.kohya_presets.dataset.checks.folders import (
    LAMP,
    Made,
    captioned,
    config,
    folder,
    odd,
    picture,
)
from tests.wrapper.data import odd_pictures

Make = Callable[[Path], Made]
WORDS = "table chair window lamp carpet mirror shelf curtain candle basket bottle plate".split()  # noqa: SIM905
SCENES = tuple(f"a photo of a {word} near a wall" for word in WORDS)
LONG = ", ".join(WORDS * 8)


class Case(NamedTuple):
    """What the check speaks up about, and what it does not, on a release."""

    fires: Make
    quiet: Make
    release: str = releases.DEFAULT


def captions(*several: str | bytes | None, trigger: str | None = None, over: str = "") -> Make:
    """Return a maker of a folder with a picture for each caption; `over` are overrides."""
    return lambda root: Made(folder(root / "img", *several), tuple(over.split()), trigger)


def one(name: str, over: str = "") -> Make:
    """Return a maker of a folder with one odd picture."""
    return lambda root: Made(odd(root / "img", name), tuple(over.split()))


def sized(*sizes: tuple[int, int], over: str = "") -> Make:
    """Return a maker of a folder with a picture of each size."""

    def make(root: Path) -> Made:
        for number, size in enumerate(sizes):
            captioned(picture(root / "img" / f"{number}.png", number, size), LAMP)
        return Made(root / "img", tuple(over.split()))

    return make


def named(*names: str, over: str = "") -> Make:
    """Return a maker of a folder with sound pictures of these names, each with a caption."""

    def make(root: Path) -> Made:
        for number, name in enumerate(names):
            captioned(picture(root / "img" / name, number), LAMP)
        return Made(root / "img", tuple(over.split()))

    return make


def subsets(*folders: str, **further: object) -> Make:
    """Return a maker of a config with these folders; `further` are values of the last one.

    The folder called "gone" does not exist, and "none" has no images.
    """

    def make(root: Path) -> Made:
        tables: list[dict[str, object]] = []
        for number, name in enumerate(folders):
            if name == "none":
                (root / name).mkdir(parents=True, exist_ok=True)
            elif name != "gone":
                folder(root / name, LAMP, "a chair", first=10 * number)
            tables.append({"image_dir": root / name})
        tables[-1] |= further
        return Made(config(root, *tables))

    return make


def masks(*names: str, size: tuple[int, int] = (64, 64), form: str = "PNG") -> Make:
    """Return a maker of two images, 0.png and 1.png, with masks of these names."""

    def make(root: Path) -> Made:
        images = folder(root / "img", LAMP, "a chair")
        for name in names:
            if form:
                picture(root / "masks" / name, 0, size, form)
            else:
                (root / "masks").mkdir(exist_ok=True)
                (root / "masks" / name).write_bytes(b"none")
        return Made(config(root, {"image_dir": images, "conditioning_data_dir": root / "masks"}))

    return make


def wide_masks(width: int) -> Make:
    """Return a maker of an image of WIDTH x 64; its mask is white in the leftmost sixth only."""

    def make(root: Path) -> Made:
        images = folder(root / "img", LAMP, size=(width, 64))
        mask = Image.new("L", (width, 64))
        mask.paste(255, (0, 0, width // 6, 64))
        (root / "masks").mkdir()
        mask.save(root / "masks" / "0.png")
        return Made(config(root, {"image_dir": images, "conditioning_data_dir": root / "masks"}))

    return make


def listed(
    values: object, *, file: str = "meta.json", cached: bool = False, text: str | None = None
) -> Make:
    """Return a maker of a metadata file; DIR in it is the folder with the images 0.png, 1.png."""

    def make(root: Path) -> Made:
        images = folder(root / "img", None, None)
        said = json.dumps(values) if text is None else text
        (root / file).write_text(said.replace("DIR", images.as_posix()), "utf-8")
        table: dict[str, object] = {"image_dir": images, "metadata_file": root / file}
        over = ("train.cache_latents=true",) if cached else ()
        return Made(config(root, table), over)

    return make


def toned(share: float, several: int) -> Make:
    """Return a maker of ten bright pictures; the first `several` have lost their colour or light.

    `share` is what remains of the light; with 0 it is the colour that is lost.
    """

    def make(root: Path) -> Made:
        images = folder(root / "img", *SCENES[:10])
        for number in range(10):
            made = odd_pictures.drawn(number, (64, 64))
            made = Image.blend(made, Image.new("RGB", made.size, "white"), 0.5)
            if number < several and share:
                made = made.point([int(value * share) for value in range(256)] * 3)
            elif number < several:
                made = made.convert("L").convert("RGB")
            (images / f"{number}.png").write_bytes(odd_pictures.encoded(made, "PNG"))
        return Made(images)

    return make


def numbered(*names: str) -> Make:
    """Return a maker of a folder of folders."""

    def make(root: Path) -> Made:
        for number, name in enumerate(names):
            folder(root / "img" / name, LAMP, "a chair", first=10 * number)
        return Made(root / "img")

    return make


def listed_before(root: Path) -> Made:
    """Make a folder whose images were listed when there was one only."""
    images = folder(root / "img", LAMP, "a chair")
    said = {str(images / "0.png"): {"caption": "an old caption", "resolution": [64, 64]}}
    (images / "metadata_cache.json").write_text(json.dumps(said), "utf-8")
    return Made(config(root, {"image_dir": images, "cache_info": True}))


def folder_as_image(root: Path) -> Made:
    """Make a folder in which another folder is called 1.png."""
    (folder(root / "img", LAMP) / "1.png").mkdir()
    return Made(root / "img")


def with_hidden(name: str) -> Make:
    """Return a maker of a folder with a second picture of a name."""

    def make(root: Path) -> Made:
        picture(folder(root / "img", LAMP) / name, 1)
        return Made(root / "img")

    return make


def with_file(name: str, text: str = "a caption") -> Make:
    """Return a maker of a folder with a file of a name beside its image."""

    def make(root: Path) -> Made:
        (folder(root / "img", LAMP) / name).write_text(text, "utf-8")
        return Made(root / "img")

    return make


def as_bmp(root: Path) -> Made:
    """Make a picture whose size older releases do not find: 96 x 64, red on the left."""
    picture(root / "img" / "0.bmp", 0, (96, 64), "BMP")
    captioned(root / "img" / "0.bmp", LAMP)
    return Made(root / "img")


def twice(mirrored: bool = False, exact: bool = True) -> Make:
    """Return a maker of a picture that is there twice, the second time as another file."""

    def make(root: Path) -> Made:
        images = folder(root / "img", LAMP, size=(256, 256))
        again = odd_pictures.drawn(0, (256, 256))
        if exact:
            (images / "again.png").write_bytes((images / "0.png").read_bytes())
        else:
            (images / "again.jpg").write_bytes(odd_pictures.encoded(again, "JPEG"))
        name = "again.png" if exact else "again.jpg"
        captioned(images / name, "another caption")
        return Made(images, ("dataset.resolution=[256,256]", "dataset.max_bucket_reso=512"))

    return make


def grainy(soft: int) -> Make:
    """Return a maker of ten pictures with grain, of which the first `soft` have lost it."""

    def make(root: Path) -> Made:
        images = folder(root / "img", *SCENES[:10], size=(512, 512))
        for number in range(10):
            made = odd_pictures.drawn(number, (512, 512))
            grain = Image.effect_noise(made.size, 60).convert("RGB")
            made = Image.blend(made, grain, 0.5)
            if number < soft:
                made = made.filter(ImageFilter.GaussianBlur(4))
            (images / f"{number}.png").write_bytes(odd_pictures.encoded(made, "PNG"))
        return Made(images)

    return make


ONE = captions(LAMP)
EACH = captions(*SCENES)
ON_DISK = "train.cache_latents_to_disk=true"
WEIGHTED = "train.weighted_captions=true"

CASES: dict[str, Case] = {
    # kinds
    "nothing-to-train": Case(subsets("none"), subsets("none", "b")),
    "regularization-only": Case(subsets("a", is_reg=True), subsets("a", "b", is_reg=True)),
    "subset-no-folder": Case(subsets("a", "gone"), subsets("a", "none"), "v0.8.7"),
    "subset-left-out": Case(subsets("a", "a", num_repeats=3), subsets("a", "b")),
    "metadata-unreadable": Case(listed({}, text="[1"), listed({"DIR/0.png": {"caption": LAMP}})),
    "metadata-lost": Case(
        listed({"DIR/0.png": {"caption": LAMP}, "DIR/9.png": {"caption": "gone"}}, cached=True),
        listed({"DIR/0.png": {"caption": LAMP}}, cached=True),
    ),
    "metadata-needs-cache": Case(
        listed({"DIR/0.png": {"caption": LAMP}}),
        listed({"DIR/0.png": {"caption": LAMP}}, cached=True),
    ),
    "folder-without-number": Case(numbered("2_lamp", "chair"), numbered("2_lamp", "1_chair")),
    "regularization-unused": Case(
        subsets("a", "b", is_reg=True, num_repeats=3), subsets("a", "b", is_reg=True)
    ),
    "listed-before": Case(listed_before, subsets("a", cache_info=True)),
    # masks
    "mask-missing": Case(masks("0.png"), masks("0.png", "1.png")),
    "mask-extra": Case(masks("0.png", "1.png", "2.png"), masks("0.png", "1.png")),
    "mask-unused": Case(masks("0.png", "1.png", "2.png"), masks("0.png", "1.png"), "v0.11.1"),
    "mask-squeezed": Case(wide_masks(96), wide_masks(64)),
    "mask-folder": Case(masks(), masks("0.png", "1.png")),
    "mask-broken": Case(masks("0.png", "1.png", form=""), masks("0.png", "1.png")),
    "mask-size": Case(masks("0.png", "1.png", size=(32, 32)), masks("0.png", "1.png")),
    # files
    "image-broken": Case(one("text.png"), one("jpeg in truth.png")),
    "image-nowhere": Case(folder_as_image, ONE),
    "image-truncated": Case(one("cut in half.jpg"), one("bytes behind.jpg")),
    "image-not-read": Case(
        named("0.png", "1.gif", "2.tiff"), named("0.png", "1.jpg", "2.JPEG", "3.WEBP", "4.bmp")
    ),
    "image-ending": Case(named("0.png", "1.Png"), named("0.png", "1.PNG")),
    "image-hidden": Case(with_hidden(".1.png"), with_hidden("._1.png")),
    "image-same-name": Case(named("0.png", "0.jpg"), named("0.png", "1.jpg")),
    "image-same-latents": Case(
        named("0.png", "0.jpg", over=ON_DISK), named("0.png", "1.jpg", over=ON_DISK)
    ),
    "image-turned": Case(one("turned 6.jpg"), one("turned 99.jpg")),
    "image-deep": Case(one("16 bits grey.png"), one("16 bits.png")),
    "image-transparent": Case(one("all transparent.png"), one("palette.png")),
    "image-opaque": Case(
        captions(LAMP, over="dataset.alpha_mask=true"),
        one("alpha.png", "dataset.alpha_mask=true"),
    ),
    "image-animated": Case(one("animated.png"), one("with a second picture.jpg")),
    "image-cmyk": Case(one("cmyk.jpg"), one("grey.jpg")),
    "image-profile": Case(one("adobe profile.jpg"), one("srgb profile.jpg")),
    "image-misnamed": Case(one("webp in truth.jpg"), one("UPPER CASE.JPG")),
    # sizes
    "image-size": Case(
        sized((64, 64), (96, 64), over="dataset.enable_bucket=false"),
        sized((64, 64), over="dataset.enable_bucket=false"),
    ),
    "image-stretched": Case(as_bmp, sized((96, 64)), "v0.9.1"),
    "image-small": Case(sized((32, 32)), sized((64, 64))),
    "image-cut": Case(sized((300, 50)), sized((64, 64))),
    "bucket-small": Case(
        sized((64, 64), (64, 64), (128, 32), over="dataset.batch_size=2"),
        sized((64, 64), (64, 64), over="dataset.batch_size=2"),
    ),
    # captions
    "caption-empty": Case(captions(b"", LAMP), captions(" ", LAMP)),
    "caption-encoding": Case(captions("Zoë".encode("latin-1")), captions("Zoë")),
    "no-captions": Case(captions(None, None), captions(None, LAMP)),
    "caption-missing": Case(captions(None, LAMP), captions(None, None)),
    "caption-of-folder": Case(
        lambda root: Made(
            config(root, {"image_dir": folder(root / "img", None), "class_tokens": "lamp"})
        ),
        lambda root: Made(
            config(root, {"image_dir": folder(root / "img", LAMP), "class_tokens": "lamp"})
        ),
    ),
    "caption-orphan": Case(with_file("9.txt"), with_file("9.json")),
    "caption-blank": Case(captions("\nlamp\n", LAMP), captions("lamp\n\n", LAMP)),
    "caption-mark": Case(captions(b"\xef\xbb\xbflamp"), captions("la\ufeffmp")),
    "caption-lines": Case(
        captions("a lamp\na chair"),
        captions("a lamp\na chair", over="dataset.enable_wildcard=true"),
    ),
    "caption-spaces": Case(captions("  a lamp "), captions("a lamp\n")),
    "caption-long": Case(
        captions(LONG, "a chair"), captions(LONG, "a chair", over="train.max_token_length=225")
    ),
    "caption-weight": Case(
        captions("(a lamp:1.2.3)", over=WEIGHTED), captions("(a lamp:1.2)", over=WEIGHTED)
    ),
    "caption-weights-off": Case(captions("(a lamp:1.2)"), captions("(a lamp:1.2)", over=WEIGHTED)),
    "caption-choices-off": Case(
        captions("a {red|blue} lamp"),
        captions("a {red|blue} lamp", over="dataset.enable_wildcard=true"),
    ),
    "caption-json": Case(captions('{"caption": "a lamp"}'), captions("{a lamp}, [a chair]")),
    "caption-same": Case(captions(LAMP, LAMP), captions(LAMP, "a chair")),
    # the whole set
    "set-size": Case(captions(*SCENES[:3]), captions(*SCENES, *(f"{s}, blue" for s in SCENES))),
    "duplicate": Case(twice(), EACH),
    "look-alike": Case(twice(exact=False), EACH),
    "set-shape": Case(EACH, sized(*[(64, 64), (128, 32)] * 5)),
    "image-blurred": Case(grainy(1), grainy(0)),
    "image-grey": Case(toned(0.0, 1), toned(0.0, 10)),
    "set-brightness": Case(toned(0.2, 10), toned(0.2, 4)),
    "caption-style": Case(captions(*SCENES[:9], "lamp, table, red, indoors"), EACH),
    "caption-words": Case(EACH, captions(*WORDS)),
    "trigger-missing": Case(
        captions("a zkw lamp", LAMP, trigger="zkw"), captions("a zkw lamp", trigger="zkw")
    ),
    "trigger-first": Case(
        captions("zkw lamp", trigger="zkw"), captions("a zkw lamp", trigger="zkw")
    ),
    "trigger-known": Case(
        captions("a lamp", trigger="lamp"), captions("a zkwqv lamp", trigger="zkwqv")
    ),
    "trigger-long": Case(
        captions("a xqzvwkjpfw lamp", trigger="xqzvwkjpfw"), captions("a lamp", trigger="lamp")
    ),
}
