from __future__ import annotations

from pathlib import Path

from wrapper.runs.kept import places


def test_samples_states_and_checkpoints_get_places_of_their_own(tmp_path: Path) -> None:
    work = tmp_path / "work" / "train"
    for name in ("sample/a_e000001_00.png", "korra-000001-state/model.safetensors"):
        (work / name).parent.mkdir(parents=True)
        (work / name).write_text(name)
    (work / "korra-000001.safetensors").write_text("epoch 1")
    places.move_in(work, tmp_path, tmp_path / "model")
    assert (tmp_path / "samples" / "a_e000001_00.png").is_file()
    assert (tmp_path / "states" / "korra-000001-state" / "model.safetensors").is_file()
    assert (tmp_path / "model" / "korra-000001.safetensors").read_text() == "epoch 1"
    assert not work.exists()


def test_nothing_that_is_there_is_overwritten(tmp_path: Path) -> None:
    work, model = tmp_path / "work", tmp_path / "model"
    for folder in (work, model):
        folder.mkdir()
        (folder / "korra-000001.safetensors").write_text(folder.name)
    places.move_in(work, tmp_path, model)
    assert (model / "korra-000001.safetensors").read_text() == "model"
    assert (model / "korra-000001-2.safetensors").read_text() == "work"


def test_an_earlier_attempt_is_set_aside_each_time_under_a_new_name(tmp_path: Path) -> None:
    work = tmp_path / "train"
    assert places.set_aside(work) is None
    for number in (1, 2, 3):
        work.mkdir()
        (work / "state").write_text(str(number))
        assert places.set_aside(work) is not None
    kept = {at.name: (at / "state").read_text() for at in tmp_path.glob("train*")}
    assert kept == {"train-earlier": "1", "train-earlier-2": "2", "train-earlier-3": "3"}
    work.mkdir()
    assert places.set_aside(work) is None  # empty: nothing to keep
    assert not work.exists()
