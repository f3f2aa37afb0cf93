"""When a training saves next, by its settings and its bar, and how much room that takes."""

from __future__ import annotations

from collections.abc import Sequence

from kohya_presets.training.settings import Settings
from wrapper.screen.progress import Step
from wrapper.watching.live.room import Save


def coming(settings: Settings, step: Step | None, *, model: int, state: int = 0) -> Sequence[Save]:
    """Return the next save of a model, with a state where the settings save one beside it.

    `model` and `state` are their sizes in bytes: of the last ones, else as estimated. States by
    the clock are not among them: only the trainer knows when the last one was.
    """
    if step is None or not step.total or not model:
        return ()
    steps = min(_until(settings, step))
    both = model + (state if settings.train("save_state") else 0)
    if steps == step.total - step.done and settings.train("save_state_on_train_end"):
        both = model + state
    return (Save("the next model", both, steps=steps),)


def _until(settings: Settings, step: Step) -> Sequence[int]:
    """Return in how many steps each kind of save comes; the last model comes in any case."""
    found = [step.total - step.done]
    epochs, every = settings.train("max_train_epochs"), settings.train("save_every_n_epochs")
    if epochs and every:
        found.append(_next(step.done, every * -(-step.total // epochs)))
    if every := settings.train("save_every_n_steps"):
        found.append(_next(step.done, every))
    return found


def _next(done: int, every: int) -> int:
    return max(1, every) - done % max(1, every)
