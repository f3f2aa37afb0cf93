"""Whether a LoRA matches its name and its metadata, and what else about it may surprise."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from kohya_presets.loras import escape, names
from kohya_presets.loras.info import Info
from kohya_presets.problems import Place, Problem, plural

SIZE_TOLERANCE = 0.3  # a name's "100MB" is a round number
ALPHA_TOLERANCE = 2e-3  # fp16's rounding
_NAMED_RANK = (
    re.compile(r"(?<![a-z])(?:dim|rank|r)[-_ ]?(\d+)(?![\d.])"),
    re.compile(r"(?<![\d.])(\d+)[-_ ]?(?:dim|rank)(?![a-z])"),
    re.compile(r"(?:^|[-_ ])(4|8|16|32|64|128|256|512|1024)(?=$|[-_ ])"),  # a usual rank, alone
)
_NAMED_SIZE = re.compile(r"(?<![\d.])(\d+(?:\.\d+)?)[-_ ]?(mb|gb)(?![a-z])")
_ONE = ("text encoder",)
_UNUSED_BLOCK = "te1 layer 11"  # the last: SDXL uses its input (hidden state 11)
_NAMED_PRECISION = re.compile(r"(?<![a-z])(fp16|bf16|fp32)(?!\d)")


def of(info: Info) -> tuple[Problem, ...]:
    """Return warnings: what in `info` does not fit together, or is easily overlooked."""
    said = (*_by_name(info), *_by_metadata(info), *_by_content(info))
    return tuple(
        Problem(code, "warning", Place(info.file), escape.controls(text)) for code, text in said
    )


def _by_name(info: Info) -> Iterator[tuple[str, str]]:
    name = info.file.stem.lower()
    ranks = {int(number) for pattern in _NAMED_RANK for number in pattern.findall(name)}
    if ranks and info.rank not in ranks:
        named = " or ".join(map(str, sorted(ranks)))
        yield "lora-name-rank", f"the file name says rank {named}, but the rank is {info.rank}"
    if found := _NAMED_SIZE.search(name):
        named_mb = float(found[1]) * (1000 if found[2] == "gb" else 1)
        megabytes = info.size / 1e6
        if abs(megabytes - named_mb) > SIZE_TOLERANCE * named_mb:
            text = f"the file name says {found[0]}, but the file has {megabytes:.1f} MB"
            yield "lora-name-size", text
    if (found := _NAMED_PRECISION.search(name)) and found[1] not in info.precisions:
        stored = " and ".join(info.precisions)
        yield "lora-name-precision", f"the file name says {found[1]}, but it is stored as {stored}"


def _by_metadata(info: Info) -> Iterator[tuple[str, str]]:
    data = info.metadata
    for key, stated, kernels in (
        ("ss_network_dim", data.get("ss_network_dim"), False),
        ("ss_network_args: conv_dim", _network_args(info).get("conv_dim"), True),
    ):
        ranks = {m.module.rank for m in info.all.modules if _has_kernel(m.module.shape) == kernels}
        if ranks and (number := _number(stated)) is not None and number != max(ranks):
            text = f"the metadata says {key} {stated}, but the largest rank is {max(ranks)}"
            yield "lora-metadata-rank", text
    alphas = {each.alpha for each in info.all.modules if not _has_kernel(each.module.shape)}
    stated_alpha = _number(data.get("ss_network_alpha"))
    alpha = alphas.pop() if len(alphas) == 1 else None
    same = stated_alpha is None or alpha is None or _near(alpha, stated_alpha)
    if not same:
        yield (
            "lora-metadata-alpha",
            f"the metadata says ss_network_alpha {stated_alpha:g}, but alpha is {alpha:g}",
        )
    stated_base = (
        f"{data.get('ss_base_model_version', '')} {data.get('modelspec.architecture', '')}"
    )
    stated_xl = "xl" in stated_base.lower()
    if stated_base.strip() and info.shapes_of and stated_xl != (info.shapes_of == "SDXL"):
        text = f"the metadata says {stated_base.strip()}, but the shapes are of {info.shapes_of}"
        yield "lora-metadata-base", text
    if data.get("sshs_model_hash", info.data_sha256) != info.data_sha256:
        text = "the weights do not match the hash in the metadata (sshs_model_hash)"
        yield "lora-hash", text


def _by_content(info: Info) -> Iterator[tuple[str, str]]:
    present = {part.name for part in info.parts}
    strange = [m.module.name for m in info.all.modules if names.part(m.module.name) == names.OTHER]
    unclear = bool(info.left or strange)  # then a part that seems to be missing may be there
    lacking = [name for name in _text_encoders(info) if name not in present]
    if "U-Net" in present and lacking and not unclear:
        yield (
            "lora-no-text-encoder",
            f"no {' and no '.join(lacking)}: not trained, or left out by the extraction, as no "
            "weight changed by more than --min_diff (default 0.01)",
        )
    if "U-Net" not in present and not unclear:
        yield "lora-no-unet", "no U-Net"
    still = [each.module.name for each in info.all.modules if each.norm == 0]
    if still:
        yield "lora-still", f"{plural(len(still), 'module')} without effect: {_shown(still)}"
    without = sum(each.alpha is None for each in info.all.modules)
    if without:
        text = f"no alpha in {plural(without, 'module')}: sd-scripts uses the rank instead"
        yield "lora-no-alpha", text
    if len(info.precisions) > 1:
        yield "lora-mixed-precision", f"stored as {' and '.join(info.precisions)}"
    for kind, count in info.others.items():
        yield (
            "lora-not-measured",
            f"{plural(count, 'layer')} with {kind}, not included in the norms",
        )
    if info.left:
        yield "lora-left-over", f"not read, and not included in the norms: {info.left}"
    if strange:
        of_them = f"{plural(len(strange), 'module')} of no known part of a model"
        yield "lora-strange-names", f"{of_them}: {_shown(strange)}"


def _text_encoders(info: Info) -> tuple[str, ...]:
    """Return the text encoders that a LoRA for this model should have; none for FLUX."""
    expected = {"FLUX": (), "Stable Diffusion 1": _ONE, "Stable Diffusion 2": _ONE}
    return expected.get(info.shapes_of or "", ("text encoder 1", "text encoder 2"))


def _shown(still: Sequence[str]) -> str:
    if {names.block(name) for name in still} == {_UNUSED_BLOCK}:
        return f"all of {_UNUSED_BLOCK}, whose output SDXL does not use"
    return still[0] + (", …" if len(still) > 1 else "")


def _network_args(info: Info) -> dict[str, object]:
    try:
        found = json.loads(info.metadata.get("ss_network_args", "{}"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _number(stated: object) -> float | None:
    """Return the number in a metadata value; "Dynamic" and the like have none."""
    try:
        return float(stated) if isinstance(stated, (str, int, float)) else None
    except ValueError:
        return None


def _near(alpha: float, stated: float) -> bool:
    return abs(alpha - stated) <= ALPHA_TOLERANCE * abs(stated)


def _has_kernel(shape: tuple[int, ...]) -> bool:
    return any(size != 1 for size in shape[2:])
