"""Extract a LoRA from the difference of two of the toy's checkpoints."""

import argparse
import json

import torch
from library import args_util, sdxl_model_util
from safetensors.torch import save_file
from tqdm import tqdm

DTYPES = {"float": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16, None: None}
TARGETS = {  # model -> its name in the LoRA, and the modules whose layers take part
    "text_encoder1": ("lora_te1", ("self_attn", "mlp")),
    "text_encoder2": ("lora_te2", ("self_attn", "mlp")),
    "unet": ("lora_unet", ("transformer_blocks", "proj_in", "proj_out")),
}


def svd(args):
    """Write the LoRA that comes nearest to `model_tuned` - `model_org`."""
    org, tuned = (load(path) for path in (args.model_org, args.model_tuned))
    diffs, text_encoder_different = {}, False
    for model in TARGETS:
        for name, weight in layers(model, org[model], args.conv_dim).items():
            diff = layers(model, tuned[model], args.conv_dim)[name] - weight
            if model != "unet" and diff.abs().max() > args.min_diff:
                text_encoder_different = True
            diffs[name] = diff
    if not text_encoder_different:
        print("Text encoder is same. Extract U-Net only.")
        diffs = {name: diff for name, diff in diffs.items() if name.startswith("lora_unet")}
    save_dtype = DTYPES[args.save_precision]
    tensors = {}
    for name, mat in tqdm(list(diffs.items())):
        conv = mat.dim() == 4
        wanted = args.conv_dim if conv and mat.shape[2] > 1 else args.dim
        rank = min(wanted, mat.shape[0], mat.shape[1])
        shape = mat.shape
        mat = mat.flatten(1).to(args.device or "cpu")
        U, S, Vh = torch.linalg.svd(mat)
        U, Vh = U[:, :rank] * S[:rank], Vh[:rank]
        high = torch.quantile(torch.cat([U.flatten(), Vh.flatten()]), args.clamp_quantile)
        up, down = U.clamp(-high, high), Vh.clamp(-high, high)
        if conv:
            up, down = up.reshape(shape[0], rank, 1, 1), down.reshape(rank, *shape[1:])
        tensors[f"{name}.lora_up.weight"] = up.to("cpu", save_dtype).contiguous()
        tensors[f"{name}.lora_down.weight"] = down.to("cpu", save_dtype).contiguous()
        tensors[f"{name}.alpha"] = torch.tensor(float(rank)).to(save_dtype)
    metadata = {
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(args.dim),
        "ss_network_alpha": str(float(args.dim)),
        "ss_base_model_version": sdxl_model_util.MODEL_VERSION_SDXL_BASE_V1_0,
        "ss_network_args": json.dumps({}),
    }
    save_file(tensors, args.save_to, metadata=None if args.no_metadata else metadata)
    print(f"LoRA weights are saved to: {args.save_to}")


def load(path):
    """Return the three models that a LoRA can change."""
    version = sdxl_model_util.MODEL_VERSION_SDXL_BASE_V1_0
    first, second, _, unet, _, _ = sdxl_model_util.load_models_from_sdxl_checkpoint(
        version, path, "cpu"
    )
    return {"text_encoder1": first, "text_encoder2": second, "unet": unet}


def layers(model, module, conv_dim):
    """Return the weights that take part, by the LoRA's name for them."""
    prefix, parts = TARGETS[model]
    found = {}
    for name, layer in module.named_modules():
        inside = any(part in name for part in parts) and isinstance(layer, torch.nn.Linear)
        conv = conv_dim and model == "unet" and isinstance(layer, torch.nn.Conv2d)
        if inside or conv:
            found[f"{prefix}_{name.replace('.', '_')}"] = layer.weight.detach()
    return found


def setup_parser():
    parser = argparse.ArgumentParser()
    args_util.add_arguments(parser, "networks/extract_lora_from_models.py")
    return parser


if __name__ == "__main__":
    parser = setup_parser()
    args = parser.parse_args()
    svd(args)
