"""One training over several GPUs and machines: what becomes of its steps, and what cannot be.

Each process trains a copy of the model on a batch of its own, and the gradients are averaged. So a
step sees as many images as all processes together. accelerate: each optimizer step moves a schedule
on by the number of processes (AcceleratedScheduler); sd-scripts makes the schedule as many times
longer (library/train_util.py: get_scheduler_fix). Warm-up and decay given in steps are therefore
those of one process, and stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from kohya_presets.presets.preset import Preset
from kohya_presets.problems import Problem, plural
from kohya_presets.sdscripts import options
from kohya_presets.training.settings import Settings

# Lengths that sd-scripts counts in its own steps, of all processes together.
STEPS = (
    "max_train_steps",
    "save_every_n_steps",
    "save_last_n_steps",
    "save_last_n_steps_state",
    "sample_every_n_steps",
    "validate_every_n_steps",
)
PORT = 29500  # accelerate's own
CODE = "processes"


@dataclass(frozen=True)
class Spread:
    """Over what one training is spread: `gpus` on each of `machines`.

    `rank` is the number of this machine, from 0; `address` and `port` are where machine 0 listens.
    """

    gpus: int = 1
    machines: int = 1
    rank: int = 0
    address: str | None = None
    port: int = PORT

    @property
    def processes(self) -> int:
        """How many processes train: one for each GPU."""
        return self.gpus * self.machines

    @property
    def leads(self) -> bool:
        """Whether this machine saves the files: the others only train."""
        return self.rank == 0

    def __str__(self) -> str:
        gpus = plural(self.gpus, "GPU")
        return gpus if self.machines == 1 else f"{gpus} on each of {self.machines} machines"


ALONE = Spread()


@dataclass(frozen=True)
class Changed:
    """A length in steps that was converted, so that as many images are seen."""

    option: str
    before: int
    after: int

    def __str__(self) -> str:
        return f"{self.option}: {self.after} in place of {self.before}"


def of_preset(preset: Preset) -> Spread:
    """Return over what a preset itself is spread."""
    return Spread(gpus=max(1, preset.gpus))


def converted(
    preset: Preset, processes: int, *, keep_steps: bool = False
) -> tuple[Preset, tuple[Changed, ...]]:
    """Return the preset for so many processes, and which lengths in steps were converted.

    As many images are seen as with the preset's own number; a rest is rounded up. Lengths in epochs
    mean the same for any number: sd-scripts divides an epoch's batches itself. With `keep_steps`
    all lengths stay.
    """
    own = of_preset(preset).processes
    if processes == own:
        return preset, ()
    changed = []
    for option in () if keep_steps else STEPS:
        steps = preset.train.get(option)
        if isinstance(steps, int) and not isinstance(steps, bool) and steps > 0:
            changed.append(Changed(option, steps, -(-steps * own // processes)))
    train = {**preset.train, **{one.option: one.after for one in changed}}
    return replace(preset, train=train, run={**(preset.run or {}), "gpus": processes}), tuple(
        one for one in changed if one.before != one.after
    )


def problems(settings: Settings, spread: Spread) -> Iterator[Problem]:
    """Yield what is wrong, or impossible, with several processes."""
    gpus = settings.given("run", "gpus")
    if gpus is not None and gpus < 1:
        message = f"run.gpus is {gpus}, but at least one GPU trains"
        yield Problem(CODE, "error", settings.place("run", "gpus"), message, "Leave it out.")
    if spread.processes == 1:
        return
    for option, why, hint in _refused(settings):
        message = f"{option} does not work with {spread.processes} processes: {why}"
        yield Problem(CODE, "error", settings.place("train", option), message, hint)


def images(settings: Settings) -> int:
    """Return how many images an optimizer step sees at most, of all processes together."""
    batch = int(settings.dataset("batch_size") or 1)
    return batch * int(settings.train("gradient_accumulation_steps") or 1) * settings.processes


def texts(settings: Settings, spread: Spread, changed: tuple[Changed, ...]) -> Iterator[str]:
    """Yield what several processes change, each in a line for a reader."""
    if spread.processes == 1:
        return
    together = images(settings)
    batch = together // settings.processes
    yield (
        f"{spread}: each step sees {plural(together, 'image')} in place of {batch}; "
        "the learning rate stays as it is"
    )
    for one in changed:
        yield f"  {one}"
    if settings.train("max_train_epochs"):
        yield "  the epochs stay, and have fewer steps"
    for option in ("lr_warmup_steps", "lr_decay_steps"):
        if settings.train(option):
            yield f"  {option} stays: it is counted in steps of one GPU"
    if settings.train("enable_ema"):
        yield "  the average (EMA) counts steps, and so looks back over more images"


def _refused(settings: Settings) -> Iterator[tuple[str, str, str]]:
    own = "each would step by its own gradients, before these are averaged"
    if settings.train("fused_backward_pass"):
        yield "fused_backward_pass", own, "Use --set train.fused_backward_pass=false, or one GPU."
    if settings.train("fused_optimizer_groups"):  # measured: the processes' weights drift apart
        yield "fused_optimizer_groups", own, "Leave it out, or use one GPU."
    training = settings.training
    if options.is_in(settings.release, "<0.7.1") and any(training.text_encoders):
        why = "the last layer of text encoder 1 gets no gradient, which data parallelism refuses"
        yield "train_text_encoder", why, "Use --release v0.7.1 or newer, or one GPU."
    if training.optimizer == "adacoor" and training.optimizer_args.get("stochastic_rounding"):
        why = "each would round AdaCoor's weights in its own way"
        hint = "Leave stochastic_rounding out of it, and use train.stochastic_rounding."
        yield "optimizer_args", why, hint


def at(address: str) -> tuple[str, int]:
    """Return host and port of "HOST" or "HOST:PORT".

    Raises:
        ValueError: it is neither.
    """
    host, colon, port = address.rpartition(":") if address.count(":") == 1 else (address, "", "")
    if not host or any(letter.isspace() for letter in address) or (colon and not port.isdecimal()):
        raise ValueError(f"{address!r} is no HOST or HOST:PORT")
    return host, int(port) if colon else PORT
