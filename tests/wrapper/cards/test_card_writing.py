"""A card from a run's own files and from a LoRA alone: what is read, written and left alone."""

from __future__ import annotations

import datetime
import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from kohya_presets.cards.facts import Sampling
from kohya_presets.errors import ProblemsError, UserError
from kohya_presets.loras import weights
from tests import lora_files, tensors
from tests.kohya_presets.cards import made
from tests.wrapper.cards import runs
from wrapper.cards import about, metadata_file, pictures, writing
from wrapper.cards.writing import Card
from wrapper.runs import manifest

BASE = "stabilityai/stable-diffusion-xl-base-1.0"
TODAY = datetime.date(2026, 3, 4)


def written(subject: Path, **options: object) -> Card:
    return writing.write(about.of(subject), today=TODAY, **options)  # type: ignore[arg-type]


def texts(card: Card) -> str:
    return "".join(
        (card.folder / name).read_text("utf-8") for name in ("card.md", "card.html", "README.md")
    )


def test_a_runs_facts_are_those_of_its_files(tmp_path: Path) -> None:
    run = runs.finished(tmp_path / "my runs ü" / "korra")
    found = about.of(run.folder)
    facts = found.facts
    assert found.folder == run.folder / "card"
    assert (facts.preset, facts.release, facts.patches) == ("skynet", "v0.10.1", ("resume",))
    assert (facts.images, facts.epochs, facts.epoch, facts.rank) == (20, 40, 0, 4)
    assert (facts.optimizer, set(facts.rates.values())) == ("AdamW", {1e-6})
    assert set(facts.rates) == {"U-Net", "text encoder 1", "text encoder 2"}
    assert facts.base == "sd_xl_base_1.0.safetensors"
    assert facts.base_model == "stabilityai/stable-diffusion-xl-base-1.0"
    assert facts.method.endswith("at rank 512, then resized to rank 4")
    assert facts.is_sdxl
    assert not facts.rehearsal
    # The samples of the last save, in the order of their prompts.
    assert [(p.prompt, p.seed) for p in found.pictures] == [
        ("korra, a castle", 1),
        ("korra, a lake", None),
    ]
    assert [p.file.name[:13] for p in found.pictures] == ["korra_e000040", "korra_e000040"]
    assert facts.sampled_with == "during training by the fine-tuned model itself"


@pytest.mark.parametrize(
    ("reference", "revision", "base_model"),
    [
        ("me/model", "0123abc", "me/model"),
        ("me/model/a/b.safetensors", "0123abc", "me/model"),
        ("models/b.safetensors", "", ""),
        ("C:\\models\\sd_xl_base_1.0_0.9vae.safetensors", "", BASE),
        ("", "", ""),
    ],
)
def test_a_base_model_of_the_hub_is_named_and_a_file_only_by_its_usual_name(
    tmp_path: Path, reference: str, revision: str, base_model: str
) -> None:
    run = runs.finished(tmp_path / "korra")
    base = {"reference": reference, "revision": revision}
    manifest.write(replace(run, facts={**run.facts, "base": base}))
    facts = about.of(run.folder).facts
    assert facts.base_model == base_model
    assert "models" not in facts.base


def test_an_evaluations_pictures_and_notes_come_before_the_samples(tmp_path: Path) -> None:
    run = runs.evaluated(runs.finished(tmp_path / "korra"))
    card = written(run.folder)
    found = about.of(run.folder)
    assert [p.file.name for p in found.pictures] == ["c.png", "b.png"]
    assert card.facts.sampled_with == ""
    assert card.facts.sampling == made.SAMPLING
    assert len(card.pictures) == 1  # one of each prompt
    assert "1 of 4 training captions" in (card.folder / "card.md").read_text("utf-8")
    assert card.words.trigger == ("korra",)
    assert not card.words.gap("trigger")


def test_the_trigger_of_a_later_evaluation_fills_the_gap(tmp_path: Path) -> None:
    run = runs.finished(tmp_path / "korra")
    assert written(run.folder).words.gap("trigger")
    card = written(runs.evaluated(run).folder)
    assert card.words.trigger == ("korra",)
    assert "trigger" not in {gap.key for gap in card.gaps}


