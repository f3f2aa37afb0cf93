"""Pictures are made once, kept however the script ends, and never half."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from kohya_presets.errors import TrainerError, UserError
from kohya_presets.prompts.lines import Prompt
from tests.wrapper.evaluation import fake
from wrapper.evaluation import generate, shots
from wrapper.evaluation.shots import Model, Settings, Shot
from wrapper.system import launch
from wrapper.system.launch import OnLine

SETTINGS = Settings("v0.10.1", "sdxl_gen_img.py", "euler_a", 4, 7.0, 16, 16)
PROMPTS = [Prompt(f"scene {n} of Zoë, {n}%", "generic", seed=n) for n in range(4)]


class Heard:
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    @contextmanager
    def stage(self, name: str, news: Callable[[], str] = lambda: "") -> Iterator[OnLine]:
        """Keep what is beside the bar at the end."""
        yield lambda line: None
        self.lines.append(f"{name}: {news()}")

    def say(self, text: str) -> None:
        """Keep it."""
        self.lines.append(text)


def models(folder: Path) -> dict[str, Model]:
    lora = folder / "ko rra.safetensors"
    lora.write_bytes(b"lora")
    return {
        "base": Model("base", identity="b"),
        "ko rra": Model("ko rra", lora, 10, identity="1", order=1),
    }


def made(folder: Path, wanted: list[Shot]) -> dict[str, bytes]:
    return {
        shot.file: (folder / shot.file).read_bytes()
        for shot in wanted
        if (folder / shot.file).is_file()
    }


def test_each_picture_has_its_place_and_is_not_made_again(tmp_path: Path) -> None:
    out, each = tmp_path / "evaluation ü", models(tmp_path)
    wanted = shots.of([*each.values()], PROMPTS, SETTINGS, (0.5, 1.0))
    site, heard = fake.site(tmp_path), Heard()
    generate.make(out, wanted, each, SETTINGS, site, heard)
    first = made(out, wanted)
    assert len(first) == len(wanted) == 8
    assert len(set(first.values())) == 8
    assert "base: picture 4 of 4" in heard.lines
    (site.scripts / "sdxl_gen_img.py").unlink()  # nothing is started any more
    generate.make(out, wanted, each, SETTINGS, site, Heard())
    assert made(out, wanted) == first
    assert not (out / generate.WORK).exists()


def test_what_a_failed_script_made_is_kept_and_the_rest_made_next_time(tmp_path: Path) -> None:
    out, each = tmp_path / "evaluation", models(tmp_path)
    wanted = shots.of([*each.values()], PROMPTS, SETTINGS)
    with pytest.raises(TrainerError, match="exit code 1") as caught:
        generate.make(out, wanted, each, SETTINGS, fake.site(tmp_path, STOP_AFTER="2"), Heard())
    assert "memory" in (caught.value.hint or "")
    kept = made(out, wanted)
    assert len(kept) == 2  # and not the half one
    heard = Heard()
    generate.make(out, wanted, each, SETTINGS, fake.site(tmp_path), heard)
    assert "base: 2 pictures" in heard.lines
    after = made(out, wanted)
    assert len(after) == 8
    assert after.items() >= kept.items()


def test_pictures_after_a_stop_are_those_of_a_run_without_one(tmp_path: Path) -> None:
    each = models(tmp_path)
    wanted = shots.of([*each.values()], PROMPTS, SETTINGS)
    stopping = fake.site(tmp_path, STOP_AFTER="3")
    with pytest.raises(TrainerError):
        generate.make(tmp_path / "a", wanted, each, SETTINGS, stopping, Heard())
    for name in ("a", "b"):
        generate.make(tmp_path / name, wanted, each, SETTINGS, fake.site(tmp_path), Heard())
    assert made(tmp_path / "a", wanted) == made(tmp_path / "b", wanted)


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    out, each = tmp_path / "evaluation", models(tmp_path)
    out.mkdir()
    wanted = shots.of([*each.values()], PROMPTS, SETTINGS)
    with generate.locked(out), pytest.raises(UserError, match="another kohya-presets"):
        generate.make(out, wanted, each, SETTINGS, fake.site(tmp_path), Heard())


def test_a_picture_is_whole_or_not_there(tmp_path: Path) -> None:
    out, each = tmp_path / "evaluation", models(tmp_path)
    wanted = shots.of([*each.values()], PROMPTS, SETTINGS)
    generate.make(out, wanted, each, SETTINGS, fake.site(tmp_path), Heard())
    for shot in wanted:
        with Image.open(out / shot.file) as picture:
            picture.load()
            assert picture.size == (16, 16)


def test_what_a_killed_evaluation_left_is_kept(tmp_path: Path) -> None:
    out, each = tmp_path / "evaluation", models(tmp_path)
    wanted = shots.of([*each.values()], PROMPTS, SETTINGS)
    work = out / generate.WORK
    (work / "made").mkdir(parents=True)
    first = [shot for shot in wanted if shot.model == "base"]
    told = {"files": [shot.file for shot in first], "log": str(out / "logs" / "base.log")}
    (work / generate.TARGETS).write_text(json.dumps(told), "utf-8")
    Image.new("RGB", (16, 16), "red").save(work / "made" / "im_000002.png")
    (work / "made" / "im_000003.png").write_bytes(b"half")
    heard = Heard()
    generate.make(out, wanted, each, SETTINGS, fake.site(tmp_path), heard)
    assert "base: 3 pictures" in heard.lines
    with Image.open(out / first[1].file) as picture:
        assert picture.getpixel((0, 0)) == (255, 0, 0)
    assert len(made(out, wanted)) == len(wanted)
    assert not work.exists()


def test_what_a_changed_note_says_leads_to_no_file_outside(tmp_path: Path) -> None:
    out, each = tmp_path / "evaluation", models(tmp_path)
    work = out / generate.WORK
    (work / "made").mkdir(parents=True)
    told = {"files": ["../outside.png"], "log": "none"}
    (work / generate.TARGETS).write_text(json.dumps(told), "utf-8")
    Image.new("RGB", (16, 16), "red").save(work / "made" / "im_000001.png")
    generate.make(out, [], each, SETTINGS, fake.site(tmp_path), Heard())
    assert not (tmp_path / "outside.png").exists()


def test_a_script_that_still_works_is_waited_for(tmp_path: Path) -> None:
    out, each = tmp_path / "evaluation", models(tmp_path)
    wanted = shots.of([each["base"]], PROMPTS, SETTINGS)
    site = fake.site(tmp_path, SLEEP="0.3")
    lines = out / generate.WORK / "lines.txt"
    into = lines.parent / "made"
    into.mkdir(parents=True)
    lines.write_text("".join(f"{shot.line}\n" for shot in wanted), "utf-8")
    started = generate.command(out, each["base"], lines, into, SETTINGS, site)
    told = {"files": [shot.file for shot in wanted], "log": str(started.log)}
    (lines.parent / generate.TARGETS).write_text(json.dumps(told), "utf-8")
    left = threading.Thread(target=launch.run, args=(started,), kwargs={"on_line": len})
    left.start()
    while not (into / "im_000001.png").is_file():
        time.sleep(0.05)
    heard = Heard()
    generate.make(out, wanted, each, SETTINGS, site, heard)
    left.join()
    assert "an earlier evaluation is still making pictures: waiting for it" in heard.lines
    assert not any(line.startswith("base: ") for line in heard.lines)
    assert len(made(out, wanted)) == 4


def test_somebody_elses_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    generate.require_ours(tmp_path / "mine")
    generate.require_ours(tmp_path / "new")
    (tmp_path / "mine" / "index.html").write_text("mine", "utf-8")
    with pytest.raises(UserError, match="is not empty, and no evaluation"):
        generate.require_ours(tmp_path / "mine")
