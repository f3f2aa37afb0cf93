"""What is exported, for SkyPilot's own loader, checks and optimizer, and vastai's own parser."""

from __future__ import annotations

import itertools
import json
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kohya_presets.errors import PresetError, UserError
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.renting import gpus
from kohya_presets.renting.offer import Needs
from kohya_presets.training.spread import CODE, Spread
from tests.conftest import ROOT, UPSTREAM_HOME
from tests.sheets import SHIPPED_NAMES
from tests.upstream import own_environment
from tests.wrapper.renting import packs, pictures
from tests.wrapper.renting.fake_tools import Tools
from wrapper.renting import exported, order
from wrapper.renting.order import Order
from wrapper.system import proc

HERE = Path(__file__).parent
SKYPILOT, VASTAI = "skypilot==0.14.1", "vastai==1.9.1"
Asked = Callable[..., Any]


COUNTS = ((1, 1), (4, 1), (1, 2), (4, 2))  # GPUs of a machine, and machines


@pytest.fixture
def foreseen(shipped: Catalogue, tmp_path: Path) -> dict[tuple[str, int, int], Needs]:
    """Return what each shipped preset needs, by GPUs and machines; without those that refuse."""
    data, found, refused = pictures.folder(tmp_path, side=256), {}, []
    for name, (count, machines) in itertools.product(SHIPPED_NAMES, COUNTS):
        try:
            more = ["train.ddp_gradient_as_bucket_view=true"] if count * machines > 1 else []
            preset = shipped.load(name, overrides=more)  # as `validate` advises for several
            made = packs.of(preset, data, spread=Spread(count, machines))
        except PresetError as error:
            refused.append((count * machines, {problem.code for problem in error.problems}))
        else:
            found[name, count, machines] = made.needs
    assert all(processes > 1 and codes == {CODE} for processes, codes in refused)
    return found


@pytest.fixture
def needs(foreseen: dict[tuple[str, int, int], Needs]) -> dict[str, Needs]:
    return {name: found for (name, *counts), found in foreseen.items() if counts == [1, 1]}


def ordered(needs: Needs, count: int = 1, machines: int = 1, gpu: str | None = None) -> Order:
    """Return what a preset asks for, at a price that is always enough."""
    bucket = "s3://me/kohya"
    return order.of(
        needs, "korra é", gpu=gpu, price=300, bucket=bucket, count=count, machines=machines
    )


@pytest.fixture
def planned(tmp_path: Path) -> Asked:
    """Return a function that gives the machine that SkyPilot chooses for a task."""
    python = own_environment.python(UPSTREAM_HOME / "skypilot", [SKYPILOT])
    home = tmp_path / "sky home"
    home.mkdir()

    def ask(tasks: list[tuple[str, list[str]]], *, check: bool = True) -> Any:
        folder = tmp_path / "tasks"
        folder.mkdir(exist_ok=True)
        for name in ("start.sh", "pack.zip"):
            (folder / name).write_text("", "utf-8")
        asked = []
        for number, (text, clouds) in enumerate(tasks):
            (folder / f"task{number}.yaml").write_text(text, "utf-8")
            asked.append((f"task{number}.yaml", clouds))
        done = proc.run(
            [python, HERE / "in_sky.py", json.dumps(asked)],
            cwd=folder,
            env={"HOME": str(home), "SKYPILOT_DISABLE_USAGE_COLLECTION": "1", "PYTHONUTF8": "1"},
            check=check,
        )
        return json.loads(done.stdout.splitlines()[-1]) if check else done

    return ask


@pytest.mark.upstream
def test_skypilot_takes_the_task_of_each_preset_and_each_cloud_can_carry_it_out(
    foreseen: dict[tuple[str, int, int], Needs], planned: Asked
) -> None:
    asked, texts, refused = [], [], []
    for (name, count, machines), needs in foreseen.items():
        for cloud in gpus.CLOUDS:
            wanted = ordered(needs, count, machines)
            if cloud in exported.ANY_PRICE:
                wanted = replace(wanted, price=None)
            try:
                text = exported.sky(wanted, [cloud])["task.yaml"]
            except UserError as error:
                refused.append((name, count, machines, cloud, error))
            else:
                asked.append((wanted, cloud))
                texts.append((text, [cloud]))
    for name, count, machines, cloud, error in refused:
        why = f"no machine with {count} of |that is sure to fit"
        if machines > 1 and cloud in exported.ALONE:
            why = "have a network"
        assert re.search(why, str(error)), (name, count, cloud)
        assert error.hint
    taken = {(one.preset, one.count, one.machines, cloud) for one, cloud in asked}
    for name, count, machines in foreseen:
        if machines == 1:
            everywhere = {"vast", "runpod", *(["aws"] if count == 1 else [])}
            assert {(name, count, 1, cloud) for cloud in everywhere} <= taken
    assert {"aws", "gcp", "azure", "lambda"} <= {cloud for _, count, _, cloud in taken if count > 1}
    assert {cloud for *_, machines, cloud in taken if machines > 1} == {
        cloud for cloud in gpus.CLOUDS if cloud not in exported.ALONE
    }
    found = planned(texts)
    assert len(found) == len(asked)
    for (wanted, cloud), chosen in zip(asked, found, strict=True):
        assert "refused" not in chosen, (wanted.preset, cloud, chosen)
        assert chosen["cloud"] == cloud
        assert chosen["spot"] is (wanted.machines == 1 and cloud not in exported.NOT_SPOT)
        assert chosen["disk"] == wanted.disk
        assert chosen["nodes"] == wanted.machines
        ((gpu, count),) = chosen["gpu"].items()
        assert count == wanted.count
        assert gpu in {one.sky[cloud].name for one in wanted.gpus if cloud in one.sky}
        assert gpu != "A100"  # of 40 GB, on Vast and Lambda under that name
        assert chosen["envs"]["KP_BUCKET"] == "s3://me/kohya"
        assert chosen["envs"].get("KP_GPUS", "1") == str(wanted.count)
        assert "HF_TOKEN" in chosen["secrets"]


