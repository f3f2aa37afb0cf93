"""Presets and sd-scripts' own files are validated for a release: all that is wrong, at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import toml

from kohya_presets.files import render
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.problems import Problem, errors
from kohya_presets.sdscripts import releases
from kohya_presets.validate import config_files, everything
from kohya_presets.validate.report import Report
from tests.kohya_presets.validate.broken_configs import Broken, corpus, typos
from tests.sheets import INTENDED, SHIPPED_NAMES, Make, against, spoiled

HERE = against("v0.10.1")
Files = Callable[..., tuple[Path, Path]]

# What is said of each shipped preset, on every release in its range: the guide's own later advice.


@pytest.fixture
def files(shipped: Catalogue, tmp_path: Path) -> Files:
    """Return a function that writes what `render` makes of a preset, with one line more."""

    def make(preset: str = "skynet", file: str = "", line: str = "") -> tuple[Path, Path]:
        made = shipped.load(preset)
        config, dataset = tmp_path / "config.toml", tmp_path / "dataset.toml"
        data, base = tmp_path / "pictures ü", tmp_path / "sd xl.safetensors"
        paths = render.Paths(data, base, tmp_path / "out", "korra", dataset)
        texts = {"train": render.config(made, paths), "dataset": render.dataset(made, paths)}
        if file:
            texts[file] = changed(texts[file], line, "[[datasets]]\n" if file == "dataset" else "")
        config.write_text(texts["train"], "utf-8")
        dataset.write_text(texts["dataset"], "utf-8")
        return config, dataset

    return make


def changed(text: str, line: str, after: str) -> str:
    """Return `text` with a line set: in place of the same key's, or behind `after`."""
    key = line.split(" = ")[0]
    lines = [old for old in text.splitlines(keepends=True) if not old.startswith(f"{key} = ")]
    text = "".join(lines)
    return text.replace(after, f"{after}{line}\n", 1) if after else f"{line}\n{text}"


def codes(report: Report) -> set[str]:
    return {problem.code for problem in report.problems}


def found(problems: tuple[Problem, ...], code: str) -> Problem:
    (problem,) = (p for p in problems if p.code == code)
    return problem


@pytest.mark.parametrize("name", SHIPPED_NAMES)
def test_shipped_presets_have_no_errors_on_any_release_of_theirs(
    name: str, shipped: Catalogue
) -> None:
    made = shipped.load(name)
    tags = [tag for tag in releases.tags() if releases.satisfies(tag, made.releases)]
    assert len(tags) > 20
    for source in (*tags, *(between.name for between in releases.between()[3:])):
        report = everything.loaded(made, against(source))
        assert not errors(report.problems), source
        assert codes(report) == INTENDED[name], source


@pytest.mark.parametrize("name", SHIPPED_NAMES)
def test_what_render_writes_of_them_is_said_the_same_of(name: str, files: Files) -> None:
    config, dataset = files(name)
    fused = ("adacoor", "fused-step")
    named = {"a100-ema": ("ema",), "adacoor": ("adacoor",), "hal": fused, "marvin": fused}
    patches = named.get(name, ())
    assert codes(config_files.file(config, against("v0.10.1", patches))) == INTENDED[name]
    assert codes(config_files.file(dataset, HERE)) == set()


def test_the_corpus_is_large_enough() -> None:
    assert len(corpus()) >= 60
    assert len(typos()) >= 60


@pytest.mark.parametrize("broken", corpus(), ids=lambda broken: f"{broken.line} {broken.release}")
def test_every_broken_config_is_caught(broken: Broken, files: Files) -> None:
    config, dataset = files("skynet", broken.file, broken.line)
    for file in (config, dataset) if broken.file == "dataset" else (config,):
        report = config_files.file(file, against(broken.release))
        if file == dataset and broken.code.startswith(("bucket", "below")):
            continue  # what it conflicts with may stand in the training config
        assert broken.code in codes(report)
        problem = next(p for p in report.problems if p.code == broken.code)
        assert problem.severity == broken.severity
        assert problem.where.file in (config, dataset)
        assert problem.where.line is not None


def test_nearly_every_typo_is_told_the_right_name(files: Files) -> None:
    wrong = []
    for typo in typos():
        config, dataset = files("skynet", typo.file, typo.line)
        report = config_files.file(config if typo.file == "train" else dataset, HERE)
        (problem,) = (p for p in report.problems if p.code == "unknown-option")
        if not (problem.hint or "").startswith(f"Did you mean '{typo.name}'"):
            wrong.append((typo.line, problem.hint))
    assert len(wrong) <= 0.05 * len(typos()), wrong


def test_all_is_told_at_once_with_its_lines(make: Make) -> None:
    text = spoiled(
        ("learning_rate = 1e-6", 'learning_rat = 1e-6\nseed = "5"\nlr_scheduler = "zzz"'),
        ("dim = 8", "dim = 8\nsdxl = false"),
    )
    report = everything.preset("mine", make(mine=text), HERE)
    told = {p.code: p.where.line for p in report.problems if p.severity == "error"}
    assert told == {
        "unknown-option": 12,
        "wrong-type": 13,
        "unknown-schedule": 14,
        "extract-sdxl": 21,
    }


