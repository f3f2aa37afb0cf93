"""sd-scripts reads the same images and captions from a pack's metadata file as from the first."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path, PurePath

import pytest

from kohya_presets.dataset import rendered
from kohya_presets.files.render import Paths
from kohya_presets.presets.catalogue import Catalogue
from tests.upstream import asking
from tests.upstream.test_trained_text import NAMED
from tests.usually import usually
from tests.wrapper.data import odd_pictures
from tests.wrapper.renting import packs, pictures
from wrapper.checkouts.checkout import Checkout
from wrapper.planning.request import Request
from wrapper.renting import contents
from wrapper.screen.talk import Talk

pytestmark = [pytest.mark.upstream, pytest.mark.trainer]
READ = (
    NAMED.partition("told = []")[0]
    + """
import os, toml
group = group_of(toml.load(sys.argv[1]))
infos = [info for dataset in group.datasets for info in dataset.image_data.values()]
tell(sorted([os.path.getsize(i.absolute_path), i.num_repeats, i.caption] for i in infos))
"""
)


@pytest.mark.parametrize("release", usually(["v0.9.1", "v0.10.1", "v0.11.1"], ["v0.10.1"]))
def test_the_images_and_captions_are_the_same(
    release: str, upstream: Callable[[str], Checkout], shipped: Catalogue, tmp_path: Path
) -> None:
    data, other = pictures.folder(tmp_path, side=256), tmp_path / "else where"
    other.mkdir()
    odd_pictures.drawn(9, (320, 256)).save(other / "korra 0 é.png")
    entries = {
        str(data / "korra 0 é.png"): {"caption": "korra", "tags": "1girl"},
        str(data / "korra 2 é.png"): {"caption": "naga"},
        str(other / "korra 0 é.png"): {"caption": "another, of that name"},
    }
    (tmp_path / "meta é.json").write_text(json.dumps(entries), "utf-8")
    config = tmp_path / "dataset.toml"
    config.write_text(
        "[[datasets]]\nresolution = 512\n[[datasets.subsets]]\nnum_repeats = 3\n"
        "image_dir = 'my pictures ü'\nmetadata_file = 'meta é.json'\n",
        "utf-8",
    )
    words = ["train.cache_latents=true", "dataset.random_crop=false"]
    preset = shipped.load("lion", overrides=words)
    request = Request(preset, "korra", Path("runs"), release)
    found = contents.of(contents.Asked(request, config, packs.HUB), Talk())
    there = tmp_path / "there ö"
    for path, content in found.files.items():
        if path.startswith("data") and (to := there / path):
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    told = []
    for number, source in enumerate((config, there / "dataset.toml")):
        where = Paths(source, PurePath("b"), tmp_path, "korra", tmp_path / f"{number}.toml")
        where.dataset_config.write_text(rendered.text(preset, where), "utf-8")
        told.append(asking.ask(upstream(release), READ, str(where.dataset_config)))
    assert told[0] == told[1]
    assert len(told[1]) == 3
    assert {repeats for _, repeats, _ in told[1]} == {3}
