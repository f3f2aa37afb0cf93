"""Make the toy's checkpoint: `make_checkpoint.py --out FILE --tokenizers DIR [--seed N]`."""

import argparse
from pathlib import Path

import torch
from library import sdxl_model_util


def main():
    """Write the checkpoint in fp16, as the published SDXL is; same seed, same weights."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    parser.add_argument("--tokenizers", type=Path, required=True)  # left empty: bytes are tokens
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    first, second, vae, unet = sdxl_model_util.build()
    with torch.no_grad():
        for model in (first, second):
            for parameter in model.parameters():
                if parameter.dim() > 1:  # norms keep their gain of 1, or attention gets no gradient
                    parameter.mul_(0.1)  # as small as CLIP's: what 1e-6 moves must show in fp16
    args.tokenizers.mkdir(parents=True, exist_ok=True)
    sdxl_model_util.save_stable_diffusion_checkpoint(
        *(args.out, first, second, unet, None, None, None, vae, torch.tensor(4.6), None),
        torch.float16,
    )


if __name__ == "__main__":
    main()
