from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from kohya_presets.errors import UserError
from kohya_presets.sdscripts import releases
from tests.wrapper import lookalike
from wrapper.checkouts.checkout import Checkout
from wrapper.environments import doctor, environment, gpu, interpreters
from wrapper.environments.gpu import Driver, Gpu
from wrapper.planning import subjects
from wrapper.system import paths

BUILD = gpu.BUILDS[0]
BANNER = """\
| NVIDIA-SMI 535.104.05    Driver Version: 535.104.05    CUDA Version: 12.2     |
"""
LISTED = "NVIDIA RTX A6000, 49140\nNVIDIA A100-SXM4-80GB, 81920\n"


def here(folder: Path, release: str = "v0.10.1") -> Checkout:
    return Checkout(folder, folder, "plain", release, release)


@pytest.mark.parametrize(
    ("release", "family"),
    [("v0.7.0", "v0.7"), ("v0.8.8", "v0.8"), ("v0.9.1", "v0.9"), ("v0.11.1", "v0.10")],
)
def test_each_release_has_its_constraints(release: str, family: str) -> None:
    assert environment.constraints(release).stem == family


def test_every_known_release_has_constraints_and_a_python() -> None:
    for tag in releases.tags():
        assert environment.constraints(tag).is_file()
        assert 11 in interpreters.suited(tag)


def test_requirements_are_the_releases_own_but_for_three_things() -> None:
    text = "transformers==4.36.2\ndiffusers[torch]==0.25.0\nbitsandbytes==0.43.0  # x\n\n-e .\n"
    assert environment.requirements(text, BUILD) == (
        f"torch=={BUILD.torch}",
        f"torchvision=={BUILD.torchvision}",
        "transformers==4.36.2",
        "diffusers[torch]==0.25.0",
        f"bitsandbytes=={BUILD.bitsandbytes}",
        "lion-pytorch",
    )


def test_a_release_that_names_lion_keeps_its_own() -> None:
    found = environment.requirements("lion-pytorch==0.0.6\n", BUILD)
    assert [line for line in found if line.startswith("lion")] == ["lion-pytorch==0.0.6"]


def test_the_driver_is_read_from_nvidia_smi() -> None:
    found = gpu.read(BANNER, LISTED)
    assert found == Driver(
        "535.104.05", (12, 2), (Gpu("NVIDIA RTX A6000", 48.0), Gpu("NVIDIA A100-SXM4-80GB", 80.0))
    )
    assert gpu.read("something else", LISTED) is None


