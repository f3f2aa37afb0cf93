"""SDXL in full size and without data, as sdxl_train.py has it once training has started.

Runs in a trainer environment with sd-scripts importable (v0.10.0 and newer). The models are built
by sd-scripts itself, from an empty checkpoint; one step follows what sdxl_train.py does with them.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from meter import Meter
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional

ROOT = Path(__file__).parents[2]
sys.path += [str(ROOT / "wrapper/rehearsal"), str(ROOT)]

from patches.adacoor import kp_adacoor  # noqa: E402

TEXT_ENCODERS = ("text_encoder1", "text_encoder2")
TRAINABLE = ("unet", *TEXT_ENCODERS)
PRECISIONS = {  # mixed_precision, or full_...: the dtype it computes in, and that of the weights
    "no": (torch.float32, torch.float32),
    "fp16": (torch.float16, torch.float32),
    "bf16": (torch.bfloat16, torch.float32),
    "full_fp16": (torch.float16, torch.float16),
    "full_bf16": (torch.bfloat16, torch.bfloat16),
}
RATE, AUTOMATIC = {"lr": 1e-6}, {"lr": 1.0}
FOREACH = {**RATE, "foreach": True}  # torch's own choice on a GPU
NESTEROV = {"nesterov": True, "momentum": 0.9}
BNB, DADAPT, FREE = "bitsandbytes.optim", "dadaptation", "schedulefree"
OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {  # by optimizer_type in small letters
    "adamw": ("torch.optim.AdamW", FOREACH),
    "adam": ("torch.optim.Adam", FOREACH),
    "nadam": ("torch.optim.NAdam", FOREACH),
    "radam": ("torch.optim.RAdam", FOREACH),
    "rmsprop": ("torch.optim.RMSprop", FOREACH),
    "sgd": ("torch.optim.SGD", FOREACH),
    "sgdnesterov": ("torch.optim.SGD", {**FOREACH, **NESTEROV}),
    "sgdnesterov8bit": (f"{BNB}.SGD8bit", {**RATE, **NESTEROV}),
    "adamw8bit": (f"{BNB}.AdamW8bit", RATE),
    "pagedadamw": (f"{BNB}.PagedAdamW", RATE),
    "pagedadamw8bit": (f"{BNB}.PagedAdamW8bit", RATE),
    "pagedadamw32bit": (f"{BNB}.PagedAdamW32bit", RATE),
    "lion": ("lion_pytorch.Lion", RATE),
    "lion8bit": (f"{BNB}.Lion8bit", RATE),
    "pagedlion8bit": (f"{BNB}.PagedLion8bit", RATE),
    "ademamix8bit": (f"{BNB}.AdEMAMix8bit", RATE),
    "dadaptadampreprint": (f"{DADAPT}.experimental.DAdaptAdamPreprint", AUTOMATIC),
    "dadaptadagrad": (f"{DADAPT}.DAdaptAdaGrad", AUTOMATIC),
    "dadaptadam": (f"{DADAPT}.DAdaptAdam", AUTOMATIC),
    "dadaptadan": (f"{DADAPT}.DAdaptAdan", AUTOMATIC),
    "dadaptadanip": (f"{DADAPT}.experimental.DAdaptAdanIP", AUTOMATIC),
    "dadaptlion": (f"{DADAPT}.DAdaptLion", AUTOMATIC),
    "dadaptsgd": (f"{DADAPT}.DAdaptSGD", AUTOMATIC),
    "prodigy": ("prodigyopt.Prodigy", AUTOMATIC),
    "adafactor": ("transformers.optimization.Adafactor", {"relative_step": True}),
    "adafactor beta1": (
        "transformers.optimization.Adafactor",
        {"relative_step": True, "beta1": 0.9},
    ),
    "adamwschedulefree": (f"{FREE}.AdamWScheduleFree", RATE),
    "radamschedulefree": (f"{FREE}.RAdamScheduleFree", RATE),
    "sgdschedulefree": (f"{FREE}.SGDScheduleFree", RATE),
    "adacoor": ("patches.adacoor.kp_adacoor.AdaCoor", {}),
    "adacoor float32": ("patches.adacoor.kp_adacoor.AdaCoor", {"state_dtype": "float32"}),
}
TOKENS, END_TOKEN, CONTEXT, POOLED = 77, 49407, 2048, 2816


class Sdxl:
    """The models of one training, of which those in `trained` are trained."""

    def __init__(
        self,
        precision: str,
        attention: str = "plain",
        checkpointing: bool = False,
        trained: Iterable[str] = ("unet",),
    ) -> None:
        self.compute, weights = PRECISIONS[precision]
        self.mode = FakeTensorMode()
        self.models = built()
        for name, model in self.models.items():
            on = name in trained
            model.requires_grad_(on).train(on)
            self._fill(model, weights if on else self.compute)
            if on and self.compute != torch.float32:
                _as_accelerate_prepares(model, self.compute)
            if on and checkpointing and name in TEXT_ENCODERS:
                model.gradient_checkpointing_enable()
        # sdxl_train.py takes hidden state 11, so that what comes after it is never trained.
        text = self.models["text_encoder1"].text_model
        for module in (text.encoder.layers[-1], text.final_layer_norm):
            module.requires_grad_(False)
        unet = self.models["unet"]
        unet.set_use_memory_efficient_attention(False, attention == "mem_eff_attn")
        unet.set_use_sdpa(attention == "efficient")
        unet.set_gradient_checkpointing(checkpointing)

    def trained(self, name: str) -> list[nn.Parameter]:
        """Return the parameters of a model that get gradients."""
        return [p for p in self.models[name].parameters() if p.requires_grad]

    def meter(self, order: list[nn.Parameter] | None = None) -> Meter:
        """Return a meter of all but the weights; `order` gets each weight as its gradient comes."""
        meter = Meter([p for name in TRAINABLE for p in self.models[name].parameters()])
        for name in TRAINABLE:
            for parameter in self.trained(name):
                parameter.register_post_accumulate_grad_hook(meter.arrived)
                if order is not None:
                    parameter.register_post_accumulate_grad_hook(order.append)
        return meter

    def encode_text(self, chunks: int) -> Sequence[Tensor]:
        """Return both text encoders' hidden states and the pooled one, for one caption."""
        # Of sd-scripts v0.10.0 and newer, once SDXL's sizes are settled.
        from library.strategy_sdxl import SdxlTextEncodingStrategy

        tokenizer = SimpleNamespace(model_max_length=TOKENS, eos_token_id=END_TOKEN)
        texts = [self.models[name] for name in TEXT_ENCODERS]
        with self.mode:
            ids = torch.zeros(chunks, 1, TOKENS, dtype=torch.long)
            result: Sequence[Tensor] = SdxlTextEncodingStrategy().encode_tokens(
                SimpleNamespace(tokenizer1=tokenizer, tokenizer2=tokenizer),
                [*texts, texts[1]],
                [ids, ids],
            )
        return result

    def encode_image(self, width: int, height: int, batch: int) -> None:
        """Make latents of images, as is done for every step where they are not cached."""
        vae = self.models["vae"]
        with self.mode, torch.no_grad():
            images = torch.empty(batch, 3, height, width, dtype=vae.dtype)
            vae.encode(images).latent_dist.sample()

    def step(self, width: int, height: int, batch: int, *, texts: bool) -> None:
        """Predict noise and go back; with `texts`, from captions and not from ready embeddings."""
        shape = (batch, 4, height // 8, width // 8)
        half = {"dtype": self.compute}
        with self.mode:
            if texts:
                first, second, pooled = self.encode_text(batch)
                context = torch.cat([first, second], dim=2).to(self.compute)
                sizes = torch.empty(batch, POOLED - pooled.shape[1], **half)
                vector = torch.cat([pooled, sizes], dim=1).to(self.compute)
            else:
                context = torch.empty(batch, TOKENS, CONTEXT, **half)
                vector = torch.empty(batch, POOLED, **half)
            latents, times = torch.empty(shape, **half), torch.zeros(batch, dtype=torch.long)
            with torch.autocast("cpu", self.compute, enabled=self.compute != torch.float32):
                noise = self.models["unet"](latents, times, context, vector)
            target = torch.empty(shape)
            loss = functional.mse_loss(noise.float(), target, reduction="none")
            loss.mean([1, 2, 3]).mean().backward()

    def _fill(self, model: nn.Module, dtype: torch.dtype) -> None:
        """Give tensors without data to a model that was built without tensors."""
        with self.mode:
            for module in model.modules():
                for name, parameter in module._parameters.items():
                    if parameter is not None:
                        tensor = torch.empty(parameter.shape, dtype=dtype)
                        module._parameters[name] = nn.Parameter(tensor, parameter.requires_grad)
                for name, buffer in module._buffers.items():
                    if buffer is not None:
                        module._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype)


