"""A toy with SDXL's parts and key names, its loader and its saver."""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

MODEL_VERSION_SDXL_BASE_V1_0 = "sdxl_base_v1-0"
TOKENS, CAPTION = 512, 32
TEXT_1, TEXT_2, UNET, LATENT = 48, 64, 64, 4
PREFIX_UNET = "model.diffusion_model."
PREFIX_1 = "conditioner.embedders.0.transformer."
PREFIX_2 = "conditioner.embedders.1.model."
PREFIX_VAE = "first_stage_model."


class Attention(nn.Module):
    """One head; `context` is what keys and values are made of."""

    def __init__(self, width, context, names, out):
        super().__init__()
        self.names, self.out = names, out
        for name, size in zip(names, (width, context, context), strict=True):
            self.add_module(name, nn.Linear(size, width))
        if out == "to_out":
            self.to_out = nn.ModuleList([nn.Linear(width, width)])
        else:
            self.out_proj = nn.Linear(width, width)

    def forward(self, x, context):
        q, k, v = (
            getattr(self, n)(s) for n, s in zip(self.names, (x, context, context), strict=True)
        )
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.to_out[0](mixed) if self.out == "to_out" else self.out_proj(mixed)


class CLIPLayer(nn.Module):
    """A layer of a text encoder."""

    def __init__(self, width):
        super().__init__()
        self.self_attn = Attention(width, width, ("q_proj", "k_proj", "v_proj"), "out_proj")
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = nn.ModuleDict(
            {"fc1": nn.Linear(width, 2 * width), "fc2": nn.Linear(2 * width, width)}
        )

    def forward(self, x):
        y = self.layer_norm1(x)
        x = x + self.self_attn(y, y)
        return x + self.mlp["fc2"](torch.relu(self.mlp["fc1"](self.layer_norm2(x))))


class CLIPText(nn.Module):
    """A text encoder: tokens of shape (batch, CAPTION) to states of width `width`."""

    def __init__(self, width, layers=2):
        super().__init__()
        self.embeddings = nn.ModuleDict(
            {
                "token_embedding": nn.Embedding(TOKENS, width),
                "position_embedding": nn.Embedding(CAPTION, width),
            }
        )
        self.encoder = nn.ModuleDict({"layers": nn.ModuleList(map(CLIPLayer, [width] * layers))})
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(self, tokens):
        places = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.embeddings["token_embedding"](tokens)
        x = x + self.embeddings["position_embedding"](places)
        for layer in self.encoder["layers"]:
            x = layer(x)
        return self.final_layer_norm(x)


class CLIPTextModel(nn.Module):
    """Holds the encoder under the name that the checkpoint has."""

    def __init__(self, width):
        super().__init__()
        self.text_model = CLIPText(width)

    def forward(self, tokens):
        return self.text_model(tokens)


class BasicTransformerBlock(nn.Module):
    """Attention to itself, to the caption, then feed-forward."""

    def __init__(self, width, context):
        super().__init__()
        names = ("to_q", "to_k", "to_v")
        self.attn1 = Attention(width, width, names, "to_out")
        self.attn2 = Attention(width, context, names, "to_out")
        self.ff = nn.ModuleDict(
            {
                "net": nn.ModuleList(
                    [
                        nn.ModuleDict({"proj": nn.Linear(width, 2 * width)}),
                        nn.Identity(),
                        nn.Linear(2 * width, width),
                    ]
                )
            }
        )
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))

    def forward(self, x, context):
        y = self.norm1(x)
        x = x + self.attn1(y, y)
        x = x + self.attn2(self.norm2(x), context)
        return x + self.ff["net"][2](torch.relu(self.ff["net"][0]["proj"](self.norm3(x))))


class Transformer2DModel(nn.Module):
    """Blocks over the pixels of a latent."""

    def __init__(self, width, context):
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.proj_in, self.proj_out = nn.Linear(width, width), nn.Linear(width, width)
        self.transformer_blocks = nn.ModuleList([BasicTransformerBlock(width, context)])

    def forward(self, x, context):
        batch, width, height, wide = x.shape
        y = self.proj_in(self.norm(x).flatten(2).transpose(1, 2))
        for block in self.transformer_blocks:
            y = block(y, context)
        return x + self.proj_out(y).transpose(1, 2).reshape(batch, width, height, wide)


class SdxlUNet2DConditionModel(nn.Module):
    """Predicts the noise in a latent, given time, sizes and caption."""

    def __init__(self, width=UNET, context=TEXT_1 + TEXT_2):
        super().__init__()
        self.time_embed = nn.Sequential(nn.Linear(1, width), nn.SiLU(), nn.Linear(width, width))
        self.label_emb = nn.Sequential(
            nn.Sequential(nn.Linear(TEXT_2, width), nn.SiLU(), nn.Linear(width, width))
        )
        self.input_blocks = nn.ModuleList(
            [
                nn.ModuleList([nn.Conv2d(LATENT, width, 3, padding=1)]),
                nn.ModuleList(
                    [nn.Conv2d(width, width, 3, padding=1), Transformer2DModel(width, context)]
                ),
            ]
        )
        self.middle_block = nn.ModuleList([nn.Identity(), Transformer2DModel(width, context)])
        self.out = nn.Sequential(nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, LATENT, 1))

    def forward(self, x, timesteps, context, pooled):
        embedded = self.time_embed(timesteps[:, None] / 1000) + self.label_emb(pooled)
        x = self.input_blocks[0][0](x) + embedded[:, :, None, None]
        x = self.input_blocks[1][1](self.input_blocks[1][0](x), context)
        return self.out(self.middle_block[1](x, context))


