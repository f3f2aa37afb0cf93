"""A loop that draws from every generator goes on after any of its steps as if nothing had been."""

from __future__ import annotations

import argparse
import math
import os
import random
import signal
from collections.abc import Callable, Iterator
from multiprocessing import Value
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[test]'")
pytest.importorskip("accelerate", reason="accelerate is not installed: pip install -e '.[test]'")
import numpy as np  # noqa: E402
from accelerate import Accelerator  # noqa: E402
from accelerate.utils import set_seed  # noqa: E402
from tqdm import tqdm  # noqa: E402

from patches.resume import kp_position, kp_resume, kp_run, kp_states  # noqa: E402
from patches.resume.kp_training import Training  # noqa: E402

pytestmark = pytest.mark.trainer

EPOCHS, BATCHES = 3, 5


class Images(torch.utils.data.Dataset):  # type: ignore[misc, name-defined]
    """Shuffles in place and draws for each image, as sd-scripts' datasets do."""

    def __init__(self) -> None:
        self.order, self.seed = list(range(BATCHES)), random.randint(0, 2**31)
        self.current_epoch = self.current_step = 0
        self.datasets = [self]

    def set_current_epoch(self, epoch: int) -> None:
        if epoch != self.current_epoch:
            self.current_epoch = epoch
            random.seed(self.seed + epoch)
            random.shuffle(self.order)

    def __len__(self) -> int:
        return BATCHES

    def __getitem__(self, index: int) -> tuple[int, float, int]:
        return self.order[index], random.random(), self.current_step


class Recorder:
    """The running mean of sd-scripts v0.8.7, which must know each step of the epoch before."""

    def __init__(self) -> None:
        self.loss_list: list[float] = []
        self.loss_total = 0.0

    def add(self, *, epoch: int, step: int, loss: float) -> None:
        if epoch == 0:
            self.loss_list.append(loss)
        else:
            self.loss_total -= self.loss_list[step]
            self.loss_list[step] = loss
        self.loss_total += loss


def train(
    folder: Path,
    *,
    accumulation: int = 1,
    workers: int = 0,
    each_step: Callable[[int, Any], None] = lambda step, accelerator: None,
    **options: Any,
) -> list[tuple[Any, ...]]:
    """Train nothing as sdxl_train.py does; return what every batch drew and saw."""
    parser = argparse.ArgumentParser()
    kp_resume.add_arguments(parser)
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    steps = EPOCHS * math.ceil(BATCHES / processes / accumulation)
    args = argparse.Namespace(
        **{
            **vars(parser.parse_args([])),
            "output_dir": str(folder),
            "output_name": "it",
            "resume": None,
            "save_state": False,
            "seed": 7,
            "max_train_steps": steps,
            **options,
        }
    )
    run = kp_resume.begin(args)
    if args.seed is not None:
        set_seed(args.seed)
    images, current_epoch, current_step = Images(), Value("i", 0), Value("i", 0)

    def collated(examples: list[Any]) -> Any:
        info = torch.utils.data.get_worker_info()
        dataset = info.dataset if info else images
        dataset.set_current_epoch(current_epoch.value)
        if not workers:
            dataset.current_step = current_step.value
        return (*examples[0], torch.rand(1))

    loader = torch.utils.data.DataLoader(
        images, shuffle=True, collate_fn=collated, num_workers=workers
    )
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=accumulation)
    inner = model = torch.nn.Linear(1, 1)
    model, optimizer, loader = accelerator.prepare(
        model, torch.optim.AdamW(model.parameters(), lr=0.1), loader
    )
    if args.resume:
        accelerator.load_state(args.resume)
    recorder, bar = Recorder(), tqdm(range(steps), disable=True)
    seen = []
    global_step, train_dataloader = 0, loader
    progress_bar, loss_recorder = bar, recorder
    global_step, loader = run.start(locals())
    for epoch in range(EPOCHS):
        if run.has_done(epoch):
            continue
        current_epoch.value = epoch + 1
        for step, batch in enumerate(loader):
            current_step.value = global_step
            with accelerator.accumulate(model):
                drawn = (random.random(), np.random.rand(), torch.rand(1), random.gauss(0, 1))
                loss = (model(torch.rand(1, 1)) - batch[1]).square().mean()
                accelerator.backward(loss)
                optimizer.step()
                optimizer.zero_grad()
            if accelerator.sync_gradients:
                global_step += 1
                each_step(global_step, accelerator)
            recorder.add(epoch=epoch, step=step, loss=loss.item())
            now = (recorder.loss_total, len(recorder.loss_list), inner.weight.item())
            seen.append((epoch, global_step, *map(float, batch), *map(float, drawn), *now))
            run.after_batch(epoch, global_step)
            if global_step >= args.max_train_steps:
                break
    if args.save_state:
        accelerator.save_state(str(folder / "it-state"))
    return seen


