"""What is exported, for SkyPilot's own loader, checks and optimizer, and vastai's own parser."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kohya_presets.presets.catalogue import Catalogue
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


@pytest.fixture
def orders(shipped: Catalogue, tmp_path: Path) -> dict[str, Order]:
    """Return what each shipped preset asks for."""
    data = pictures.folder(tmp_path, side=256)
    needs = {name: packs.of(shipped.load(name), data).needs for name in SHIPPED_NAMES}
    return {
        name: order.of(found, "korra é", price=9, bucket="s3://me/kohya")
        for name, found in needs.items()
    }


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
    orders: dict[str, Order], planned: Asked
) -> None:
    asked = [(one, cloud) for one in orders.values() for cloud in exported.clouds(one)]
    found = planned([(exported.sky(one, [cloud])["task.yaml"], [cloud]) for one, cloud in asked])
    assert len(found) == len(asked) == 3 * len(orders)
    for (wanted, cloud), chosen in zip(asked, found, strict=True):
        assert chosen["cloud"] == cloud
        assert chosen["spot"] is True
        assert chosen["disk"] == wanted.disk
        (gpu,) = chosen["gpu"]
        assert gpu in {one.sky[cloud] for one in wanted.gpus if cloud in one.sky}
        assert gpu != "A100"  # on Vast, of 40 GB
        assert chosen["envs"]["KP_BUCKET"] == "s3://me/kohya"
        assert "HF_TOKEN" in chosen["secrets"]


@pytest.mark.upstream
def test_skypilot_rents_nothing_above_the_price(orders: dict[str, Order], planned: Asked) -> None:
    clouds = ["vast", "runpod", "aws"]
    text = exported.sky(replace(orders["skynet"], price=0.1), clouds)["task.yaml"]
    done = planned([(text, clouds)], check=False)
    assert done.returncode != 0
    assert "max_cost=$0.1/hr" in done.stdout + done.stderr


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
    orders: dict[str, Order], tmp_path: Path
) -> None:
    python = own_environment.python(UPSTREAM_HOME / "vastai", [VASTAI])
    tools, calls = Tools(tmp_path / "bin"), []
    for name, wanted in orders.items():
        folder = tmp_path / name
        folder.mkdir()
        for file, text in exported.vast(wanted).items():
            (folder / file).write_text(text, "utf-8")
        for words in (("find",), ("rent", "1"), ("send", "2"), ("log", "2"), ("get", "2")):
            assert tools.run(folder / "vast.sh", *words).returncode == 0
        assert tools.run(folder / "vast.sh", "end", "2").returncode == 0
    calls = [call[1:] for call in tools.called if call[0] == "vastai"]
    words = tmp_path / "calls.json"
    words.write_text(json.dumps(calls), "utf-8")
    home = {"HOME": str(tmp_path), "PYTHONUTF8": "1"}
    taken = json.loads(proc.run([python, HERE / "in_vast.py", words], env=home).stdout)
    assert len(taken) == len(calls) == 9 * len(orders)
    queries = [one["query"] for one in taken if one["query"]]
    assert len(queries) == len(orders)
    for query, wanted in zip(queries, orders.values(), strict=True):
        assert query["gpu_ram"]["gte"] == 1000 * wanted.vast_ram
        assert query["cuda_max_good"]["gte"] == wanted.cuda
