from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest
from PIL import Image

from tests.wrapper.reports import made_runs
from wrapper.reports import samples


# As each release names them (library/train_util.py), and after `places` found the name taken.
@pytest.mark.parametrize(
    ("name", "prompt", "epoch", "step"),
    [
        ("korra_e000010_02_20261127191214_42.png", 2, 10, None),
        ("korra_e000010_02_20261127191214.png", 2, 10, None),
        ("korra_000600_00_20261127191214_42.png", 0, None, 600),
        ("e000010_02_20261127191214_42.png", 2, 10, None),
        ("korra_20261127191214_e000010_02_42.png", 2, 10, None),
        ("korra_20261127191214_000600_11.png", 11, None, 600),
        ("korra_v2_000001_e000010_02_20261127191214_42-2.png", 2, 10, None),
        ("skynet_000012_01.png", 1, None, 12),
        ("korra_e1234567_02_20261127191214_4294967295.png", 2, 1234567, None),
    ],
)
def test_names_tell_epoch_and_prompt(
    name: str, prompt: int, epoch: int | None, step: int | None
) -> None:
    found = samples.named(Path(name))
    assert found is not None
    assert (found.prompt, found.epoch, found.step) == (prompt, epoch, step)


@pytest.mark.parametrize("name", ["korra.png", "korra_e000010_02.jpg", "notes.txt", "x_e1_1.png"])
def test_other_files_are_no_samples(name: str) -> None:
    assert samples.named(Path(name)) is None


def test_links_and_what_leads_out_are_left_out(tmp_path: Path) -> None:
    made_runs.pictures(tmp_path / "run", [1, 2])
    folder = tmp_path / "run" / "samples"
    secret = tmp_path / "secret.png"
    Image.new("RGB", (8, 8)).save(secret)
    (folder / "korra_e000003_00_20261127191214.png").symlink_to(secret)
    assert {sample.epoch for sample in samples.of(tmp_path / "run")} == {1, 2}
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "samples").symlink_to(folder)
    assert samples.of(tmp_path / "other") == []


def test_epochs_are_evenly_spread_and_the_ends_are_there(tmp_path: Path) -> None:
    made_runs.pictures(tmp_path, range(1, 101), side=16)
    found = samples.of(tmp_path)
    assert len(found) == 200
    shown = samples.chosen(found, most=20)
    epochs = sorted({sample.epoch or 0 for sample in shown})
    assert len(shown) == 20
    assert (epochs[0], epochs[-1]) == (1, 100)
    assert max(b - a for a, b in itertools.pairwise(epochs)) == 11


def test_small_copies_are_kept_and_made_anew_where_a_picture_changed(tmp_path: Path) -> None:
    made_runs.pictures(tmp_path, [1], side=1024)
    found = samples.of(tmp_path)
    first = samples.small(tmp_path, found)
    assert [max(one.size) for one in first] == [samples.SIDE] * 2
    assert all(len(one.webp) <= samples.BYTES for one in first)
    cache = tmp_path / samples.CACHE
    kept = sorted(cache.iterdir())
    assert samples.small(tmp_path, found) == first
    Image.new("RGB", (64, 32), "red").save(found[0].file)
    os.utime(found[0].file, (1, 1))
    second = samples.small(tmp_path, found)
    assert second[0].size == (64, 32)
    assert second[1] == first[1]
    assert len([*cache.iterdir()]) == len(kept) == 2


def test_a_damaged_picture_says_so(tmp_path: Path) -> None:
    made_runs.pictures(tmp_path, [1])
    found = samples.of(tmp_path)
    found[0].file.write_bytes(found[0].file.read_bytes()[:500])
    found[1].file.write_bytes(b"no picture")
    assert all(one.fault and not one.webp for one in samples.small(tmp_path, found))


def test_nothing_is_written_where_work_leads_out_of_the_run(tmp_path: Path) -> None:
    run, outside = tmp_path / "run", tmp_path / "outside"
    made_runs.pictures(run, [1], side=16)
    outside.mkdir()
    (run / "work").symlink_to(outside)
    assert all(one.webp for one in samples.small(run, samples.of(run)))
    assert [*outside.iterdir()] == []


def test_prompts_are_counted_as_sd_scripts_counts_them(tmp_path: Path) -> None:
    text = "# a comment\n\nfirst --d 1\n  # sd-scripts takes this one\r\nlast"
    (tmp_path / "prompts.txt").write_bytes(text.encode())
    assert samples.prompts(tmp_path) == ["first --d 1", "# sd-scripts takes this one", "last"]
