"""Make the miniature SDXL's checkpoint and tokenizers, with nothing downloaded.

    python kp_checkpoint.py --out FILE.safetensors --tokenizers DIR [--seed 0]

The checkpoint has the layout of SDXL's single file, written by the saver of sd-scripts itself, in
fp16 as the published model is. Its text encoders are nonsense: what is rehearsed is the path, not
the picture.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kp_miniature
import torch
from safetensors.torch import load_file, save_file

POSITION_IDS = "conditioner.embedders.0.transformer.text_model.embeddings.position_ids"
TOKENIZERS = ("openai_clip-vit-large-patch14", "laion_CLIP-ViT-bigG-14-laion2B-39B-b160k")
TOKENS = 49408  # SDXL's vocabulary; the last two begin and end a caption
CAPTION_TOKENS = 77
HEAD = 64  # width of an attention head of the text encoders


def write_checkpoint(file: Path, seed: int) -> None:
    """Write the miniature to `file`: same seed, same weights."""
    torch.manual_seed(seed)
    kp_miniature.shrink()
    from library import sdxl_model_util

    text1, text2, vae, unet = models()
    sdxl_model_util.save_stable_diffusion_checkpoint(
        str(file), text1, text2, unet, None, None, None, vae, torch.tensor(4.6), None, torch.float16
    )
    _add_position_ids(file)


def write_tokenizers(folder: Path) -> None:
    """Write both tokenizers as sd-scripts' `tokenizer_cache_dir` has them: one token per byte."""
    letters = _byte_letters()
    names = [*letters, *(f"{letter}</w>" for letter in letters)]
    vocabulary = {name: index for index, name in enumerate(names)}
    vocabulary |= {"<|startoftext|>": TOKENS - 2, "<|endoftext|>": TOKENS - 1}
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "model_max_length": CAPTION_TOKENS,
    }
    for name in TOKENIZERS:
        into = folder / name
        into.mkdir(parents=True, exist_ok=True)
        (into / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
        (into / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
        (into / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")


def models() -> tuple[Any, Any, Any, Any]:
    """Build text encoder 1, text encoder 2, VAE and U-Net of SDXL's size, or as small as asked."""
    from diffusers import AutoencoderKL
    from library import model_util, sdxl_model_util, sdxl_original_unet

    texts = [
        build(
            sdxl_model_util.CLIPTextConfig(
                vocab_size=TOKENS,
                hidden_size=width,
                intermediate_size=4 * width,
                num_hidden_layers=layers,
                num_attention_heads=width // HEAD,
                projection_dim=width,
                max_position_embeddings=CAPTION_TOKENS,
                hidden_act=activation,
                layer_norm_eps=1e-05,
            )
        )
        for build, width, layers, activation in (
            (sdxl_model_util.CLIPTextModel, 768, 12, "quick_gelu"),
            (sdxl_model_util.CLIPTextModelWithProjection, 1280, 32, "gelu"),
        )
    ]
    vae = AutoencoderKL(**model_util.create_vae_diffusers_config())
    return texts[0], texts[1], vae, sdxl_original_unet.SdxlUNet2DConditionModel()


def _add_position_ids(file: Path) -> None:
    # The published SDXL has this tensor; whether a release copes with it beside its transformers
    # is one of the things to rehearse.
    tensors = load_file(file)
    tensors[POSITION_IDS] = torch.arange(CAPTION_TOKENS).unsqueeze(0)
    save_file(tensors, file)


def _byte_letters() -> list[str]:
    """Return CLIP's printable letter for each byte, in CLIP's order: the printable ones first."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + n) for n in range(len(others))]


def main(write: Callable[[Path, int], None] = write_checkpoint) -> None:
    """Write what the command line asks for: the tokenizers, and what `write` makes of a seed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tokenizers", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    write_tokenizers(args.tokenizers)
    write(args.out, args.seed)


if __name__ == "__main__":
    main()
