"""Run diffusers' SDXL, as small as the miniature, with a LoRA; an environment of its own runs this.

    python diffusers_forward.py LORA OUT

OUT gets one pass through the U-Net and both text encoders, of the same random weights and input
every time; LORA is a file, or "none". Widths and layers are those of kp_miniature.py.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

CHANNELS = 32
WIDTHS, LAYERS = (64, 96), (12, 4)


def main() -> None:
    lora, out = sys.argv[1:]
    torch.manual_seed(0)
    pipeline = _pipeline()
    if lora != "none":
        file = Path(lora)
        pipeline.load_lora_weights(str(file.parent), weight_name=file.name)
    tokens = torch.randint(0, 1000, (1, 77), generator=torch.Generator().manual_seed(1))
    dice = torch.Generator().manual_seed(2)
    with torch.no_grad():
        results = {
            "text encoder 1": pipeline.text_encoder(tokens)[0],
            "text encoder 2": pipeline.text_encoder_2(tokens).last_hidden_state,
            "U-Net": pipeline.unet(
                torch.randn(1, 4, 16, 16, generator=dice),
                500,
                torch.randn(1, 77, sum(WIDTHS), generator=dice),
                added_cond_kwargs={
                    "text_embeds": torch.randn(1, WIDTHS[1], generator=dice),
                    "time_ids": torch.tensor([[128, 128, 0, 0, 128, 128]]),
                },
            ).sample,
        }
    save_file({name: t.float().contiguous() for name, t in results.items()}, out)


def _pipeline() -> StableDiffusionXLPipeline:
    texts = [
        CLIPTextConfig(
            hidden_size=width,
            projection_dim=width,
            intermediate_size=2 * width,
            num_hidden_layers=layers,
            num_attention_heads=4,
        )
        for width, layers in zip(WIDTHS, LAYERS, strict=True)
    ]
    unet = UNet2DConditionModel(
        block_out_channels=(CHANNELS, 2 * CHANNELS, 4 * CHANNELS),
        layers_per_block=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=1,
        attention_head_dim=(2, 4, 8),
        cross_attention_dim=sum(WIDTHS),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=6 * 256 + WIDTHS[1],
    )
    return StableDiffusionXLPipeline(
        vae=AutoencoderKL(block_out_channels=(32,)),
        text_encoder=CLIPTextModel(texts[0]),
        text_encoder_2=CLIPTextModelWithProjection(texts[1]),
        tokenizer=None,
        tokenizer_2=None,
        unet=unet,
        scheduler=EulerDiscreteScheduler(),
        add_watermarker=False,
    )


if __name__ == "__main__":
    main()