def test_another_epoch_that_evaluate_recommends_is_told(tmp_path: Path) -> None:
    advice = {"model": "korra-000020", "verdict": "overtrained", "reason": "Copies rise."}
    run = runs.evaluated(runs.finished(tmp_path / "korra"), recommendation=advice)
    (warning,) = about.of(run.folder).warnings
    assert "recommends korra-000020" in warning
    assert "Copies rise." in warning


def test_a_verdict_on_this_very_lora_is_told(tmp_path: Path) -> None:
    advice = {"model": None, "verdict": "undertrained", "reason": "The trigger does little."}
    run = runs.evaluated(runs.finished(tmp_path / "korra"), recommendation=advice)
    (warning,) = about.of(run.folder).warnings
    assert warning == "`evaluate` found it undertrained: The trigger does little."


def test_a_lora_of_an_epoch_has_the_runs_facts_and_the_epochs_samples(tmp_path: Path) -> None:
    run = runs.finished(tmp_path / "korra")
    file = lora_files.write(run.folder / "lora" / "korra-000020.safetensors", lora_files.whole(2))
    found = about.of(file)
    assert (found.facts.epoch, found.facts.epochs, found.facts.rank) == (20, 40, 2)
    assert found.run
    assert "at rank" not in found.facts.method  # it may be another one
    assert {p.file.name[:13] for p in found.pictures} == {"korra_e000020"}


def test_pictures_outside_of_the_evaluation_are_not_shown(tmp_path: Path) -> None:
    outside = runs.picture(tmp_path / "private.png", (1, 2, 3))
    run = runs.evaluated(runs.finished(tmp_path / "korra"))
    file = run.folder / "evaluation" / "evaluation.json"
    values = json.loads(file.read_text("utf-8"))
    for one, name in zip(values["pictures"], (str(outside), "../../private.png") * 3, strict=False):
        one["file"] = name
    file.write_text(json.dumps(values), "utf-8")
    assert {p.file.parent for p in about.of(run.folder).pictures} == {run.folder / "samples"}


def test_nothing_of_this_computer_is_in_a_card(tmp_path: Path) -> None:
    run = runs.finished(tmp_path / "korra")
    card = written(run.folder)
    assert len(card.pictures) == 2
    for file in card.files:
        content = file.read_bytes()
        assert b"secret-name" not in content
        assert str(tmp_path).encode() not in content


def test_settings_that_pictures_do_not_share_stand_beside_each(tmp_path: Path) -> None:
    card = written(runs.finished(tmp_path / "korra").folder)
    assert card.facts.sampling == Sampling("ddim", 0, 7.5, 1024, 1024)
    text = (card.folder / "card.md").read_text("utf-8")
    assert "`korra, a castle` (seed 1, Steps: 30)" in text
    assert "`korra, a lake` (random seed, Steps: 20)" in text


def test_a_lora_alone_gets_a_folder_beside_it(tmp_path: Path) -> None:
    said = {
        "modelspec.title": "Korra", "modelspec.description": "An avatar.",
        "modelspec.author": "Aya", "modelspec.trigger_phrase": "korra",
        "ss_sd_model_name": "sd_xl_base_1.0.safetensors", "ss_num_epochs": "10",
    }  # fmt: skip
    file = lora_files.write(tmp_path / "my ü" / "korra.safetensors", lora_files.whole(), said)
    card = written(file)
    assert card.folder == file.parent / "korra-card"
    assert (card.words.title, card.words.author) == ("Korra", "Aya")
    assert card.words.trigger == ("korra",)
    assert {gap.key for gap in card.gaps}.isdisjoint({"description", "trigger"})
    assert (card.folder / "card.md").read_text("utf-8").startswith("# Korra\n\nAn avatar.\n")
    assert [p.name for p in card.folder.iterdir() if p.suffix == ".jpg"] == []


