"""Which epoch to keep, and why: one recommendation from the numbers of all of them.

The rule is the guide's: a LoRA whose captions come back as training images is overtrained, one
whose trigger does nothing is undertrained. Kept is the last epoch before copying starts, if its
trigger works. Nothing is said that was not measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kohya_presets.judging.epochs import BASE, Epoch

UNDERTRAINED, RIGHT, OVERTRAINED, UNKNOWN = "undertrained", "right", "overtrained", "unknown"

# On made pictures, details drawn anew give 0.06 and lines bent by 1% of the side 0.05; another
# subject in the same place gives 0.84. Not measured on LoRAs.
WORKS = 0.25
# Of the most that any epoch's trigger does: less is a trigger that is still being learned.
HALF = 0.5
# Of the captions, above the base model's own share: one picture in ten may be a false alarm.
FALSE_ALARMS = 0.1
FEW = 4  # captions: fewer are a small sample
FULL = 1.0  # the strength that epochs are judged at, or the nearest to it


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What to do next."""

    model: str | None  # which LoRA to keep; None: none of them
    verdict: str  # UNDERTRAINED, RIGHT, OVERTRAINED or UNKNOWN
    reason: str  # in sentences
    strength: float | None = None  # to use the LoRA at


@dataclass(frozen=True, slots=True)
class _Run:
    """The epochs at the strength at which they are judged, in order."""

    epochs: tuple[Epoch, ...]
    base: Epoch | None
    others: tuple[Epoch, ...]  # at other strengths

    def copies(self, epoch: Epoch) -> bool:
        own = self.base.share if self.base else 0.0
        return epoch.of > 0 and epoch.share > own + FALSE_ALARMS

    def works(self, epoch: Epoch) -> bool:
        most = max((e.trigger for e in self.epochs if e.trigger is not None), default=0.0)
        return epoch.trigger is not None and epoch.trigger >= max(WORKS, HALF * most)

    @property
    def start(self) -> int | None:
        """The first epoch that copies and is no single outlier; None: no epoch.

        An outlier is followed by an epoch that does not copy, and copies less than half.
        """
        for n, epoch in enumerate(self.epochs):
            following = self.epochs[n + 1 : n + 2]
            goes_on = not following or self.copies(following[0]) or epoch.share >= HALF
            if self.copies(epoch) and goes_on:
                return n
        return None


def recommended(numbers: Sequence[Epoch]) -> Recommendation:
    """Return one recommendation from the numbers of all models, as `epochs.numbers` gives them."""
    run = _run(numbers)
    if not run.epochs:
        return Recommendation(None, UNKNOWN, "No LoRA was evaluated.")
    start = run.start
    if start is not None and not any(run.works(e) for e in run.epochs[:start]):
        return _overtrained(run, start)
    if all(e.trigger is None for e in run.epochs):
        return _trigger_unknown(run)
    if not any(run.works(e) for e in run.epochs):
        return _undertrained(run)
    if all(e.of == 0 for e in run.epochs):
        return _copies_unknown(run)
    return _right(run, start)


def _run(numbers: Sequence[Epoch]) -> _Run:
    loras = [e for e in numbers if e.model != BASE]
    at = min((e.strength for e in loras), key=lambda s: (abs(s - FULL), s), default=FULL)
    return _Run(
        tuple(e for e in loras if e.strength == at),
        next((e for e in numbers if e.model == BASE), None),
        tuple(e for e in loras if e.strength != at),
    )


def _right(run: _Run, start: int | None) -> Recommendation:
    kept = [e for e in run.epochs[:start] if run.works(e)][-1]
    told = [f"Keep {_named(kept)}."]
    moved = f"prompts with the trigger changed by {kept.trigger:.2f} (0 is nothing, 1 everything)"
    told.append(f"Its trigger works: {moved}, and {_copying(kept)}.")
    if start is not None:
        first = run.epochs[start]
        told.append(f"Copying starts at {_named(first)}, where {_copying(first)}.")
    elif kept is run.epochs[-1] and len(run.epochs) > 1:
        told.append("No epoch copies, and this is the last one: longer training may give more.")
    elif len(run.epochs) == 1:
        told.append("Only this one was evaluated: others may be better.")
    return Recommendation(kept.model, RIGHT, _told(told, run, kept), kept.strength)


