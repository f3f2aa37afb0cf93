"""Whether a LoRA's numbers are any good: finite, and not all zero. Every byte of it is read."""

from __future__ import annotations

from kohya_presets.errors import UserError
from kohya_presets.loras import modules
from kohya_presets.loras.weights import Header

# How a float is stored: its width in bytes, the bits of its exponent. All of these 1: inf or NaN.
_EXPONENTS = {
    "F16": (2, 0x7C00),
    "BF16": (2, 0x7F80),
    "F32": (4, 0x7F800000),
    "F64": (8, 0x7FF << 52),
}


def require(header: Header) -> None:
    """Raise UserError unless a LoRA changes something, and all of its numbers are finite."""
    import numpy as np  # slow to import, and read from here only after minutes of other work

    changes = False
    with header.file.open("rb") as opened:
        for module in modules.of(header).all:
            works = True
            for name in (module.up, module.down):
                tensor = header.tensors[name]
                if tensor.dtype not in _EXPONENTS:
                    known = ", ".join(_EXPONENTS)
                    raise UserError(
                        f"{header.file}: {name} has the type {tensor.dtype}, known: {known}"
                    )
                width, exponent = _EXPONENTS[tensor.dtype]
                opened.seek(tensor.start)
                bits = np.frombuffer(opened.read(tensor.size), f"<u{width}")
                if bool(((bits & exponent) == exponent).any()):
                    raise UserError(
                        f"{header.file}: {name} contains inf or NaN",
                        hint="The training diverged, or a number was too large for fp16.",
                    )
                works = works and bool((bits << 1).any())  # without the sign: -0 is 0
            changes = changes or works
    if not changes:
        raise UserError(
            f"{header.file} changes nothing: in every module one matrix is all zeros",
            hint="Check that the tuned model is not a copy of the base.",
        )