def test_the_authors_file_is_kept_and_the_pages_follow_it(tmp_path: Path) -> None:
    run = runs.finished(tmp_path / "korra")
    card = written(run.folder)
    file = card.folder / "card.toml"
    mine = file.read_text("utf-8").replace('description = ""', 'description = "Mine."  # !')
    file.write_bytes(mine.replace("\n", "\r\n").encode())
    before = file.read_bytes()
    card = written(run.folder)
    assert file.read_bytes() == before
    assert "Mine." in texts(card)
    assert card.words.gap("description") is None


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_short_file_is_completed_in_its_own_line_ends(
    tmp_path: Path, ending: str, mark: bytes
) -> None:
    run = runs.finished(tmp_path / "korra")
    file = run.folder / "card" / "card.toml"
    file.parent.mkdir()
    start = mark + f'# mine{ending}description = "D"{ending}'.encode()
    file.write_bytes(start)
    written(run.folder)
    content = file.read_bytes()
    assert content.startswith(start)
    assert content.count(b"\r\n") == (content.count(b"\n") if ending == "\r\n" else 0)
    assert b"[[versions]]" in content
    written(run.folder)
    assert file.read_bytes() == content


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"title = ", "card.toml"), (b"title = '\xff'", "UTF-8"), (b"trigger = [1]", "expected")],
)
def test_a_broken_file_stops_before_anything_is_written(
    tmp_path: Path, content: bytes, says: str
) -> None:
    run = runs.finished(tmp_path / "korra")
    file = run.folder / "card" / "card.toml"
    file.parent.mkdir()
    file.write_bytes(content)
    with pytest.raises(ProblemsError) as caught:
        written(run.folder)
    assert says in str(caught.value) + "".join(map(str, caught.value.problems))
    assert [p.name for p in file.parent.iterdir()] == ["card.toml"]
    assert file.read_bytes() == content


def test_a_page_that_was_edited_is_not_overwritten(tmp_path: Path) -> None:
    run = runs.finished(tmp_path / "korra")
    card = written(run.folder)
    page = card.folder / "card.md"
    page.write_text("edited", "utf-8")
    with pytest.raises(UserError, match=r"card\.md was not written by `card`, or was edited"):
        written(run.folder)
    assert page.read_text("utf-8") == "edited"
    written(run.folder, force=True)
    assert page.read_text("utf-8").startswith("# korra")


