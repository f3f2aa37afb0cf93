"""Check a base model's header against the training: what fails, or goes wrong without a word.

Where it shows (sd-scripts v0.10.1): library/sdxl_model_util.py, load_models_from_sdxl_checkpoint
raises for tensors that are missing or of another shape; sdxl_train.py trains whatever else there
is, towards the noise or, with v_parameterization, towards v.
"""

from __future__ import annotations

from collections.abc import Iterator

from kohya_presets.loras.weights import Header
from kohya_presets.presets.preset import Table
from kohya_presets.problems import Place, Problem, listed
from kohya_presets.sdscripts.scripts import TRAINERS, makes_lora

CODES = ("base-predicts-v", "base-predicts-noise", "base-zero-snr", "base-precision")  # conflicts
INPUT = "model.diffusion_model.input_blocks.0.0.weight"  # its second size: channels of a latent
PREDICTION = "modelspec.prediction_type"  # "epsilon" or "v": library/sai_model_spec.py
# Empty tensors that tools put into a checkpoint to say what it was trained for.
V_PRED, ZERO_SNR = "v_pred", "ztsnr"
_PARTS = (("model.diffusion_model.", "U-Net"), ("first_stage_model.", "VAE"))
_FULL = ("F64", "F32", "F16", "BF16", "I64", "I32")  # the last two: position_ids
_LATENT = 4  # channels


def problems(header: Header, script: str, train: Table) -> Iterator[Problem]:
    """Yield why a checkpoint should not be trained by `script` with these options.

    Nothing of FLUX, whose model comes in parts, fp8 ones among them.
    """
    if script in TRAINERS and TRAINERS[script].model == "FLUX":
        return
    where = Place(header.file)
    there = {part for name in header.tensors for prefix, part in _PARTS if name.startswith(prefix)}
    lacks = [part for _, part in _PARTS if part not in there]
    if lacks:
        message = f"this checkpoint has no {listed(lacks)}; sd-scripts needs a complete one"
        hint = "Use the complete checkpoint of the model, with its VAE and text encoders."
        yield Problem("base-incomplete", "error", where, message, hint)
    yield from _channels(header, train, where)
    yield from _prediction(header, train, where)
    if not (makes_lora(script) and train.get("fp8_base")):  # which makes it fp8 anyway
        yield from _precision(header, where)


def _channels(header: Header, train: Table, where: Place) -> Iterator[Problem]:
    first = header.tensors.get(INPUT)
    channels = first.shape[1] if first and len(first.shape) > 1 else _LATENT
    inpainting = channels == 9
    if channels == _LATENT or (inpainting and train.get("train_inpainting")):
        return
    kind = "an inpainting model" if inpainting else "a model for another task"
    message = f"this is {kind}: its U-Net takes {channels} input channels, and training gives 4"
    hint = "Use the normal version of the model, which has 4 input channels."
    if inpainting:
        hint += " Or add --set train.train_inpainting=true, with sd-scripts v0.10.4 or newer."
    yield Problem("base-channels", "error", where, message, hint)


def _prediction(header: Header, train: Table, where: Place) -> Iterator[Problem]:
    said = header.metadata.get(PREDICTION, "").lower()
    zero = ZERO_SNR in header.tensors
    sign = V_PRED if V_PRED in header.tensors else ZERO_SNR if zero else None
    says = f"its header has the key {sign}" if sign else f"its header says {PREDICTION} = {said}"
    also = " --set train.zero_terminal_snr=true" if zero else ""
    if sign or said.startswith("v"):
        if not train.get("v_parameterization"):
            message = f"this model predicts v ({says}), but would be trained to predict noise"
            hint = f"Add --set train.v_parameterization=true{also}."
            yield Problem(CODES[0], "error", where, message, hint)
        elif zero and not train.get("zero_terminal_snr"):
            message = f"this model was trained with a zero terminal SNR ({says})"
            hint = "Add --set train.zero_terminal_snr=true."
            yield Problem(CODES[2], "warning", where, message, hint)
    elif train.get("v_parameterization"):
        if said:
            message = f"this model predicts noise ({says}), but would be trained to predict v"
        else:
            message = "v_parameterization is set, but nothing in this file says that it predicts v"
        hint = "Remove it with --set train.v_parameterization=unset, unless you want to convert it."
        yield Problem(CODES[1], "error" if said else "warning", where, message, hint)


def _precision(header: Header, where: Place) -> Iterator[Problem]:
    """Yield a problem of matrices in fp8 or quantized: most of what training changes is lost."""
    matrices = [t.dtype for t in header.tensors.values() if len(t.shape) > 1]
    low = sorted({dtype for dtype in matrices if dtype not in _FULL})
    if low:
        names = listed(["fp8" if name.startswith("F8_") else name for name in low])
        count = sum(dtype in low for dtype in matrices)
        message = f"{count} of {len(matrices)} weight matrices are in {names}: too coarse to train"
        hint = "Use the checkpoint of the model in fp16, bf16 or fp32."
        yield Problem(CODES[3], "error", where, message, hint)
