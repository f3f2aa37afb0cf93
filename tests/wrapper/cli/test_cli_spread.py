"""`--gpus` and `--machines`: what is planned, said and refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.wrapper.cli.test_cli import run, typed


def dry(tmp_path: Path, *words: str) -> tuple[int, str, str]:
    done = run(
        *("train", "skynet", "--data", tmp_path / "x", "--base", "o/r", "--dry-run"),
        *words,
    )
    return done.exit_code, done.stdout, done.stderr


def test_several_gpus_take_fewer_steps_and_say_so(tmp_path: Path, home: Path) -> None:
    code, out, said = dry(
        tmp_path,
        *("--gpus", "4", "--set", "train.max_train_epochs=unset"),
        *("--set", "train.max_train_steps=1000"),
    )
    assert code == 0
    assert "# extract" in out
    assert "4 GPUs: each step sees" in said
    assert "max_train_steps: 250 in place of 1000" in said


def test_the_steps_stay_where_that_is_asked_for(tmp_path: Path, home: Path) -> None:
    _, _, said = dry(
        tmp_path,
        *("--gpus", "4", "--keep-steps", "--set", "train.max_train_epochs=unset"),
        *("--set", "train.max_train_steps=1000"),
    )
    assert "each step sees" in said
    assert "in place of 1000" not in said


def test_a_machine_that_helps_only_trains(tmp_path: Path, home: Path) -> None:
    code, out, _ = dry(
        tmp_path, "--machines", "2", "--machine-rank", "1", "--main-address", "trainer-0"
    )
    assert code == 0
    assert "# train" in out
    assert "# extract" not in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--machines", "2"), "--machines needs --main-address"),
        (("--machine-rank", "1"), "are for --machines"),
        (("--main-address", "x"), "are for --machines"),
        (
            ("--machines", "2", "--machine-rank", "2", "--main-address", "x"),
            "--machine-rank is 0 to 1",
        ),
        (("--machines", "2", "--main-address", "a b"), "is no HOST or HOST:PORT"),
        (("--gpus", "0"), "--gpus"),
    ],
)
def test_what_does_not_go_together_is_refused(
    words: tuple[str, ...], said: str, tmp_path: Path, home: Path
) -> None:
    code, out, err = dry(tmp_path, *words)
    assert code == 2
    assert said in err
    assert not out


def test_a_step_in_the_backward_pass_is_refused_for_several(tmp_path: Path, home: Path) -> None:
    done = typed(
        *("train", "hal", "--data", tmp_path / "x", "--base", "o/r", "--dry-run", "--gpus", "2"),
    )
    assert done.returncode == 3
    assert "fused_backward_pass does not work with 2 processes" in done.stderr