def test_a_setting_of_a_parent_is_placed_in_the_parent(make: Make) -> None:
    parent = spoiled(('"AdamW"', '"AdamX"'))
    child = 'schema = 1\n[preset]\nname = "c"\ntitle = "C"\nsummary = "x"\nextends = "mine"\n'
    presets = make(mine=parent, child=child)
    problem = found(everything.preset("child", presets, HERE).problems, "unknown-optimizer")
    assert problem.where.file is not None
    assert (problem.where.file.name, problem.where.line) == ("mine.toml", 11)


def test_a_preset_without_a_script_is_not_held_against_one(make: Make) -> None:
    text = spoiled(('script = "sdxl_train.py"', 'script = "train.py"'))
    assert codes(everything.preset("mine", make(mine=text), HERE)) == {"unknown-script"}


def test_options_are_known_where_the_patch_is(files: Files) -> None:
    config, _ = files("skynet", "train", "enable_ema = true")
    assert "missing-patch" in codes(config_files.file(config, HERE))
    assert "missing-patch" not in codes(config_files.file(config, against("v0.10.1", ("ema",))))


def test_the_commit_that_a_kohya_gui_pins_has_its_own_options(files: Files) -> None:
    config, _ = files("skynet", "train", "fused_optimizer_groups = 4")
    assert not config_files.file(config, against("b8896aad4002")).has_errors
    assert "option-too-new" in codes(config_files.file(config, against("v0.8.8")))


@pytest.mark.parametrize(
    ("release", "fires"), [("v0.9.1", False), ("v0.10.1", True), ("v0.10.6", False)]
)
def test_metadata_without_cached_latents_fails_on_some_releases(
    release: str, fires: bool, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        'pretrained_model_name_or_path = "a"\noutput_dir = "b"\nin_json = "meta.json"\n'
        'train_data_dir = "c"\nresolution = "1024"\nmax_train_epochs = 1\n',
        "utf-8",
    )
    assert ("metadata-uncached" in codes(config_files.file(config, against(release)))) == fires


@pytest.mark.parametrize(("side", "idle"), [(1024, True), (1280, False)])
def test_a_limit_that_its_resolution_needs_is_not_idle(
    side: int, idle: bool, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        'pretrained_model_name_or_path = "a"\noutput_dir = "b"\ntrain_data_dir = "c"\n'
        f'max_train_epochs = 1\nresolution = "{side}"\n'
        "enable_bucket = true\nbucket_no_upscale = true\nmax_bucket_reso = 2048\n",
        "utf-8",
    )
    found = codes(config_files.file(config, against("v0.10.1")))
    assert ("bucket-limits-idle" in found, "bucket-largest" in found) == (idle, False)


@pytest.mark.parametrize(
    ("network", "vae", "expected"),
    [
        ("networks.lora", "", {"empty-text"}),
        ("networks.lora_flux", "", set()),
        ("networks.lora_sd3", "", set()),
    ],
)
def test_some_scripts_do_not_mind(
    network: str, vae: str, expected: set[str], tmp_path: Path
) -> None:
    """train_network.py always has a caching strategy; FLUX and SD 3 read no empty vae."""
    config = tmp_path / "config.toml"
    lines = (f'network_module = "{network}"', f'vae = "{vae}"', 'in_json = "meta.json"')
    config.write_text("\n".join((*lines, 'train_data_dir = "c"\n')), "utf-8")
    stops = {"metadata-uncached", "empty-text"}
    assert codes(config_files.file(config, against("v0.10.1"))) & stops == expected


