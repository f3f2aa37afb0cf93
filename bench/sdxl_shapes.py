"""The shapes of SDXL's weights, from the numbers that its architecture is made of."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Shape = tuple[int, ...]

WIDTH = 320  # of the U-Net's first level
LEVELS = ((1, 0), (2, 2), (4, 10))  # factor of the width, depth of the transformers
MIDDLE_DEPTH = 10
RESIDUAL_BLOCKS = 2
CONTEXT = 2048  # both text encoders beside each other
CONDITIONS = 2816  # pooled text, and six numbers of the image's size and place
LATENTS = 4
TOKENS, POSITIONS = 49408, 77


def unet() -> tuple[Shape, ...]:
    """Return the shapes of the U-Net's tensors, in their order."""
    return tuple(_unet())


def text_encoder_1() -> tuple[Shape, ...]:
    """Return the shapes of CLIP-L's text encoder."""
    return tuple(_text_encoder(width=768, layers=12))


def text_encoder_2() -> tuple[Shape, ...]:
    """Return the shapes of OpenCLIP bigG's text encoder, with its projection."""
    return (*_text_encoder(width=1280, layers=32), (1280, 1280))


def count(shapes: Sequence[Shape]) -> int:
    """Return how many parameters tensors of these shapes have together."""
    return sum(map(math.prod, shapes))


@dataclass(frozen=True)
class Sample:
    """Every `step`-th of SDXL's tensors by size."""

    shapes: tuple[Shape, ...]
    step: int
    tensors_in_all: int
    parameters_in_all: int

    @property
    def parameters(self) -> int:
        """How many parameters the sample has."""
        return count(self.shapes)

    def __str__(self) -> str:
        """Say what this is a sample of."""
        return (
            f"{len(self.shapes)} tensors, {self.parameters / 1e9:.2f} G parameters: every "
            f"{self.step}th by size of SDXL's {self.tensors_in_all}, "
            f"{self.parameters_in_all / 1e9:.2f} G, text encoders too"
        )


def sample(parameters: int) -> Sample:
    """Return whole tensors of the U-Net and the text encoders, of about so many parameters.

    Sizes are spread as in the whole, which takes more memory than most machines have.
    """
    every = sorted((*unet(), *text_encoder_1(), *text_encoder_2()), key=math.prod)
    step = max(1, round(count(every) / parameters))
    return Sample(tuple(every[step // 2 :: step]), step, len(every), count(every))


@dataclass(frozen=True)
class Group:
    """Tensors that are in memory together; SDXL has such a group so many `times`."""

    shapes: tuple[Shape, ...]
    times: int

    @property
    def parameters(self) -> int:
        """How many parameters the group has, once."""
        return count(self.shapes)


def groups(at_most: int) -> tuple[Group, ...]:
    """Return all of SDXL's tensors, in groups of `at_most` so many parameters, or a single tensor.

    Groups of the same tensors are one, which stands for all of them.
    """
    found: list[Group] = []
    left: list[Shape] = []
    for shape, tensors in Counter((*unet(), *text_encoder_1(), *text_encoder_2())).items():
        together = max(1, at_most // math.prod(shape))
        if tensors >= together:
            found.append(Group((shape,) * together, tensors // together))
        left += [shape] * (tensors % together)
    mixed: list[Shape] = []
    for shape in left:
        if mixed and count(mixed) + math.prod(shape) > at_most:
            found.append(Group(tuple(mixed), 1))
            mixed = []
        mixed.append(shape)
    if mixed:
        found.append(Group(tuple(mixed), 1))
    return tuple(found)


def _unet() -> Iterator[Shape]:
    time = 4 * WIDTH
    for conditions in (WIDTH, CONDITIONS):
        yield from _linear(conditions, time)
        yield from _linear(time, time)
    yield from _convolution(LATENTS, WIDTH, 3)
    width, skipped = WIDTH, [WIDTH]  # what the way down keeps for the way up
    for number, (factor, depth) in enumerate(LEVELS):
        for _ in range(RESIDUAL_BLOCKS):
            yield from _residual(width, factor * WIDTH, time)
            width = factor * WIDTH
            yield from _transformer(width, depth)
            skipped.append(width)
        if number < len(LEVELS) - 1:
            yield from _convolution(width, width, 3)
            skipped.append(width)
    yield from _residual(width, width, time)
    yield from _transformer(width, MIDDLE_DEPTH)
    yield from _residual(width, width, time)
    for number, (factor, depth) in reversed(list(enumerate(LEVELS))):
        for _ in range(RESIDUAL_BLOCKS + 1):
            yield from _residual(width + skipped.pop(), factor * WIDTH, time)
            width = factor * WIDTH
            yield from _transformer(width, depth)
        if number:
            yield from _convolution(width, width, 3)
    yield from _norm(width)
    yield from _convolution(width, LATENTS, 3)


def _residual(before: int, after: int, time: int) -> Iterator[Shape]:
    yield from _norm(before)
    yield from _convolution(before, after, 3)
    yield from _linear(time, after)
    yield from _norm(after)
    yield from _convolution(after, after, 3)
    if before != after:
        yield from _convolution(before, after, 1)


def _transformer(width: int, depth: int) -> Iterator[Shape]:
    if not depth:
        return
    yield from _norm(width)
    yield from _linear(width, width)
    for _ in range(depth):
        for seen in (width, CONTEXT):  # attention to itself, then to the text
            yield from ((width, width), (width, seen), (width, seen))
            yield from _linear(width, width)
        yield from _linear(width, 8 * width)  # half of it gates the other half
        yield from _linear(4 * width, width)
        for _ in range(3):
            yield from _norm(width)
    yield from _linear(width, width)


def _text_encoder(width: int, layers: int) -> Iterator[Shape]:
    yield from ((TOKENS, width), (POSITIONS, width))
    for _ in range(layers):
        for _ in range(4):  # query, key, value, out
            yield from _linear(width, width)
        yield from _norm(width)
        yield from _linear(width, 4 * width)
        yield from _linear(4 * width, width)
        yield from _norm(width)
    yield from _norm(width)


def _linear(before: int, after: int) -> tuple[Shape, ...]:
    return ((after, before), (after,))


def _convolution(before: int, after: int, size: int) -> tuple[Shape, ...]:
    return ((after, before, size, size), (after,))


def _norm(width: int) -> tuple[Shape, ...]:
    return ((width,), (width,))
