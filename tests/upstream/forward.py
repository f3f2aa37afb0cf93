"""Run a model with a LoRA through sd-scripts' own loader; the trainer's Python runs this.

    python kp_miniature.py FOLDER forward.py BASE LORA OUT

OUT gets one pass through the U-Net and both text encoders, of the same random input every time.
"""

from __future__ import annotations

import sys

import torch
from library import sdxl_model_util
from networks import lora
from safetensors.torch import save_file


def main() -> None:
    base, file, out = sys.argv[1:]
    version = sdxl_model_util.MODEL_VERSION_SDXL_BASE_V1_0
    loaded = sdxl_model_util.load_models_from_sdxl_checkpoint(version, base, "cpu")
    text_1, text_2, unet = loaded[0], loaded[1], loaded[3]
    if file != "none":
        network, weights = lora.create_network_from_weights(1.0, file, None, [text_1, text_2], unet)
        network.apply_to([text_1, text_2], unet)
        print(network.load_state_dict(weights, strict=False))
    dice = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, 1000, (1, 77), generator=dice)
    context = loaded[0].config.hidden_size + loaded[1].config.hidden_size
    pooled = unet.label_emb[0][0].weight.shape[1]
    with torch.no_grad():
        results = {
            "text encoder 1": text_1(tokens, output_hidden_states=True)["hidden_states"][11],
            "text encoder 2": text_2(tokens, output_hidden_states=True)["hidden_states"][-2],
            "U-Net": unet(
                torch.randn(1, 4, 16, 16, generator=dice),
                torch.tensor([500]),
                torch.randn(1, 77, context, generator=dice),
                torch.randn(1, pooled, generator=dice),
            ),
        }
    save_file({name: t.float().contiguous() for name, t in results.items()}, out)


if __name__ == "__main__":
    main()