@pytest.mark.upstream
def test_what_is_refused_here_is_refused_by_skypilot_too(
    needs: dict[str, Needs], planned: Asked
) -> None:
    """Else the checks above would find nothing."""
    text = exported.sky(ordered(needs["skynet"], 8), ["aws"])["task.yaml"]
    vast = exported.sky(ordered(needs["lion"], 2), ["vast"])["task.yaml"]
    wrong = [
        (text.replace(":8", ":4"), ["aws"]),  # a number that no machine has
        (vast.replace("\nresources:", "\nnum_nodes: 2\nresources:", 1), ["vast"]),
        (exported.sky(ordered(needs["lion"]), ["lambda"])["task.yaml"]
         .replace("use_spot: false", "use_spot: true"), ["lambda"]),
        (exported.sky(replace(ordered(needs["skynet"]), price=0.1))["task.yaml"], [*gpus.CLOUDS]),
    ]  # fmt: skip
    assert ["refused" in one for one in planned([(text, ["aws"]), (vast, ["vast"])])] == [False] * 2
    found = planned(wrong)
    assert ["refused" in one for one in found] == [True] * len(wrong), found
    assert "max_cost=$0.1/hr" in found[-1]["refused"]
    free = exported.sky(replace(ordered(needs["skynet"]), price=None), ["gcp"])["task.yaml"]
    (taken,) = planned(
        [(free.replace("  autostop:", "  max_hourly_cost: 0.1\n  autostop:"), ["gcp"])]
    )
    assert taken["cloud"] == "gcp"  # at more than that: so no price can be given there


@pytest.mark.upstream
def test_skypilot_takes_the_commands_of_the_page(tmp_path: Path) -> None:
    python = own_environment.python(UPSTREAM_HOME / "skypilot", [SKYPILOT])
    page = (ROOT / "docs" / "renting.md").read_text("utf-8")
    lines = [line for line in page.splitlines() if line.startswith("sky ")]
    assert len(lines) >= 3
    (tmp_path / "task.yaml").write_text("run: ls\n", "utf-8")
    asked = json.dumps([shlex.split(line)[1:] for line in lines])
    keys = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "x")
    env = {"HOME": str(tmp_path), "SKYPILOT_DISABLE_USAGE_COLLECTION": "1", **keys}
    done = proc.run([python, HERE / "in_sky_words.py", asked], env=env, cwd=tmp_path)
    assert done.stdout.split()[-1] == str(len(lines))


@pytest.mark.upstream
def test_vastai_takes_each_command_and_knows_each_field(
    needs: dict[str, Needs], tmp_path: Path
) -> None:
    python = own_environment.python(UPSTREAM_HOME / "vastai", [VASTAI])
    tools, wanted = Tools(tmp_path / "bin"), []
    for name, found in needs.items():
        wanted += [ordered(found), ordered(found, 4), ordered(found, gpu="A100")]
        for number, one in enumerate(wanted[-3:]):
            folder = tmp_path / f"{name} {number}"
            folder.mkdir()
            for file, text in exported.vast(one).items():
                (folder / file).write_text(text, "utf-8")
            steps = (("find",), ("rent", "1"), ("send", "2"), ("log", "2"), ("get", "2"))
            for words in steps[: 2 if number else 5]:
                assert tools.run(folder / "vast.sh", *words).returncode == 0
            assert tools.run(folder / "vast.sh", "end", "2").returncode == 0
    calls = [call[1:] for call in tools.called if call[0] == "vastai"]
    words_file = tmp_path / "calls.json"
    words_file.write_text(json.dumps(calls), "utf-8")
    home = {"HOME": str(tmp_path), "PYTHONUTF8": "1"}
    taken = json.loads(proc.run([python, HERE / "in_vast.py", words_file], env=home).stdout)
    assert len(taken) == len(calls) == (9 + 3 + 3) * len(needs)
    queries = [one["query"] for one in taken if one["query"]]
    assert len(queries) == len(wanted)
    for query, one in zip(queries, wanted, strict=True):
        assert query["gpu_ram"]["gte"] == 1000 * one.vast_ram
        assert query["cuda_max_good"]["gte"] == one.cuda
        assert query["num_gpus"]["eq"] == str(one.count)
        if one.is_chosen:  # Vast has it with 40 GB too
            assert query["gpu_name"]["in"] == ["A100 PCIE", "A100 SXM4"]
            assert query["gpu_ram"]["gte"] == 79000
