"""`export` writes all that a service needs into one folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from kohya_presets.errors import UserError
from tests.wrapper.cli.test_cli import run
from tests.wrapper.renting import packs, pictures
from wrapper.renting import unpack

FILES = {
    "vast": {"vast.sh", "onstart.sh"},
    "runpod": {"runpod.sh"},
    "docker": {"docker.sh", "Dockerfile"},
    "sky": {"task.yaml"},
}


@pytest.mark.parametrize("service", FILES)
def test_the_folder_has_commands_the_pack_and_the_start_script(
    service: str, tmp_path: Path
) -> None:
    data, out = pictures.folder(tmp_path, side=256), tmp_path / "rent é"
    words = ("--data", data, "--base", packs.HUB, "--name", "korra é", "--bucket", "s3://me/k")
    done = run("export", service, "lion", *words, "--out", out)
    names = {file.name for file in out.iterdir()}
    assert names == {"pack.zip", "start.sh", *FILES[service]}
    assert {Path(line).name for line in done.stdout.splitlines()} == names
    assert unpack.unpack(out / "pack.zip", tmp_path / "there").name == "korra é"
    before = {file: file.read_bytes() for file in out.iterdir()}
    with pytest.raises(UserError, match="already exists"):
        run("export", service, "lion", *words, "--out", out)
    run("export", service, "lion", *words, "--out", out, "--force")
    assert {file: file.read_bytes() for file in out.iterdir()} == before


def test_a_gpu_that_is_too_small_writes_nothing(tmp_path: Path) -> None:
    data = pictures.folder(tmp_path, side=256)
    words = ("--data", data, "--base", packs.HUB, "--gpu", "4090", "--out", tmp_path / "out")
    with pytest.raises(UserError, match=r"23\.5 GiB"):
        run("export", "vast", "skynet", *words)
    assert not (tmp_path / "out").exists()