def _overtrained(run: _Run, start: int) -> Recommendation:
    """Return what to do where copying starts before the trigger works."""
    epoch = run.epochs[start]
    where = "already the first epoch copies" if start == 0 else f"copying starts at {_named(epoch)}"
    told = [f"Overtrained: {where}: {_copying(epoch)}."]
    if start and all(e.trigger is None for e in run.epochs):
        before = run.epochs[start - 1]
        told.append(f"{_named(before).capitalize()} is the last one before. Whether its trigger")
        told[-1] += " works is not known: no prompt with the trigger was compared with the base."
        return Recommendation(before.model, UNKNOWN, _told(told[1:], run, epoch), before.strength)
    if start:
        told.append("Before that, the trigger does next to nothing.")
    if weaker := _weaker(run):
        told.append(f"Use {_named(weaker)} at strength {weaker.strength:g}: {_copying(weaker)}.")
    told.append("Train less (fewer epochs or repeats, or a lower learning rate), or with more and")
    told[-1] += " more varied images" + ("." if weaker else ", or try a lower strength.")
    model, strength = (weaker.model, weaker.strength) if weaker else (None, None)
    return Recommendation(model, OVERTRAINED, _told(told, run, epoch), strength)


def _weaker(run: _Run) -> Epoch | None:
    """Return the first LoRA that does not copy at a lower strength, and whose trigger works."""
    at = run.epochs[0].strength
    fine = [
        e
        for e in run.others
        if e.strength < at and e.of and not run.copies(e) and (e.trigger or 0) >= WORKS
    ]
    return max(fine, key=lambda e: e.strength, default=None)


def _undertrained(run: _Run) -> Recommendation:
    most = max(run.epochs, key=lambda e: e.trigger or 0.0)
    told = [
        f"Undertrained: the trigger does next to nothing. At most, at {_named(most)}, prompts with"
        f" it changed by {most.trigger:.2f} (0 is nothing, 1 everything).",
        "Train longer, or with a higher learning rate. If that does not help, check that the"
        " captions contain the trigger.",
    ]
    return Recommendation(None, UNDERTRAINED, _told(told, run, most))


def _trigger_unknown(run: _Run) -> Recommendation:
    told = ["Whether the trigger works is not known: no prompt with it was compared with the base."]
    if any(e.of for e in run.epochs):
        told.append(
            f"Copying was looked for, and does not rise: at the end, {_copying(_last(run))}."
        )
    told.append("Evaluate again with the base model and prompts that contain the trigger.")
    return Recommendation(None, UNKNOWN, _told(told, run, _last(run)))


def _copies_unknown(run: _Run) -> Recommendation:
    works = next(e for e in run.epochs if run.works(e))
    told = [
        f"The trigger works from {_named(works)} on, but whether training images come back is not"
        " known: no caption was prompted word for word, or there were no images to compare with.",
        "Evaluate again with some captions word for word, and the training images.",
    ]
    return Recommendation(None, UNKNOWN, _told(told, run, works))


def _told(sentences: Sequence[str], run: _Run, epoch: Epoch) -> str:
    """Return the sentences with what else is to be known of the epoch they speak of."""
    told = [*sentences]
    if epoch.leak is not None and epoch.trigger is not None and epoch.leak >= WORKS:
        told.append(f"Prompts without the trigger changed too, by {epoch.leak:.2f}: it leaks.")
    plain = run.base.diversity if run.base else None
    if epoch.diversity is not None and plain and epoch.diversity < HALF * plain:
        told.append(
            f"Pictures of one prompt are much alike ({epoch.diversity:.2f} apart; the base's:"
            f" {plain:.2f}), which is a sign of overtraining too."
        )
    if run.base and run.base.copies:
        told.append(
            f"The base model has never seen the images, yet {_copying(run.base)}: so copies are"
            " counted too often here. Look at the pairs."
        )
    if 0 < epoch.of < FEW:
        told.append(
            f"{epoch.of} {'caption is' if epoch.of == 1 else 'captions are'} a small sample."
        )
    return " ".join(told)


def _copying(epoch: Epoch) -> str:
    if not epoch.of:
        return "copies were not looked for"
    what = "caption comes" if epoch.of == 1 else "captions come"
    count = epoch.copies or "none"
    return f"{count} of {epoch.of} {what} back as a training image"


def _named(epoch: Epoch) -> str:
    return epoch.model if epoch.epoch is None else f"epoch {epoch.epoch} ({epoch.model})"


def _last(run: _Run) -> Epoch:
    return next((e for e in reversed(run.epochs) if e.of), run.epochs[-1])