def test_sections_are_merged_as_sd_scripts_merges_them(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[a]\nseed = 1\n\n[b]\nseed = 2\nsede = 3\n", "utf-8")
    problems = config_files.file(config, HERE).problems
    twice = found(problems, "given-twice")
    assert (twice.where.line, twice.severity) == (5, "warning")
    assert "line 2" in twice.message
    assert found(problems, "unknown-option").where.line == 6


@pytest.mark.parametrize(
    ("data", "code", "line", "hint"),
    [
        (b"\xef\xbb\xbfseed = 1\n", "byte-order-mark", 1, "without BOM"),
        (b'seed = 1\noutput_name = "\xe9"\n', "not-utf8", 2, "UTF-8"),
        (b"seed = 1\r\nseed = 2\r\n", "toml-syntax", 2, ""),
        (b"seed = [1, 'a']\n", "toml-syntax", 1, "does not know all of TOML 1.0"),
        (b"seed = \n", "toml-syntax", 1, "Put strings in quotes"),
        (b'vae = "C:\\models"\n', "toml-syntax", None, "Put a Windows path in single quotes"),
    ],
    ids=["bom", "latin-1", "twice", "mixed list", "no value", "backslash"],
)
def test_what_the_parser_of_sd_scripts_cannot_read_is_told(
    data: bytes, code: str, line: int | None, hint: str, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    config.write_bytes(data)
    problems = config_files.file(config, HERE).problems
    problem = found(problems, code)
    assert problem.severity == "error"
    assert hint in (problem.hint or "")
    # What it lacks for that is no news.
    assert {p.code for p in problems} == {code} or code == "byte-order-mark"
    assert line is None or problem.where.line == line


def test_what_is_in_an_unreadable_dataset_is_not_missed(files: Files) -> None:
    config, dataset = files()
    dataset.write_text("resolution = = 3\n", "utf-8")
    assert {p.code for p in errors(config_files.file(config, HERE).problems)} == {"toml-syntax"}


def test_a_dataset_by_another_name_is_said_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "dataset.toml"
    text = "# mine\n[[dataset]]\nresolution = 64\n[[dataset.subsets]]\nimage_dir = 'a'\n"
    file.write_text(text, "utf-8")
    (problem,) = config_files.file(file, HERE).problems
    assert (problem.code, problem.where.line) == ("misnamed-table", 2)


def test_a_release_out_of_range_cannot_be_silenced(make: Make) -> None:
    text = spoiled(('">=0.7.1"', '">=0.11"\nsilence = ["release"]'))
    assert "release" in {p.code for p in everything.preset("mine", make(mine=text), HERE).problems}


@pytest.mark.parametrize(
    ("silence", "line", "left"),
    [
        ("unknown-option", "learning_rat = 1e-6", "unknown-option"),
        ("wrong-type", 'learning_rate = "1e-6"', "wrong-type"),
        ("wrong-choice", 'mixed_precision = "fp17"', "wrong-choice"),
        ("option-too-new", "blocks_to_swap = 3", None),
        ("path-in-preset", 'output_dir = "x"', "path-in-preset"),
    ],
)
def test_only_rules_can_be_silenced(
    silence: str, line: str, left: str | None, shipped: Catalogue
) -> None:
    key = line.partition(" = ")[0]
    made = shipped.load("skynet")
    train = {**made.train, key: toml.loads(line)[key]}
    report = everything.loaded(replace(made, train=train, silence=(silence,)), HERE)
    assert codes(report) >= {"unknown-code", *([left] if left else [])}
    ignored = everything.loaded(replace(made, train=train), replace(HERE, ignore={silence}))
    assert codes(ignored) >= {left} - {None}


def test_an_unknown_code_in_silence_is_an_error(make: Make) -> None:
    text = spoiled(('">=0.7.1"', '">=0.7.1"\nsilence = ["min-snr-gama", "memory-gpu"]'))
    found = errors(everything.preset("mine", make(mine=text), HERE).problems)
    (problem,) = [p for p in found if p.code == "unknown-code"]
    assert problem.message == "there is no rule 'min-snr-gama'"
    assert "'min-snr-gamma'" in (problem.hint or "")
    assert problem.where.line is not None


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("[[datasets]]\nresolution = 64\n[[datasets.subsets]]\n", "missing-key", 3),
        (
            "[[datasets]]\nresolution = 64\n[[datasets.subsets]]\nimage_dir = 'a'\n"
            "[[datasets.subsets]]\nimage_dir = 'b'\nbatch_size = 2\n",
            "wrong-level",
            7,
        ),
        (
            "[[datasets]]\n[[datasets.subsets]]\nmetadata_file = 'a'\nclass_tokens = 'b'\n",
            "wrong-level",
            4,
        ),
        ("[general]\nis_reg = true\n[[datasets]]\n", "wrong-level", 2),
        (
            "[[datasets]]\nresolution = 64\nenable_bucket = true\nmin_bucket_reso = 128\n"
            "[[datasets.subsets]]\nimage_dir = 'a'\n",
            "bucket-smallest",
            4,
        ),
    ],
)
def test_a_dataset_file_is_checked_level_by_level(
    text: str, code: str, line: int, tmp_path: Path
) -> None:
    file = tmp_path / "dataset.toml"
    file.write_text(text, "utf-8")
    problem = found(config_files.file(file, HERE).problems, code)
    assert (problem.where.line, problem.severity) == (line, "error")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('dataset_config = "a.toml"\ntrain_data_dir = "b"\n', "dataset-config-wins"),
        ('dataset_config = "a.yaml"\n', "dataset-config-form"),
    ],
)
def test_a_config_has_to_say_where_things_are(text: str, code: str, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(text, "utf-8")
    assert code in codes(config_files.file(config, HERE))


def test_letters_beyond_ascii_are_a_matter_of_the_release(files: Files) -> None:
    config, _ = files()
    assert "locale" in codes(config_files.file(config, against("v0.9.1")))
    assert "locale" not in codes(config_files.file(config, HERE))
