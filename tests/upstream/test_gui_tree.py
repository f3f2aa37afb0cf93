"""A patched Kohya GUI starts our preset: what it prints, rehearsed with its own sd-scripts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import toml
from click.testing import CliRunner

from kohya_presets.presets.catalogue import Catalogue
from tests.upstream import gui_sources
from tests.upstream.gui_sources import Printed
from wrapper.checkouts.checkout import Checkout
from wrapper.cli import cli
from wrapper.environments import environment
from wrapper.planning import prepare_rehearsal
from wrapper.planning.request import Request
from wrapper.rehearsal import adapt
from wrapper.rehearsal.adapt import Replacement
from wrapper.runs import proof, runner
from wrapper.runs.manifest import Run, Stage
from wrapper.screen.talk import Talk

# A version, and the release whose environment runs what it pins; other tests use it too.
LIKE = {"v25.2.1": "v0.10.1", "v26.0.0": "v0.11.1"}
NAME = "adacoor"

pytestmark = [
    pytest.mark.upstream,
    pytest.mark.xdist_group("upstream"),  # they share one home
    pytest.mark.trainer,
]


@pytest.mark.every_release
@pytest.mark.parametrize("tag", LIKE)
def test_a_patched_tree_runs_what_its_gui_prints(
    tag: str,
    shipped: Catalogue,
    upstream: Callable[[str], Checkout],
    tmp_path: Path,
) -> None:
    tree = gui_sources.tree(tag, tmp_path / "gui")
    run_cli("patch", "apply", *shipped.load(NAME).patches, "--checkout", tree)
    python = str(environment.make(upstream(LIKE[tag]), on_line=print).python)
    asked = Request(shipped.load(NAME), NAME, tmp_path / "runs", LIKE[tag], tree, python)
    ready = prepare_rehearsal.ready(asked, Talk())
    assert ready.run.facts["sd-scripts"]["folder"] == str(tree / "sd-scripts")

    printed = installed_and_printed(tree, tag, ready.run, tmp_path)
    train = as_printed(printed, ready.run, ready.replaced)
    made = runner.carry_out(ready.run.with_stage(train), Talk())

    assert made is not None
    assert (made.rank, made.unet) == (128, 132)
    assert (made.text_encoder_1, made.text_encoder_2) == (72, 24)
    # The name of a curve that only AdaCoor's own measure draws.
    assert any(
        b"lr/d*lr/unet" in file.read_bytes() for file in (tmp_path / "logs").rglob("*event*")
    )


def run_cli(*words: object) -> None:
    done = CliRunner().invoke(cli, [*map(str, words)], catch_exceptions=False)
    assert done.exit_code == 0, done.output


def installed_and_printed(tree: Path, tag: str, run: Run, work: Path) -> Printed:
    """Export the preset into the tree; return what its GUI prints with a person's paths filled in.

    They are those of the rehearsal.
    """
    miniature, train, *_ = run.stages
    run_cli("gui", "export", NAME, "--install", tree, "--data", run.folder / "data")
    for folder in (work / "logs", train.makes.parent, miniature.output.parent, work / "meta"):
        folder.mkdir(parents=True)
    miniature.output.touch()  # the GUI asks whether it is there
    (finetune, _) = gui_sources.tabs(tag)
    return gui_sources.printed(
        tree,
        finetune,
        tree / "presets/finetune/user_presets" / f"{NAME}.json",
        work,
        pretrained_model_name_or_path=str(miniature.output),
        output_dir=str(train.makes.parent),
        output_name=train.makes.stem,
        image_folder=str(run.folder / "data"),
        train_dir=str(work / "meta"),
        logging_dir=str(work / "logs"),
    )


def as_printed(printed: Printed, run: Run, changes: Iterable[Replacement]) -> Stage:
    """Return the run's training as it was printed, with what a rehearsal replaces replaced."""
    _, train, *_ = run.stages
    config = replaced(toml.loads(printed.toml), "train", changes)
    data = toml.loads(Path(config["dataset_config"]).read_text("utf-8"))
    data["datasets"] = [replaced(part, "dataset", changes) for part in data["datasets"]]
    for options in (config, data.get("general", {})):
        options.update({k: v for k, v in sizes(changes).items() if k in options})
    written = {"config": run.folder / "printed.toml", "data": run.folder / "printed.dataset.toml"}
    config["dataset_config"] = str(written["data"])
    config["tokenizer_cache_dir"] = str(run.stages[0].output.parent / "tokenizers")
    written["config"].write_text(toml.dumps(config), "utf-8")
    written["data"].write_text(toml.dumps(data), "utf-8")

    at = printed.script
    words = [word for word in printed.words if word]
    assert Path(words[0]).name == "accelerate", words
    python, *_ = train.launch.argv
    argv = (
        *(python, "-m", "accelerate.commands.launch", "--cpu", *words[2:at]),
        "--mixed_precision=no",  # the last one counts
        *adapt.in_front(run.folder / proof.OBSERVED, standin=False),
        *(str(written["config"]) if w == words[at + 2] else w for w in words[at:]),
    )
    return replace(train, launch=replace(train.launch, argv=argv))


def replaced(table: dict[str, Any], name: str, changes: Iterable[Replacement]) -> dict[str, Any]:
    """Return a table with a rehearsal's changes to the settings of that name."""
    now = {c.key.partition(".")[2]: c.now for c in changes if c.key.startswith(f"{name}.")}
    return {key: value for key, value in {**table, **now}.items() if value is not None}


def sizes(changes: Iterable[Replacement]) -> dict[str, Any]:
    """Return the dataset's changes as the options of the script say them."""
    found = replaced({}, "dataset", changes)
    return {**found, "resolution": ",".join(map(str, found["resolution"]))}