def built() -> dict[str, Any]:
    """Return SDXL's models on the meta device, as sd-scripts builds them."""
    import kp_miniature  # it repairs torchvision, which sd-scripts imports

    kp_miniature.repair_torchvision()
    from library import model_util, sdxl_model_util

    with (
        mock.patch.object(sdxl_model_util, "load_file", return_value={}),
        mock.patch.object(sdxl_model_util, "_load_state_dict_on_device"),
        mock.patch.object(model_util, "convert_ldm_vae_checkpoint"),
    ):
        made = sdxl_model_util.load_models_from_sdxl_checkpoint("", "empty.safetensors", "cpu")
    text_encoder1, text_encoder2, vae, unet, *_ = made
    return {
        "unet": unet,
        "text_encoder1": text_encoder1,
        "text_encoder2": text_encoder2,
        "vae": vae,
    }


def optimizer(name: str, parameters: Any) -> Any:
    """Return the optimizer of that name, one of `OPTIMIZERS`, as sd-scripts makes it on a GPU."""
    path, named = OPTIMIZERS[name]
    if name.startswith("adacoor"):
        kp_adacoor.AT_A_TIME["cpu"] = kp_adacoor.AT_A_TIME["cuda"]
    module, _, kind = path.rpartition(".")
    made = getattr(importlib.import_module(module), kind)(parameters, **named)
    if hasattr(made, "train"):
        made.train()
    return _paged(made) if getattr(made, "is_paged", False) else made


def _as_accelerate_prepares(model: Any, dtype: torch.dtype) -> None:
    from accelerate.utils.operations import convert_outputs_to_fp32  # slow to import

    model.forward = convert_outputs_to_fp32(torch.autocast("cpu", dtype)(model.forward))


def _paged(optimizer: Any) -> Any:
    """Leave out what lies in memory that the GPU gives to the CPU when it is short of it."""
    make = optimizer.get_state_buffer

    def buffer(p: Tensor, dtype: torch.dtype = torch.float32) -> Any:
        return make(p, dtype) if p.numel() < 1e5 else torch.empty(0, dtype=dtype)

    optimizer.get_state_buffer = buffer
    return optimizer