def after(step: int, seen: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return what was seen after an optimizer step."""
    return seen[next(n for n, at in enumerate(seen, start=1) if at[1] == step) :]


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {name: signal.getsignal(getattr(signal, name)) for name in kp_run._SIGNALS}
    yield
    for name, handler in before.items():
        signal.signal(getattr(signal, name), handler)


ALWAYS: dict[str, Any] = {"state_every_minutes": 1e-9, "state_keep": 99}


@pytest.mark.parametrize(("workers", "accumulation"), [(0, 1), (0, 2), (2, 1), (2, 2)])
def test_it_goes_on_after_any_step_as_if_nothing_had_been(
    workers: int, accumulation: int, tmp_path: Path
) -> None:
    how = {"workers": workers, "accumulation": accumulation}
    undisturbed = train(tmp_path / "alone", **how)
    assert len(undisturbed) == EPOCHS * BATCHES
    assert train(tmp_path, **how, **ALWAYS) == undisturbed
    states = sorted((tmp_path / "it-states").iterdir())
    assert len(states) == EPOCHS * -(-BATCHES // accumulation) - 1
    for state in states[:: 1 if workers == 0 else 3]:
        left = train(tmp_path / "again", **how, **ALWAYS, resume=str(state))
        assert left == after(int(state.name[4:]), undisturbed)
        newest = kp_states.newest(tmp_path / "again" / "it-states")
        if newest:  # what that one saved is as good
            left = train(tmp_path / "third", **how, resume=str(newest))
            assert left == undisturbed[-len(left) :]


def test_states_of_sd_scripts_own_are_continued_too(tmp_path: Path) -> None:
    def save_state(step: int, accelerator: Any) -> None:
        if step in (3, 5, 8):
            accelerator.save_state(str(tmp_path / f"it-step{step:08d}-state"))

    disturbed = train(tmp_path, each_step=save_state, save_state=True)
    for step in (3, 5, 8):
        state = tmp_path / f"it-step{step:08d}-state"
        left = train(tmp_path / "again", resume=str(state))
        assert left == after(step, disturbed)
    assert train(tmp_path / "again", resume=str(tmp_path / "it-state")) == []


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_a_signal_saves_a_state_and_stops_with_a_code_of_its_own(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def kill(step: int, accelerator: Any) -> None:
        if step == 7:
            os.kill(os.getpid(), getattr(signal, name))

    undisturbed = train(tmp_path / "alone")
    with pytest.raises(SystemExit) as caught:
        train(tmp_path, state_every_minutes=99.0, each_step=kill)
    assert caught.value.code == kp_run.STOPPED == 85
    state = tmp_path / "it-states" / "step00000007"
    assert f"kohya-presets: stopped by {name} after step 7, exit code 85" in capfd.readouterr().out
    states = str(tmp_path / "it-states")
    assert train(tmp_path, resume=states) == undisturbed[7:]
    assert f"kohya-presets: continuing after step 7 (epoch 2): {state}" in capfd.readouterr().out


def test_the_newest_are_kept_and_their_line_can_be_read(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    states = tmp_path / "it-states"
    for leftover in ("step00000003.part", "step00000004.old"):
        (states / leftover).mkdir(parents=True)
    (states / "mine").mkdir()
    train(tmp_path, state_every_minutes=1e-9)
    assert {found.name for found in states.iterdir()} == {"step00000013", "step00000014", "mine"}
    said = [line for line in capfd.readouterr().out.splitlines() if "state of" in line]
    start = "kohya-presets: state of step 14 (epoch 3) saved in "
    assert said[-1].startswith(start)
    assert said[-1].endswith(f" s, 0.00 GB: {states / 'step00000014'}")
    manifest = kp_states.read(states / "step00000014")
    assert manifest
    assert (manifest["step"], manifest["epoch"], manifest["batches"]) == (14, 3, 4)
    assert manifest["bytes"] == sum(
        f.stat().st_size for f in (states / "step00000014").iterdir() if f.suffix != ".json"
    )


def test_another_setting_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    train(tmp_path, **ALWAYS)
    train(tmp_path, seed=8, workers=1, resume=str(tmp_path / "it-states"))
    said = capfd.readouterr().out
    assert "it will not be exactly the same training: the seed was 7 and is 8; " in said
    assert "the number of data loader workers was 0 and is 1" in said


def test_a_seed_is_chosen_and_found_again(tmp_path: Path) -> None:
    first = train(tmp_path, seed=None, **ALWAYS)
    state = tmp_path / "it-states" / "step00000006"
    assert train(tmp_path, seed=None, resume=str(state)) == first[6:]
    assert train(tmp_path, seed=None, **ALWAYS) != first


def test_a_state_that_cannot_be_written_does_not_end_the_training(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = train(tmp_path / "alone")

    def full(self: Any, folder: str, *rest: Any) -> None:
        random.random()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Accelerator, "save_state", full)
    assert train(tmp_path, **ALWAYS) == undisturbed
    assert "the state of step 3 could not be saved, training goes on" in capfd.readouterr().out
    assert not list((tmp_path / "it-states").iterdir())


@pytest.mark.parametrize(
    ("name", "step", "epoch", "batches", "finished"),
    [
        ("it-step00000007-state", 7, 2, 2, False),
        ("it-000002-state", 6, 1, 5, True),
        ("it-state", None, None, None, None),
    ],
)
def test_the_name_of_a_foreign_state_says_where_it_is(
    name: str,
    step: int | None,
    epoch: int | None,
    batches: int | None,
    finished: bool | None,
    tmp_path: Path,
) -> None:
    found = kp_position.guess(tmp_path / name, batches_per_epoch=5, accumulation=2)
    if step is None:
        assert found is None
    else:
        assert found
        at = (found.step, found.epoch, found.batches, found.finished)
        assert at == (step, epoch, batches, finished)


@pytest.mark.parametrize(
    ("text", "step"), [('{"current_epoch": 3, "current_step": 7}', 7), ("{", None), ("{}", None)]
)
def test_the_step_that_a_lora_script_wrote_down_is_known(
    text: str, step: int | None, tmp_path: Path
) -> None:
    (tmp_path / "train_state.json").write_text(text, "utf-8")
    found = kp_position.guess(tmp_path, batches_per_epoch=5, accumulation=2)
    assert (found and (found.step, found.epoch, found.batches)) == (step and (7, 2, 2))


COUNTING = {"initial_step": None, "initial_epoch": None, "skip_until_initial_step": False}


def test_the_counting_of_lora_scripts_is_turned_off(tmp_path: Path) -> None:
    def counting(**options: Any) -> tuple[Any, ...]:
        given = {"output_dir": str(tmp_path), "output_name": "it", "resume": None, **COUNTING}
        parser = argparse.ArgumentParser()
        kp_resume.add_arguments(parser)
        rest = {"save_state": False, "seed": 7, **options}
        args = argparse.Namespace(**{**vars(parser.parse_args([])), **given, **rest})
        run = kp_resume.begin(args)
        counted = (args.initial_step, args.initial_epoch, args.skip_until_initial_step)
        return type(run).__name__, *counted

    own = {"initial_epoch": 3, "skip_until_initial_step": True}
    assert counting(**own) == ("Off", None, 3, True)
    assert counting(**own, save_state=True) == ("Off", None, 3, True)  # its loader is not ours
    assert counting(**ALWAYS, initial_epoch=1) == ("Run", None, None, False)
    for there in ({"initial_step": 5}, {"initial_epoch": 3}):
        with pytest.raises(ValueError, match="--initial_step and --initial_epoch cannot"):
            counting(**ALWAYS, **there)
    train(tmp_path, **ALWAYS)
    states = str(tmp_path / "it-states")
    assert counting(**own, resume=states) == ("Run", 0, None, False)


def test_a_training_that_begins_later_is_left_as_it_is(tmp_path: Path) -> None:
    args = argparse.Namespace(
        state_every_minutes=0.0, state_keep=1, state_dir=None, save_state=True
    )
    vars(args).update(output_dir=str(tmp_path), output_name="it", resume=None, seed=7, **COUNTING)
    loader = torch.utils.data.DataLoader(Images())
    found = {"accelerator": Accelerator(cpu=True), "train_dataloader": loader, "global_step": 4}
    found |= {"current_step": None, "progress_bar": None}
    step, _ = kp_resume.begin(args).start(found)
    assert step == 4
    args.save_state = False
    assert kp_resume.begin(args).start(found) == (4, loader)


def test_the_losses_of_validation_go_on(tmp_path: Path) -> None:
    recorders = {"loss_recorder": Recorder(), "val_step_loss_recorder": Recorder()}
    recorders["val_step_loss_recorder"].add(epoch=0, step=0, loss=0.5)
    found = {"progress_bar": None, "train_dataloader": None, **recorders}
    saved = kp_position.Position(1, 0, 1, False, {}, Training.of(found).losses())
    kp_states.make(tmp_path / "state")
    saved.save(tmp_path / "state", 0)
    kp_states.write(tmp_path / "state", saved.manifest())
    read = kp_position.read(tmp_path / "state", 0)
    assert read
    found["val_step_loss_recorder"] = Recorder()
    Training.of(found).go_on_with(read.losses, 0, 1)
    assert vars(found["val_step_loss_recorder"])["loss_list"] == [0.5]


@pytest.mark.parametrize(("epoch", "batches", "expected"), [(0, 3, 3), (1, 0, 5), (1, 3, 5)])
def test_the_losses_of_v070_have_one_for_each_batch(
    epoch: int, batches: int, expected: int
) -> None:
    losses: list[float] = []
    found = {"progress_bar": None, "train_dataloader": range(5), "loss_list": losses}
    Training.of(found).go_on_with({}, epoch, batches)
    assert len(losses) == expected


def test_a_foreign_state_goes_on_where_its_name_says(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path, **ALWAYS)
    foreign = tmp_path / "it-step00000007-state"
    (tmp_path / "it-states" / "step00000007").rename(foreign)
    for file in (*foreign.glob("kp_*"),):
        file.unlink()
    left = train(tmp_path, resume=str(foreign), **ALWAYS)
    assert [at[:2] for at in left] == [(1, 8), (1, 9), (1, 10), *((2, n) for n in range(11, 16))]
    assert "continuing after step 7 (epoch 2)" in capfd.readouterr().out
    plain = train(tmp_path / "plain", resume=str(foreign))  # without the option: as unpatched
    assert len(plain) == EPOCHS * BATCHES


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"state_every_minutes": -1.0}, "--state_every_minutes must be 0 or more"),
        ({"state_keep": 0}, "--state_keep must be 1 or more"),
        ({**ALWAYS, "fused_optimizer_groups": 4}, "--fused_optimizer_groups cannot be continued"),
        ({**ALWAYS, "deepspeed": True}, "--deepspeed cannot be continued"),
    ],
)
def test_impossible_options_stop_before_anything(
    options: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=said):
        train(tmp_path, **options)


@pytest.mark.parametrize("text", ["{", '{"format": 2}', '{"format": 1, "step": 3}'])
def test_a_damaged_manifest_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / kp_states.MANIFEST).write_text(text, "utf-8")
    with pytest.raises(ValueError, match=kp_states.MANIFEST):
        kp_position.read(tmp_path, 0)


@pytest.mark.parametrize("renamed", [False, True])
def test_a_kill_between_two_renames_leaves_one_whole_state(renamed: bool, tmp_path: Path) -> None:
    train(tmp_path, **ALWAYS)
    states = tmp_path / "it-states"
    state = states / "step00000014"
    state.rename(states / "step00000014.old")
    if renamed:
        (states / "step00000013").rename(state)
    kp_states.clear_up(states)
    assert sorted(found.name for found in states.iterdir())[-1] == "step00000014"
    assert kp_states.read(state)


def test_a_log_line_draws_from_no_generator_of_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    style = pytest.importorskip("rich.style")  # a newer one than the trainers', which counts
    monkeypatch.setattr(style, "randint", random.randint, raising=False)

    def log(step: int, accelerator: Any) -> None:
        style.randint(0, 999999)

    plain = train(tmp_path)
    assert train(tmp_path, each_step=log) != plain
    assert train(tmp_path, each_step=log, state_every_minutes=99.0) == plain