def test_somebody_elses_readme_is_not_overwritten(tmp_path: Path) -> None:
    run = runs.finished(tmp_path / "korra")
    (tmp_path / "README.md").write_text("mine", "utf-8")
    with pytest.raises(UserError, match=r"README\.md"):
        written(run.folder, out=tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["README.md", "here", "korra"]


def test_an_earlier_cards_words_and_versions_go_on(tmp_path: Path) -> None:
    first = written(runs.finished(tmp_path / "korra").folder)
    file = first.folder / "card.toml"
    file.write_text(file.read_text("utf-8").replace('trigger = ""', 'trigger = "korra"'), "utf-8")
    second = runs.finished(tmp_path / "korra-2")
    tensor = lora_files.whole(3)
    made_file = lora_files.write(second.product, tensor)
    runs.with_product(second, sha256=weights.sha256(made_file))
    card = written(second.folder, after=tmp_path / "korra")
    assert card.words.trigger == ("korra",)
    assert [v.version for v in card.words.versions] == ["1", "2"]
    assert [gap.key for gap in card.gaps if "versions" in gap.key] == ["versions.2"]
    assert "rank 3 instead of 4" in (card.folder / "card.md").read_text("utf-8")
    with pytest.raises(UserError, match="is there already"):
        written(second.folder, after=tmp_path / "korra")
    with pytest.raises(UserError, match=r"has no card\.toml"):
        written(second.folder, after=tmp_path, out=tmp_path / "other")


def test_what_is_no_lora_is_refused(tmp_path: Path) -> None:
    run = runs.finished(tmp_path / "korra")
    with pytest.raises(UserError, match="does not exist"):
        about.of(tmp_path / "nothing")
    with pytest.raises(UserError, match="is not a run folder"):
        about.of(tmp_path)
    model = tensors.write(tmp_path / "model.safetensors", tensors.SDXL)
    with pytest.raises(UserError):
        about.of(model)
    run.product.unlink()
    with pytest.raises(UserError, match="has no LoRA yet"):
        about.of(run.folder)
    runs.with_product(run, expects="an SDXL checkpoint")
    with pytest.raises(UserError, match="makes no LoRA"):
        about.of(run.folder)


def test_a_lora_that_was_changed_after_the_run_is_told(tmp_path: Path) -> None:
    run = runs.finished(tmp_path / "korra")
    assert not about.of(run.folder).warnings
    lora_files.write(run.product, lora_files.whole(), {"a": "b"})
    assert "changed since then" in about.of(run.folder).warnings[0]


def test_a_rehearsals_lora_is_told_to_be_one(tmp_path: Path) -> None:
    card = written(runs.finished(tmp_path / "korra", kind="rehearsal").folder)
    assert "comes from a rehearsal" in texts(card)


def test_the_metadata_go_into_a_copy_and_the_runs_record_stays_true(tmp_path: Path) -> None:
    run = runs.finished(tmp_path / "korra")
    card, found = written(run.folder), about.of(run.folder)
    target = metadata_file.place(found, card.folder, None, in_place=False, force=False)
    assert metadata_file.newest(found, card) == run.product
    metadata_file.write(found, card, target, "")
    assert weights.sha256(run.product) == manifest.read(run.folder).stages[-1].sha256
    assert tensors.contents(target) == tensors.contents(run.product)
    said = weights.read(target).metadata
    assert said["modelspec.title"] == "korra"
    assert said["ss_network_dim"] == "4"
    assert said["modelspec.thumbnail"].startswith("data:image/webp;base64,")
    assert metadata_file.newest(found, card) == target
    # Again: a copy of the same LoRA may be replaced, another file not.
    metadata_file.place(found, card.folder, None, in_place=False, force=False)
    lora_files.write(target, lora_files.whole(2))
    with pytest.raises(UserError, match="already exists"):
        metadata_file.place(found, card.folder, None, in_place=False, force=False)
    assert metadata_file.newest(found, card) == run.product


def test_a_runs_product_is_not_rewritten_in_place(tmp_path: Path) -> None:
    run = runs.finished(tmp_path / "korra")
    for subject in (run.folder, run.product):
        with pytest.raises(UserError, match="must not change"):
            metadata_file.place(about.of(subject), tmp_path, None, in_place=True, force=True)


def test_places_for_a_copy_are_checked(tmp_path: Path) -> None:
    file = lora_files.write(tmp_path / "a.safetensors", lora_files.whole())
    other = lora_files.write(tmp_path / "b.safetensors", lora_files.whole())
    found = about.of(file)
    for out, says in ((file, "is the LoRA itself"), (other, "already exists"),
                      (tmp_path / "c.bin", "must end in")):  # fmt: skip
        with pytest.raises(UserError, match=says):
            metadata_file.place(found, tmp_path, out, in_place=False, force=False)
    assert metadata_file.place(found, tmp_path, None, in_place=True, force=False) == file


def test_a_thumbnail_is_small_and_a_picture_has_nothing_hidden(tmp_path: Path) -> None:
    large = runs.picture(tmp_path / "large.png", (9, 9, 9), (2000, 1500))
    assert 100 < len(pictures.thumbnail(large)) < pictures.THUMBNAIL_BYTES * 4 / 3 + 100
    (tmp_path / "broken.png").write_bytes(b"no picture")
    assert pictures.thumbnail(tmp_path / "broken.png") == ""
    with pytest.raises(UserError, match="cannot read the picture"):
        metadata_file.chosen(tmp_path / "nothing.png")
    card = written(runs.finished(tmp_path / "korra").folder)
    for file in card.pictures:
        with Image.open(file) as image:
            assert image.format == "JPEG"
            assert not image.getexif()
            assert "comment" not in image.info
