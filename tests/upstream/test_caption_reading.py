"""sd-scripts reads of odd caption files what we say that it reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from kohya_presets.dataset import caption
from tests.kohya_presets.dataset.odd_captions import CAPTIONS
from tests.upstream import asking
from wrapper.checkouts.checkout import Checkout

pytestmark = [
    pytest.mark.upstream,
    pytest.mark.xdist_group("upstream"),
    pytest.mark.trainer,
    pytest.mark.every_release,
]
READ = """
import os

def read(folder, wildcard):
    subsets = [{"image_dir": folder, "caption_extension": ".txt", "enable_wildcard": wildcard}]
    group = group_of({"datasets": [{"resolution": 64, "subsets": subsets}]})
    return [info.caption for info in group.datasets[0].image_data.values()]

told = {}
for folder in sorted(os.listdir(sys.argv[1])):
    for wildcard in (False, True):
        try:
            (text,) = read(os.path.join(sys.argv[1], folder), wildcard)
        except (AssertionError, UnicodeDecodeError) as error:
            text = {"fault": "empty" if isinstance(error, AssertionError) else "encoding"}
        told[f"{folder} {wildcard}"] = text
tell(told)
"""


@pytest.mark.parametrize("release", ["v0.8.7", "v0.9.1", "v0.10.1", "v0.11.1"])
def test_odd_caption_files_are_read_as_we_say(
    release: str, upstream: Callable[[str], Checkout], tmp_path: Path
) -> None:
    root = tmp_path / "captions"
    for number, data in enumerate(CAPTIONS.values()):
        folder = root / f"{number:03}"
        folder.mkdir(parents=True)
        Image.new("RGB", (64, 64)).save(folder / "image.png")
        (folder / "image.txt").write_bytes(data)
    told = asking.ask(upstream(release), READ, str(root))
    assert len(told) == 2 * len(CAPTIONS)
    for number, (name, data) in enumerate(CAPTIONS.items()):
        for wildcard in (False, True):
            read = caption.of_bytes(Path("image.txt"), data, wildcard=wildcard)
            ours = {"fault": read.fault} if read.fault else read.text
            assert told[f"{number:03} {wildcard}"] == ours, name


FACES = """
group = group_of({"datasets": [{"resolution": 64, "subsets": [{"image_dir": sys.argv[1],
                 "caption_extension": ".txt", "class_tokens": "woman"}]}]})
tell({info.image_key: info.caption for info in group.datasets[0].image_data.values()})
"""


def test_a_name_with_four_numbers_has_the_caption_of_its_picture(
    upstream: Callable[[str], Checkout], tmp_path: Path
) -> None:
    folder = tmp_path / "my_pictures"
    folder.mkdir()
    for name in ("korra", "korra_1_20_30_40", "korra_1_2", "naga_1_2_3_4", "asami"):
        Image.new("RGB", (64, 64)).save(folder / f"{name}.png")
    (folder / "korra.txt").write_text("a picture of korra", "utf-8")
    (folder / "asami.txt").write_text("asami", "utf-8")
    told = asking.ask(upstream("v0.10.1"), FACES, str(folder))
    for image, text in told.items():
        file = caption.find(Path(image), ".txt")
        ours = caption.of_bytes(file, file.read_bytes()).text if file else "woman"
        assert ours == text, image
    assert told[str(folder / "korra_1_20_30_40.png")] == "a picture of korra"
