"""Bring a LoRA to a smaller rank."""

import argparse

import torch
from library import args_util
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tqdm import tqdm

DTYPES = {"float": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16, None: None}


def extract_conv(weight, rank):
    """Return up and down of the nearest convolution of that rank."""
    out, inside, high, wide = weight.shape
    U, S, Vh = torch.linalg.svd(weight.reshape(out, -1))
    rank = kept(S, rank)
    up = (U[:, :rank] * S[:rank]).reshape(out, rank, 1, 1)
    return up, Vh[:rank].reshape(rank, inside, high, wide)


def extract_linear(weight, rank):
    """Return up and down of the nearest matrix of that rank."""
    U, S, Vh = torch.linalg.svd(weight)
    rank = kept(S, rank)
    return U[:, :rank] * S[:rank], Vh[:rank]


def kept(singular, rank):
    """Return how many singular values stay; a layer that never moved keeps one."""
    return 1 if singular[0] <= 1e-6 else min(rank, len(singular))


def resize(args):
    """Write the LoRA with every module at `new_rank` or below."""
    assert args.new_rank or args.dynamic_method, "new_rank or dynamic_method is required"
    tensors = load_file(args.model)
    with safe_open(args.model, "pt") as opened:
        metadata = dict(opened.metadata() or {})
    device, save_dtype = args.device or "cpu", DTYPES[args.save_precision]
    resized = {}
    names = [key.removesuffix(".lora_down.weight") for key in tensors if "lora_down" in key]
    for name in tqdm(names):
        down = tensors[f"{name}.lora_down.weight"].float().to(device)
        up = tensors[f"{name}.lora_up.weight"].float().to(device)
        scale = float(tensors.get(f"{name}.alpha", down.shape[0])) / down.shape[0]
        product = scale * (up.flatten(1) @ down.flatten(1))
        if down.dim() == 4:
            rank = args.new_conv_rank or args.new_rank
            up, down = extract_conv(product.reshape(up.shape[0], *down.shape[1:]), rank)
        else:
            up, down = extract_linear(product, args.new_rank)
        dtype = save_dtype or tensors[f"{name}.lora_up.weight"].dtype
        resized[f"{name}.lora_up.weight"] = up.to("cpu", dtype).contiguous()
        resized[f"{name}.lora_down.weight"] = down.to("cpu", dtype).contiguous()
        resized[f"{name}.alpha"] = torch.tensor(float(down.shape[0])).to(dtype)
    metadata["ss_network_dim"] = str(args.new_rank)
    metadata["ss_network_alpha"] = str(float(args.new_rank))
    save_file(resized, args.save_to, metadata=metadata)
    print(f"saving LoRA to: {args.save_to}")


def setup_parser():
    parser = argparse.ArgumentParser()
    args_util.add_arguments(parser, "networks/resize_lora.py")
    return parser


if __name__ == "__main__":
    resize(setup_parser().parse_args())
