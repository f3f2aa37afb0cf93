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

# On made pictures, details drawn anew give 0.08 and lines bent by 1% of the side 0.06; another
# subject in the same place gives 0.99. Not measured on LoRAs.
WORKS = 0.25
# Of the most that any epoch's trigger does: less is a trigger that is still being learned.
HALF = 0.5
# Of the captions, above the base model's own share: one picture in ten may be a false alarm.
FALSE_ALARMS = 0.1
ENOUGH = 2  # pictures: of fewer nothing is concluded
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
        return epoch.of >= ENOUGH and epoch.share > own + FALSE_ALARMS

    def works(self, epoch: Epoch) -> bool:
        most = max((e.trigger for e in self.epochs if e.trigger is not None), default=0.0)
        return _triggered(epoch) >= max(WORKS, HALF * most)

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
    working = [e for e in run.epochs if run.works(e)]
    kept = [e for e in run.epochs[:start] if e in working and not run.copies(e)]
    trigger_known = any(e.trigger_of >= ENOUGH for e in run.epochs)
    if start == 0 or (start is not None and trigger_known and not kept):
        return _overtrained(run, start)
    if not trigger_known:
        return _trigger_unknown(run, start)
    if not working:
        return _undertrained(run)
    if all(e.of < ENOUGH for e in run.epochs):
        return _copies_unknown(run, working[0])
    if not kept:  # but for outliers, no epoch works
        return _overtrained(run, run.epochs.index(working[0]))
    return _right(run, kept[-1], start)


def _run(numbers: Sequence[Epoch]) -> _Run:
    loras = [e for e in numbers if e.model != BASE]
    at = min((e.strength for e in loras), key=lambda s: (abs(s - FULL), s), default=FULL)
    return _Run(
        tuple(e for e in loras if e.strength == at),
        next((e for e in numbers if e.model == BASE), None),
        tuple(e for e in loras if e.strength != at),
    )


def _right(run: _Run, kept: Epoch, start: int | None) -> Recommendation:
    told = [f"Keep {_named(kept)}. Its trigger changes the picture: {_moved(kept)}."]
    told.append(f"{_copying(kept)}.")
    if start is not None:
        first = run.epochs[start]
        told.append(f"Copying starts at {_named(first)}: {_lower(_copying(first))}.")
    elif len(run.epochs) == 1:
        told.append("Only this one was evaluated: others may be better.")
    elif kept is run.epochs[-1]:
        told.append("Copying has not started at this last epoch: longer training may give more.")
    return Recommendation(kept.model, RIGHT, _told(told, run, kept), kept.strength)


def _overtrained(run: _Run, start: int) -> Recommendation:
    """Return what to do where copying starts before the trigger works."""
    epoch = run.epochs[start]
    where = f"training images come back from {_named(epoch)} on"
    if start == 0:
        where = "training images come back at every epoch that was evaluated"
        if not all(run.copies(e) for e in run.epochs):
            where = f"training images come back already at {_named(epoch)}, the first one"
    told = [f"Overtrained: {where}. At {_named(epoch)}, {_lower(_copying(epoch))}."]
    if start:
        told.append("Before that, the trigger does not work yet.")
    weaker = _weaker(run)
    if weaker:
        at = f"Use {_named(weaker)} at strength {weaker.strength:g}"
        told.append(f"{at}: there, {_lower(_copying(weaker))}, and {_moved(weaker)}.")
        if len({e.model for e in run.others}) == 1 < len(run.epochs):
            told.append("No other one was tried below full strength.")
    told.append(
        "Train less (fewer epochs or repeats, or a lower learning rate), or with more images that"
        " differ more" + ("." if weaker else ", or try a lower strength.")
    )
    model, strength = (weaker.model, weaker.strength) if weaker else (None, None)
    return Recommendation(model, OVERTRAINED, _told(told, run, epoch), strength)


def _weaker(run: _Run) -> Epoch | None:
    """Return what works without copying at a lower strength; of several, the strongest."""
    at = run.epochs[0].strength
    fine = [
        e
        for e in run.others
        if e.strength < at and e.of >= ENOUGH and not run.copies(e) and _triggered(e) >= WORKS
    ]
    return max(fine, key=lambda e: e.strength, default=None)


def _undertrained(run: _Run) -> Recommendation:
    most = max(run.epochs, key=_triggered)
    told = [
        f"Undertrained: the trigger does next to nothing. At {_named(most)}, where it does"
        f" most, {_moved(most)}.",
        "First check that the captions contain the trigger. Then train longer, or with a higher"
        " learning rate.",
    ]
    return Recommendation(None, UNDERTRAINED, _told(told, run, most))


def _trigger_unknown(run: _Run, start: int | None) -> Recommendation:
    told = [
        "Whether the trigger works is not known: fewer than two pictures with it were compared with"
        " the base model's."
    ]
    before = run.epochs[start - 1] if start else None
    epoch = before or run.epochs[-1]
    if start:
        first = run.epochs[start]
        told.append(f"Copying starts at {_named(first)}: {_lower(_copying(first))}.")
        told.append(f"The last one before that is {_named(epoch)}.")
    elif any(e.of for e in run.epochs):
        told.append(f"At {_named(epoch)}, {_lower(_copying(epoch))}.")
    told.append("Evaluate again with the base model and prompts that contain the trigger.")
    return Recommendation(before.model if before else None, UNKNOWN, _told(told, run, epoch))


def _copies_unknown(run: _Run, works: Epoch) -> Recommendation:
    told = [
        f"The trigger works at {_named(works)}: {_moved(works)}. Whether training images come back"
        " is not known: fewer than two captions were prompted word for word and compared with the"
        " training images.",
        "Evaluate again with some captions word for word, and with the training images.",
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
            f"The base model was not trained on the images, yet {_lower(_copying(run.base))}:"
            " copies are counted too often here. Look at the pairs."
        )
    if 0 < epoch.of < FEW:
        told.append(
            f"{epoch.of} {'caption is' if epoch.of == 1 else 'captions are'} a small sample."
        )
    return " ".join(told)


def _triggered(epoch: Epoch) -> float:
    """Return how far the trigger moves pictures; 0 if too few were compared."""
    return (epoch.trigger or 0.0) if epoch.trigger_of >= ENOUGH else 0.0


def _moved(epoch: Epoch) -> str:
    changed = f"{epoch.trigger or 0:.2f} on average (0 is nothing, 1 is another picture)"
    return f"{epoch.trigger_of} pictures with the trigger differ from the base model's by {changed}"


def _copying(epoch: Epoch) -> str:
    if not epoch.of:
        return "Copies were not looked for"
    what = "caption comes" if epoch.of == 1 else "captions come"
    return f"{epoch.copies or 'None'} of {epoch.of} {what} back as copies of training images"


def _lower(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def _named(epoch: Epoch) -> str:
    return epoch.model if epoch.epoch is None else f"epoch {epoch.epoch} ({epoch.model})"
