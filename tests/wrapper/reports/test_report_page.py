"""The page says what there is, why the rest is not there, and is text whatever a run holds."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from kohya_presets.errors import UserError
from tests import tensors
from tests.wrapper.data.page.test_html import Read
from tests.wrapper.reports import made_runs
from wrapper.reports import page
from wrapper.runs import manifest

BAD = "</title><script>alert(1)</script>\u202e<img src=x onerror=alert(1)>"
MOST = 5_000_000  # bytes
RANKS = {
    "ranks": [1, 16],
    "all": {"name": "all", "retained": [0.5, 0.99]},
    "parts": [{"name": "U-Net", "retained": [0.4, 0.98]}],
    "blocks": [{"name": BAD, "retained": [0.3, 0.97]}, "no row", {"name": "x"}],
    "advice": f"Rank 16 is enough {BAD}",
}
EVALUATION = {
    "format": 1,
    "models": [{"name": "korra-000010", "epoch": 10}],
    "pictures": [{}, {}],
    "epochs": [
        {"model": "korra-000010", "epoch": 10, "copies": 1, "of": 4, "diversity": 0.31},
        {"model": BAD, "epoch": BAD, "copies": BAD, "of": 4, "leak": BAD},
        "no row",
    ],
    "recommendation": {"model": "korra-000010", "verdict": "right", "reason": f"It is. {BAD}"},
}


def written(folder: Path, **how: float) -> str:
    return page.write(folder, **how).read_text("utf-8")  # type: ignore[arg-type]


def words(text: str) -> str:
    """Return the text of a page without its elements, in one line."""
    bare = re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)
    found = re.sub(r"<[^>]*>", " ", bare).replace("&#39;", "'").replace("&#34;", '"')
    return " ".join(found.split())


def test_the_guides_length_is_below_five_megabytes(tmp_path: Path) -> None:
    made_runs.long(tmp_path / "my run ü", side=256)
    file = page.write(tmp_path / "my run ü", rate=1.9)
    assert file == (tmp_path / "my run ü" / "report.html").resolve()
    assert file.stat().st_size < MOST
    read = Read(file.read_text("utf-8"))
    assert len(read.all("img")) == 60
    assert all(image["alt"] for image in read.all("img"))
    assert len([a for a in read.all("svg") if a.get("role") == "img"]) >= 6
    text = words(file.read_text("utf-8"))
    assert "60 pictures of 60 in samples/" in text
    assert "loss of each step, smoothed" in text
    assert "Sample of prompt 2 at epoch 100: korra, a portrait" in file.read_text("utf-8")
    assert "train 1:30, costs 0.05" in text
    assert "korra: 60 images, 60 captions" in text
    assert "state of step 3000 (epoch 50) saved" in text


def test_noise_that_no_encoder_makes_small_stays_below_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        made_runs, "_picture", lambda side: Image.effect_noise((side, side), 200).convert("RGB")
    )
    made_runs.long(tmp_path / "run", side=360)
    assert page.write(tmp_path / "run").stat().st_size < MOST


def test_every_section_of_an_empty_run_says_why(tmp_path: Path) -> None:
    made_runs.run(tmp_path / "run")
    (tmp_path / "run" / "preset.toml").unlink()
    text = written(tmp_path / "run")
    read = Read(text)
    whys = [" ".join(why.split()) for why in read.texts["p.quiet"]]
    for why in (
        "The epochs were not compared yet:",
        "The run makes no samples:",
        "The settings are not shown:",
        "No loss was logged yet.",
        "TensorBoard's files are not in logs/tensorboard",
        "This run keeps no average of its weights (EMA).",
        "No stage has ended yet.",
        "No GPU memory was logged:",
        "The run has not made its LoRA yet",
        "Not measured: rank.json is not in the run's folder.",
        "No model and no LoRA is in the run's folder yet.",
        "Nothing was started yet.",
        "No warning is in the logs",
    ):
        assert any(one.startswith(why) for one in whys), why
    assert "Continue the run with" in words(text)
    # Each of the sections that are linked to is there, with something below its heading.
    ids = {a["id"] for _, a in read.elements if a.get("id")}
    links = [str(a["href"]) for a in read.all("a")]
    assert {link[1:] for link in links} <= ids
    assert len(read.all("section")) == len(set(links))


def test_without_tensorboard_the_bars_tell_the_loss(tmp_path: Path) -> None:
    made_runs.run(tmp_path / "run")
    (tmp_path / "run" / "logs" / "train.log").write_text(made_runs.bars(50, 1), "utf-8")
    text = words(written(tmp_path / "run"))
    assert "average loss of the epoch: 0.101 at 1, 0.105 at 50" in text
    assert "From the progress bar in logs/train.log" in text


def test_a_loss_that_is_no_number_is_said(tmp_path: Path) -> None:
    made_runs.run(tmp_path / "run")
    tags = {**made_runs.TAGS, "loss": float("nan")}
    made_runs.log_events(tmp_path / "run", range(1, 20), tags=tags)
    text = words(written(tmp_path / "run"))
    assert "Every loss that was logged is NaN or infinite: the weights are spoiled." in text
    assert "nan" not in re.sub("NaN", "", text)


def test_ranks_and_evaluation_are_told(tmp_path: Path) -> None:
    made_runs.done(tmp_path / "run")
    (tmp_path / "run" / "rank.json").write_bytes(json.dumps(RANKS).encode("utf-16"))
    folder = tmp_path / "run" / "evaluation"
    folder.mkdir()
    (folder / "evaluation.json").write_text(json.dumps(EVALUATION), "utf-8")
    text = words(written(tmp_path / "run"))
    assert "Rank 16 is enough" in text
    assert "U-Net 40.0% 98.0%" in text
    assert "Keep korra-000010 . It is trained right. It is." in text
    assert "korra-000010 10 1 of 4 0.31 not measured not measured" in text
    assert "Open the pictures" not in text
    (folder / "index.html").write_text("<p>", "utf-8")
    read = Read(written(tmp_path / "run"))
    assert "./evaluation/index.html" in [a["href"] for a in read.all("a")]
    elsewhere = page.write(tmp_path / "run", tmp_path / "elsewhere.html")
    assert "index.html" not in elsewhere.read_text("utf-8")


@pytest.mark.parametrize("text", ["[]", '{"ranks": 3}', '{"epochs": 3, "recommendation": []}', "{"])
def test_files_of_another_form_are_no_error(tmp_path: Path, text: str) -> None:
    made_runs.done(tmp_path / "run")
    (tmp_path / "run" / "evaluation").mkdir()
    for name in ("rank.json", "data.json", "evaluation/evaluation.json"):
        (tmp_path / "run" / name).write_text(text, "utf-8")
    assert "Not measured" in words(written(tmp_path / "run"))


def hostile(folder: Path) -> None:
    """Make a run of which every text says something bad."""
    facts = {
        name: {key: BAD if isinstance(value, str) else value for key, value in table.items()}
        for name, table in made_runs.FACTS.items()
    }
    facts["sd-scripts"]["patches"] = [BAD]
    facts["environment"]["gpus"] = [BAD]
    found = replace(made_runs.done(folder), facts=facts, name=BAD, preset=BAD)
    tensors.write(found.product, tensors.lora(4), metadata={BAD: BAD})
    manifest.write(found)
    made_runs.pictures(folder, [1], side=16)
    (folder / "prompts.txt").write_text(f"{BAD}\n{BAD}\n", "utf-8")
    (folder / "logs" / "train.log").write_text(
        f"   WARNING  {BAD}   x.py:1\nkohya-presets: {BAD}\n", "utf-8"
    )
    (folder / "logs" / "said.log").write_text(f"2026-11-27T19:00:00+00:00 {BAD}\n", "utf-8")
    (folder / "rank.json").write_text(json.dumps(RANKS), "utf-8")
    (folder / "evaluation").mkdir()
    (folder / "evaluation" / "evaluation.json").write_text(json.dumps(EVALUATION), "utf-8")
    preset = (folder / "preset.toml").read_text("utf-8")
    preset = preset.replace('optimizer_type = "AdamW"', f"optimizer_type = {json.dumps(BAD)}")
    (folder / "preset.toml").write_text(preset, "utf-8")
    made_runs.log_events(folder, [1, 2])


def test_nothing_of_a_run_becomes_an_element(tmp_path: Path) -> None:
    hostile(tmp_path / "run")
    text = written(tmp_path / "run")
    read = Read(text)
    assert read.all("script") == []
    assert len(read.all("style")) == 1
    assert [image for image in read.all("img") if "webp" not in str(image["src"])] == []
    every = [name for _, attributes in read.elements for name in attributes]
    assert [name for name in every if name.startswith("on") or name == "style"] == []
    assert "\u202e" not in text
    assert "script-src" not in text
    assert words(text).count("&lt;script&gt;alert(1)") > 20


def test_nothing_is_asked_for(tmp_path: Path) -> None:
    made_runs.done(tmp_path / "run")
    made_runs.pictures(tmp_path / "run", [1], side=16)
    text = written(tmp_path / "run")
    read = Read(text)
    wanted = {str(a.get(k)) for _, a in read.elements for k in ("src", "href") if a.get(k)}
    assert {one.split(",")[0] for one in wanted if not one.startswith("#")} == {
        "data:image/webp;base64"
    }
    assert set(re.findall(r"https?://[^\"' ]*", text)) == {"http://www.w3.org/2000/svg"}


def test_a_file_of_somebody_else_is_not_overwritten(tmp_path: Path) -> None:
    made_runs.done(tmp_path / "run")
    theirs = tmp_path / "notes.html"
    theirs.write_text("mine", "utf-8")
    with pytest.raises(UserError, match="already exists"):
        page.write(tmp_path / "run", theirs)
    assert theirs.read_text("utf-8") == "mine"
    page.write(tmp_path / "run", theirs, force=True)
    page.write(tmp_path / "run", theirs, rate=2.0)  # ours now
    assert "costs" in theirs.read_text("utf-8")


@pytest.mark.skipif(os.name != "posix", reason="links")
def test_a_link_in_the_place_of_the_report_is_not_followed(tmp_path: Path) -> None:
    made_runs.done(tmp_path / "run")
    theirs = tmp_path / "theirs.html"
    (tmp_path / "run" / "report.html").symlink_to(theirs)
    with pytest.raises(UserError, match="is a link"):
        page.write(tmp_path / "run")
    assert not theirs.exists()


def test_what_is_no_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"run\.toml"):
        page.write(tmp_path)