class AutoencoderKL(nn.Module):
    """One convolution from 8 x 8 pixels to a latent's pixel, and one back."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.ModuleDict({"conv_in": nn.Conv2d(3, LATENT, 8, stride=8)})
        self.decoder = nn.ModuleDict({"conv_out": nn.ConvTranspose2d(LATENT, 3, 8, stride=8)})

    def encode(self, pixels):
        return self.encoder["conv_in"](pixels)

    def decode(self, latents):
        return self.decoder["conv_out"](latents)


def build():
    """Return text encoder 1, text encoder 2, VAE and U-Net with weights drawn anew."""
    return (
        CLIPTextModel(TEXT_1),
        CLIPTextModel(TEXT_2),
        AutoencoderKL(),
        SdxlUNet2DConditionModel(),
    )


def load_models_from_sdxl_checkpoint(version, path, map_location, dtype=None, disable_mmap=False):
    """Return both text encoders, VAE, U-Net, logit scale and (epoch, step) of a checkpoint."""
    tensors = {k: v.float() for k, v in load_file(path, device=str(map_location)).items()}
    scale = tensors.pop(f"{PREFIX_2}logit_scale", None)
    models = build()
    for model, prefix in zip(models, (PREFIX_1, PREFIX_2, PREFIX_VAE, PREFIX_UNET), strict=True):
        part = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        model.load_state_dict(_from_open_clip(part) if prefix == PREFIX_2 else part)
    return (*models, scale, None)


def save_stable_diffusion_checkpoint(
    output_file,
    text_encoder1,
    text_encoder2,
    unet,
    epochs,
    steps,
    ckpt_info,
    vae,
    logit_scale,
    metadata,
    save_dtype=None,
):
    """Write SDXL's single file; return how many tensors."""
    tensors = {}
    parts = (
        (PREFIX_UNET, unet.state_dict()),
        (PREFIX_1, text_encoder1.state_dict()),
        (PREFIX_2, _to_open_clip(text_encoder2.state_dict())),
        (PREFIX_VAE, vae.state_dict()),
    )
    for prefix, part in parts:
        for key, value in part.items():
            tensors[prefix + key] = value.detach().to("cpu", save_dtype).contiguous()
    if logit_scale is not None:
        tensors[f"{PREFIX_2}logit_scale"] = logit_scale
    save_file(tensors, output_file, metadata=metadata)
    return len(tensors)


def save_diffusers_checkpoint(output_dir, text_encoder1, text_encoder2, unet, source, vae, **rest):
    """Write one file for each model into a folder."""
    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    named = {"text_encoder": text_encoder1, "text_encoder_2": text_encoder2, "unet": unet}
    for name, model in {**named, "vae": vae}.items():
        save_file(dict(model.state_dict()), folder / f"{name}.safetensors")


# Text encoder 2 lies in the checkpoint under OpenCLIP's names, its three projections in one tensor.
_RENAMED = (
    ("text_model.encoder.layers.", "transformer.resblocks."),
    ("layer_norm1.", "ln_1."),
    ("layer_norm2.", "ln_2."),
    ("mlp.fc1.", "mlp.c_fc."),
    ("mlp.fc2.", "mlp.c_proj."),
    ("self_attn.out_proj.", "attn.out_proj."),
    ("text_model.embeddings.token_embedding.", "token_embedding."),
    ("text_model.embeddings.position_embedding.weight", "positional_embedding"),
    ("text_model.final_layer_norm.", "ln_final."),
)


def _to_open_clip(part):
    found = {}
    for key, value in part.items():
        if ".q_proj." in key:
            three = [part[key.replace(".q_proj.", f".{x}_proj.")] for x in "qkv"]
            key = key.replace("self_attn.q_proj.", "attn.in_proj_")
            value = torch.cat(three)
        elif ".k_proj." in key or ".v_proj." in key:
            continue
        for ours, theirs in _RENAMED:
            key = key.replace(ours, theirs)
        found[key] = value
    return found


def _from_open_clip(part):
    found = {}
    for key, value in part.items():
        for ours, theirs in _RENAMED:
            key = key.replace(theirs, ours)
        if "attn.in_proj_" in key:
            for letter, third in zip("qkv", value.chunk(3), strict=True):
                name = key.replace("attn.in_proj_", f"self_attn.{letter}_proj.")
                found[name] = third.clone()
        else:
            found[key] = value
    return found