@pytest.mark.parametrize(
    "size", ["[N/A]", "N/A", "[Not Supported]", "[Unknown Error]", "[GPU is lost]", "", "nan"]
)
def test_a_gpu_without_a_size_is_still_one(size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = f"NVIDIA GB10, {size}\nNVIDIA RTX A6000, 49140\n"
    found = gpu.read(BANNER, listed)
    assert found is not None
    assert [g.memory_gib for g in found.gpus] == [None, 48.0]
    assert doctor._told(found).endswith("NVIDIA GB10 (memory unknown), NVIDIA RTX A6000 48 GiB")
    monkeypatch.setattr(gpu, "driver", lambda: gpu.read(BANNER, listed))
    assert subjects.against("v0.10.1").gpu_gib == 48.0
    monkeypatch.setattr(gpu, "driver", lambda: gpu.read(BANNER, f"NVIDIA GB10, {size}\n"))
    assert subjects.against("v0.10.1").gpu_gib is None
    assert "memory unknown" in doctor.examine("v0.10.1", None, None).facts["driver"]


@pytest.mark.parametrize(
    ("cuda", "torch"),
    [((13, 1), "2.13.0"), ((12, 8), "2.8.0"), ((12, 4), "2.6.0"), ((12, 2), "2.4.1")],
)
def test_torch_is_one_that_the_driver_can_run(cuda: tuple[int, int], torch: str) -> None:
    build = gpu.build_for(Driver("1", cuda, ()))
    assert build is not None
    assert build.torch == torch


def test_a_driver_too_old_for_any_torch_gets_none() -> None:
    assert gpu.build_for(Driver("470", (11, 4), ())) is None
    assert gpu.build_for(None) == gpu.WITHOUT_GPU


def test_builds_of_torch_and_torchvision_belong_together() -> None:
    for build in gpu.BUILDS:
        minor = int(build.torch.split(".")[1])
        assert build.torchvision.split(".")[:2] == ["0", str(minor + 15)]


def test_an_environment_lies_beside_a_checkout_of_ours_and_never_in_the_users() -> None:
    ours = paths.checkouts() / "v0.9.1" / "sd-scripts"
    assert environment.folder(here(ours)) == paths.checkouts() / "v0.9.1" / "environment"
    users = environment.folder(here(Path("/home/me/kohya_ss"), "v0.8.7"))
    assert users == paths.home() / "environments" / "v0.8.7"


def test_a_python_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a Python 3 interpreter"):
        environment.named(str(tmp_path / "python"))


def test_the_users_python_is_taken_as_it_is_called(tmp_path: Path) -> None:
    if os.name == "nt":
        pytest.skip("symbolic links")
    link = tmp_path / "my env" / "python"
    link.parent.mkdir()
    link.symlink_to(sys.executable)
    assert environment.named(str(link)).python == link


@pytest.mark.skipif(os.name == "nt", reason="a shell script stands in for a shim")
def test_a_name_is_looked_for_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a shim of pyenv: what it stands for may depend on the folder it is called in."""
    shim = tmp_path / "bin" / "python3.x"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', "utf-8")
    shim.chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", str(shim.parent), prepend=os.pathsep)
    (tmp_path / "here" / "python3.x").write_text("another file of this name", "utf-8")
    assert environment.named("python3.x").python == Path(sys.executable)
    with pytest.raises(UserError, match="expected a Python 3 interpreter"):
        environment.named("python3.none")


@pytest.mark.skipif(os.name == "nt", reason="bits that say what may be started")
def test_a_program_of_another_system_is_no_python(tmp_path: Path) -> None:
    file = tmp_path / "python"
    file.write_bytes(b"\x00\x01 of another system")
    file.chmod(stat.S_IRWXU)
    with pytest.raises(UserError, match="expected a Python 3 interpreter"):
        environment.named(str(file))


def test_a_probe_tells_packages_and_what_is_broken() -> None:
    found = environment.probe(Path(sys.executable))
    assert found.python.startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")
    assert "click" in found.packages
    assert "xformers" in found.broken


def test_a_probe_of_something_else_is_an_error(tmp_path: Path) -> None:
    if os.name == "nt":
        pytest.skip("a shell script stands in for python")
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\necho I am no Python\n", "utf-8")
    fake.chmod(stat.S_IRWXU)
    with pytest.raises(UserError, match="could not list its packages"):
        environment.probe(fake)


def test_a_failed_install_leaves_nothing_and_shows_pips_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = lookalike.write(tmp_path / "sd-scripts")
    (scripts / "requirements.txt").write_text("no-such-package-kp==9\n", "utf-8")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)  # which may name places of its own
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setattr(gpu, "driver", lambda: None)
    lines: list[str] = []
    with pytest.raises(UserError, match=r"pip failed: .*No matching distribution"):
        environment.make(here(scripts), on_line=lines.append)
    assert environment.find(here(scripts)) is None
    assert not environment.folder(here(scripts)).exists()
    assert any("ERROR" in line for line in lines)


def test_an_unknown_torch_is_told_the_known_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "driver", lambda: None)
    with pytest.raises(UserError) as caught:
        environment.make(here(tmp_path), on_line=print, torch="1.0")
    assert "2.6.0" in (caught.value.hint or "")


def test_a_pythons_absence_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreters, "_on_this_machine", lambda _: iter(()))
    with pytest.raises(UserError, match=r"expected Python 3\.11 or 3\.10 for sd-scripts v0\.7\.1"):
        interpreters.choose("v0.7.1")
