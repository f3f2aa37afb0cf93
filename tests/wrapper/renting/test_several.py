"""Several GPUs and several machines: what is asked of each service, and what each cannot do."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from kohya_presets.errors import UserError
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.renting import gpus
from kohya_presets.renting.offer import Needs
from kohya_presets.training import spread
from kohya_presets.training.spread import Spread
from tests.sheets import SHIPPED_NAMES
from tests.wrapper.renting import packs, pictures
from tests.wrapper.renting.fake_tools import Tools, flags
from tests.wrapper.renting.started import Machine
from wrapper.renting import exported, order, pack
from wrapper.renting.order import Order

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the scripts are for sh")
BUCKET = "s3://me/kohya"
Ask = Callable[..., Order]


@pytest.fixture
def needs(shipped: Catalogue, tmp_path: Path) -> dict[str, Needs]:
    data = pictures.folder(tmp_path, side=256)
    return {name: packs.of(shipped.load(name), data).needs for name in SHIPPED_NAMES}


@pytest.fixture
def asked(needs: dict[str, Needs]) -> Ask:
    """Return a function that gives an order; its memory is that of one GPU."""

    def ask(preset: str = "lion", count: int = 1, machines: int = 1, **more: Any) -> Order:
        values = {"bucket": BUCKET, "count": count, "machines": machines, **more}
        return order.of(needs[preset], "korra é", **values)

    return ask


def task(wanted: Order, *clouds: str) -> Any:
    return yaml.safe_load(exported.sky(wanted, clouds)["task.yaml"])


def called(files: dict[str, str], folder: Path, *words: str) -> list[list[str]]:
    """Return how the script that is the first of the files calls its tools."""
    tools = Tools(folder / "bin")
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
    script = next(name for name in files if name.endswith(".sh"))
    done = tools.run(folder / script, *words)
    assert done.returncode == 0, done.stderr
    return tools.called


def test_each_service_is_asked_for_so_many_gpus(asked: Ask, tmp_path: Path) -> None:
    four = asked(count=4)
    assert "num_gpus=4 " in exported.vast_query(four)
    assert "num_gpus=1 " in exported.vast_query(asked())
    for name, files, words in (
        ("vast", exported.vast(four), ("rent", "12", "0.5")),
        ("runpod", exported.runpod(four), ("rent",)),
        ("docker", exported.docker(four), ("start",)),
    ):
        folder = tmp_path / name
        folder.mkdir()
        calls = called(files, folder, *words)
        if name == "vast":
            assert "-e KP_GPUS=4" in flags(calls[0])["--env"]
        elif name == "runpod":
            assert flags(calls[0])["--gpu-count"] == "4"
            assert 'echo "KP_GPUS=4"' in files["runpod.sh"]
        else:
            assert "KP_GPUS=4" in calls[1]
    assert "KP_GPUS" not in "".join(
        text
        for made in (exported.vast, exported.runpod, exported.docker)
        for text in made(asked()).values()
    )


def test_a_task_of_several_machines_tells_each_its_number(asked: Ask) -> None:
    one, two = task(asked(), "gcp"), task(asked(count=2, machines=2), "gcp")
    assert "num_nodes" not in one
    assert two["num_nodes"] == 2
    assert {choice["accelerators"] for choice in two["resources"]["any_of"]} == {
        "A100-80GB:2",
        "H100:2",
    }
    assert (two["envs"]["KP_GPUS"], two["envs"]["KP_MACHINES"]) == ("2", "2")
    assert not {"KP_GPUS", "KP_MACHINES"} & one["envs"].keys()
    assert "KP_RANK=$SKYPILOT_NODE_RANK\n" in two["run"]
    assert "$SKYPILOT_NODE_IPS" in two["run"]
    assert "SKYPILOT" not in one["run"]


@pytest.mark.parametrize("cloud", exported.ALONE)
def test_machines_without_a_network_are_refused_with_what_to_do(cloud: str, asked: Ask) -> None:
    with pytest.raises(UserError, match=f"no machines on {cloud} that have a network") as caught:
        exported.sky(asked(machines=2), [cloud])
    assert "--gpus N" in str(caught.value.hint)
    assert "aws" in str(caught.value.hint)
    with pytest.raises(UserError, match="have no network among themselves") as caught:
        getattr(exported, cloud)(asked(machines=2))
    assert "export sky" in str(caught.value.hint)


def test_without_a_choice_the_clouds_are_those_that_have_such_machines(asked: Ask) -> None:
    assert exported.clouds(asked()) == gpus.CLOUDS
    assert exported.clouds(asked(machines=2)) == ("lambda", "aws", "gcp", "azure")
    assert exported.clouds(asked(preset="skynet", count=4)) == (
        *("vast", "runpod", "lambda", "gcp", "azure"),
    )
    infra = {choice["infra"] for choice in task(asked(machines=2))["resources"]["any_of"]}
    assert infra == {"lambda", "aws", "gcp", "azure"}


def test_a_number_that_a_cloud_does_not_have_is_refused_with_those_it_has(asked: Ask) -> None:
    with pytest.raises(UserError, match="no machine with 4 of A100 80GB or H100 80GB or") as caught:
        exported.sky(asked(preset="skynet", count=4), ["aws"])
    assert "H100 80GB by 1 or 8" in str(caught.value.hint)
    with pytest.raises(UserError, match="no cloud with 2 machines with 3 of"):
        exported.sky(asked(count=3, machines=2))
    with pytest.raises(UserError, match="no RTX 6000 Ada on gcp"):
        exported.sky(asked(gpu="6000 Ada"), ["gcp"])


def test_where_skypilot_minds_no_price_none_can_be_given(asked: Ask) -> None:
    assert "gcp" not in exported.clouds(asked(price=2))
    with pytest.raises(UserError, match="does not keep to a highest price on gcp") as caught:
        exported.sky(asked(price=2), ["gcp"])
    assert "--price" in str(caught.value.hint)


def test_lambda_is_asked_for_no_machine_that_can_be_taken_away(asked: Ask) -> None:
    choices = task(asked(), "lambda", "aws")["resources"]["any_of"]
    assert {(one["infra"], one.get("use_spot")) for one in choices} == {
        ("lambda", False),
        ("aws", None),
    }
    for one in task(asked(spot=False), "lambda")["resources"]["any_of"]:
        assert "use_spot" not in one


def test_docker_on_several_machines_wants_a_rank_and_an_address(asked: Ask, tmp_path: Path) -> None:
    files = exported.docker(asked(count=2, machines=2))
    calls = called(files, tmp_path, "start", "1", "10.0.0.7")
    for word in ("KP_MACHINES=2", "KP_RANK=1", "KP_MAIN=10.0.0.7", "KP_GPUS=2"):
        assert calls[1][calls[1].index(word) - 1] == "--env"
    done = Tools(tmp_path / "bin2").run(tmp_path / "docker.sh", "start", "1")
    assert done.returncode == 2
    assert "give the RANK of this machine" in done.stderr


@pytest.fixture
def machine(shipped: Catalogue, tmp_path: Path) -> Machine:
    """Return a machine whose kohya-presets only writes down its words when it would train."""
    around = tmp_path / "rented é"
    around.mkdir()
    file = around / "korra é.zip"
    pack.write(packs.of(shipped.load("lion"), pictures.folder(tmp_path, side=256)), file)
    made = Machine(around, file, "", bucket=tmp_path / "bucket ö").with_tool()
    tool = made.work / "tool" / "bin" / "kohya-presets"
    real = tool.with_name("real")
    tool.rename(real)
    code = "import json, os; print(json.dumps(sys.argv[1:]))"
    tool.write_text(
        f'#!/bin/sh\ncase $1 in unpack) exec "{real}" "$@" ;; esac\n'
        f'"{sys.executable}" -c "import sys; {code.replace(chr(34), chr(39))}" "$@" '
        f'>>"{around}/words.jsonl"\n',
        "utf-8",
    )
    tool.chmod(0o755)
    made.mark(made.checksum())
    made.more = {"KP_REHEARSE": "", "KP_STANDIN": "", "KP_PYTHON": ""}
    return made


def words(machine: Machine, **more: str) -> list[str]:
    """Return what the start script asks kohya-presets to do last."""
    machine.more |= more
    assert machine.start().wait(60) == 0, machine.said
    lines = (machine.around / "words.jsonl").read_text("utf-8").splitlines()
    found = json.loads(lines[-1])
    assert isinstance(found, list)
    return found


def test_the_start_script_passes_gpus_and_machines_on(machine: Machine) -> None:
    assert "--gpus" not in words(machine)
    found = words(machine, KP_GPUS="4")
    assert found[0] == "train"
    assert flags(found)["--gpus"] == "4"
    assert "--machines" not in found
    several = {"KP_MACHINES": "2", "KP_RANK": "1", "KP_MAIN": "10.0.0.7:29500"}
    found = words(machine, **several)
    asked = {name: flags(found)[name] for name in ("--gpus", "--machines", "--machine-rank")}
    assert asked == {"--gpus": "4", "--machines": "2", "--machine-rank": "1"}
    assert flags(found)["--main-address"] == "10.0.0.7:29500"
    machine.more.pop("KP_MAIN")
    assert machine.start().wait(60) == 1
    assert "it needs KP_RANK, from 0, and KP_MAIN" in machine.said


def test_only_the_first_machine_uploads_and_it_begins_again_unless_it_has_trained(
    machine: Machine,
) -> None:
    run, name = machine.work / "runs" / "korra é", "korra é"
    assert machine.bucket is not None
    several = {"KP_MACHINES": "2", "KP_MAIN": "10.0.0.7"}
    assert words(machine, KP_RANK="0", **several)[0] == "train"
    run.mkdir(parents=True)
    (run / "run.toml").write_text('[stage.train]\nstate = "running"\n', "utf-8")
    assert words(machine, KP_RANK="1", **several)[:2] == ["resume", str(run)]  # its own
    assert not (machine.bucket / name).exists()
    assert words(machine, KP_RANK="0", **several)[:2] == ["resume", str(run)]
    assert (machine.bucket / name / "run.toml").is_file()
    shutil.rmtree(run)  # another machine, which has no state to go on from
    assert words(machine, KP_RANK="0", **several)[0] == "train"
    assert "machines that train together save no states: training begins again" in machine.said
    (machine.bucket / name / "run.toml").write_text('[stage.train]\nstate = "done"\n', "utf-8")
    before = len((machine.around / "words.jsonl").read_text("utf-8").splitlines())
    words(machine, KP_RANK="1", **several)
    assert "training is finished, and number 0 does the rest" in machine.said
    shutil.rmtree(run)
    (machine.work / "from-bucket").unlink()
    assert len((machine.around / "words.jsonl").read_text("utf-8").splitlines()) == before
    assert words(machine, KP_RANK="0", **several)[:2] == ["resume", str(run)]


def test_a_state_of_the_pack_is_gone_on_from_and_its_patches_are_installed(
    machine: Machine, shipped: Catalogue, tmp_path: Path
) -> None:
    made = packs.of(shipped.load("lion"), tmp_path / "my pictures ü")
    state, patch = "states/step00000003/kp_resume.json", "patches/gentle/patch.toml"
    pack.write(
        replace(made, files={**made.files, state: b"{}", patch: b"# mine\n"}),
        machine.pack,
        force=True,
    )
    machine.mark(machine.checksum())
    found = words(machine)
    assert found[0] == "train"
    assert flags(found)["--states"] == str(machine.work / "job" / "states")
    assert (machine.work / "home" / patch).read_bytes() == b"# mine\n"
    run = machine.work / "runs" / "korra é"
    run.mkdir(parents=True)
    (run / "run.toml").write_text('[stage.train]\nstate = "running"\n', "utf-8")
    assert words(machine)[0] == "resume"
    assert not (machine.work / "job" / "states").exists()  # the run has them by then


def test_more_gpus_need_more_memory_and_steps_are_divided_there_and_not_here(
    shipped: Catalogue, tmp_path: Path
) -> None:
    data = pictures.folder(tmp_path, side=256)
    preset = shipped.load("lion", overrides=["train.max_train_epochs=unset"])
    preset = replace(preset, train={**preset.train, "max_train_steps": 1000})
    one, four = (packs.of(preset, data, spread=Spread(count)) for count in (1, 4))
    assert (one.needs.length.steps, four.needs.length.steps) == (1000, 250)
    assert four.needs.gib is not None
    assert one.needs.gib is not None
    assert four.needs.gib > one.needs.gib + 12  # the gradients once more
    assert "A6000" in "".join(gpu.name for gpu in order.of(one.needs, "x").gpus)
    assert "A6000" not in "".join(gpu.name for gpu in order.of(four.needs, "x", count=4).gpus)
    for file in ("preset.toml", "config.toml"):
        assert b"max_train_steps = 1000\n" in four.files[file]  # type: ignore[operator]
    # What `train --gpus 4` reads there: lengths for one GPU, which it still has to divide.
    (tmp_path / "there.toml").write_bytes(four.files["preset.toml"])  # type: ignore[arg-type]
    there = shipped.load(str(tmp_path / "there.toml"))
    assert spread.converted(there, 4)[0].train["max_train_steps"] == 250


def test_a_preset_for_several_gpus_is_told_if_it_is_to_train_on_one(asked: Ask) -> None:
    assert "KP_GPUS=1" in exported.vast(asked(own=4))["vast.sh"]
    assert task(asked(own=4), "gcp")["envs"]["KP_GPUS"] == "1"
    assert "KP_GPUS" not in exported.vast(asked())["vast.sh"]


def test_several_machines_are_never_interruptible(asked: Ask) -> None:
    assert not asked(machines=2).spot
    assert task(asked(machines=2), "gcp")["resources"]["use_spot"] is False
