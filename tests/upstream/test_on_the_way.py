"""What training leaves on its way: LoRAs of all checkpoints in place of them, and pictures."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.sdscripts import releases
from tests import tensors
from tests.wrapper.runs.counting import counted
from wrapper.checkouts.checkout import Checkout
from wrapper.planning import prepare_rehearsal
from wrapper.planning.request import Request
from wrapper.runs import runner
from wrapper.runs.manifest import Run
from wrapper.screen.talk import Talk
from wrapper.system import launch

pytestmark = [
    pytest.mark.upstream,
    pytest.mark.xdist_group("upstream"),  # they share one home
    pytest.mark.trainer,
    pytest.mark.every_release,
]
EPOCHS = 8
EVERY_EPOCH = ("train.save_every_n_epochs=1", f"train.max_train_epochs={EPOCHS}")


@pytest.fixture
def rehearse(
    shipped: Catalogue, upstream: Callable[[str], Checkout], tmp_path: Path
) -> Iterator[Callable[..., Run]]:
    """Return a function that rehearses lion and returns the run."""
    upstream(releases.DEFAULT)

    def carried_out(name: str, *overrides: str, **asked: str) -> Run:
        preset, runs = shipped.load("lion", overrides=overrides), tmp_path / "my runs ü"
        request = replace(Request(preset, name, runs, releases.DEFAULT), **asked)  # type: ignore[arg-type]
        run = prepare_rehearsal.ready(request, Talk()).run
        with counted(run.folder / "model", "lion*.safetensors") as most:
            runner.carry_out(run, Talk())
        run.facts["counted"] = {"most": most[0]}  # type: ignore[index]
        return run

    yield carried_out
    shutil.rmtree(tmp_path / "my runs ü", ignore_errors=True)


def test_each_epoch_leaves_the_lora_that_is_extracted_from_it_afterwards(
    rehearse: Callable[..., Run],
) -> None:
    kept = rehearse("kept", *EVERY_EPOCH, keep="loras")
    every = rehearse("every", *EVERY_EPOCH, "train.save_state=false")
    loras = sorted(file.name for file in (kept.folder / "lora").iterdir())
    assert loras == [f"lion-00000{n}.safetensors" for n in range(1, EPOCHS)] + ["lion.safetensors"]
    assert [file.name for file in (kept.folder / "model").iterdir()] == ["lion.safetensors"]
    assert kept.facts["counted"]["most"] <= 2
    assert every.facts["counted"]["most"] == EPOCHS
    extract = every.stages[-1].launch
    for name in loras[:-1]:
        out = every.folder / "afterwards" / name
        out.parent.mkdir(exist_ok=True)
        words = [
            *(word for word in extract.argv if not word.startswith(("--model_tuned", "--save_to"))),
            f"--model_tuned={every.folder / 'model' / name}",
            f"--save_to={out}",
        ]
        log = every.folder / "logs" / "afterwards.log"
        done = launch.run(replace(extract, argv=tuple(words), log=log), on_line=lambda line: None)
        assert not done.returncode
        assert tensors.contents(out) == tensors.contents(kept.folder / "lora" / name)


def test_prompts_become_pictures_in_their_place(
    rehearse: Callable[..., Run], tmp_path: Path
) -> None:
    prompts = tmp_path / "my prompts ü.txt"
    prompts.write_text(
        "a disc --w 64 --h 64 --s 2 --d 1\n# not this\n\na red disc --w 64 --h 64 --s 2", "utf-8"
    )
    run = rehearse("pictures", samples=str(prompts))
    pictures = sorted(file.name[:17] for file in (run.folder / "samples").iterdir())
    assert pictures == [f"lion_e00000{epoch}_0{which}_2" for epoch in (1, 2) for which in (0, 1)]
