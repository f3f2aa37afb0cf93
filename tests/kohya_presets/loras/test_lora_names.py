from __future__ import annotations

import pytest

from kohya_presets.loras import names

UNET = "lora_unet_"


@pytest.mark.parametrize(
    ("stored", "ours"),
    [
        ("lora_te1_text_model_encoder_layers_3_mlp_fc2",) * 2,
        ("lora_unet_input_blocks_4_1_proj_in",) * 2,
        ("unet.down_blocks.1.attentions.0.proj_in", f"{UNET}input_blocks_4_1_proj_in"),
        ("base_model.model.down_blocks.2.attentions.1.x", f"{UNET}input_blocks_8_1_x"),
        ("unet.up_blocks.0.attentions.2.x", f"{UNET}output_blocks_2_1_x"),
        ("unet.mid_block.attentions.0.x", f"{UNET}middle_block_1_x"),
        ("unet.mid_block.resnets.1.conv1", f"{UNET}middle_block_2_in_layers_2"),
        ("unet.up_blocks.1.resnets.0.conv_shortcut", f"{UNET}output_blocks_3_0_skip_connection"),
        ("unet.down_blocks.0.downsamplers.0.conv", f"{UNET}input_blocks_3_0_op"),
        ("unet.up_blocks.1.upsamplers.0.conv", f"{UNET}output_blocks_5_2_conv"),
        ("lora_unet_down_blocks_1_attentions_1_x", f"{UNET}input_blocks_5_1_x"),
        ("unet.conv_in", f"{UNET}input_blocks_0_0"),
        (
            "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.processor.to_out",
            f"{UNET}input_blocks_4_1_transformer_blocks_0_attn1_to_out_0",
        ),
        (
            "unet.mid_block.attentions.0.attn1.processor.to_q_lora",
            f"{UNET}middle_block_1_attn1_to_q",
        ),
        (
            "unet.mid_block.attentions.0.attn1.processor.to_out_lora",
            f"{UNET}middle_block_1_attn1_to_out_0",
        ),
        (
            "text_encoder_2.text_model.encoder.layers.7.self_attn.q_proj",
            "lora_te2_text_model_encoder_layers_7_self_attn_q_proj",
        ),
        (
            "text_encoder.text_model.encoder.layers.0.mlp.fc1",
            "lora_te1_text_model_encoder_layers_0_mlp_fc1",
        ),
    ],
)
def test_a_module_has_one_name_whoever_wrote_it(stored: str, ours: str) -> None:
    assert names.ours(stored) == ours


@pytest.mark.parametrize(
    ("module", "part", "block"),
    [
        ("lora_unet_input_blocks_4_1_proj_in", "U-Net", "input_blocks_4"),
        ("lora_unet_middle_block_1_proj_in", "U-Net", "middle_block"),
        ("lora_unet_out_2", "U-Net", "unet other"),
        ("lora_unet_double_blocks_7_img_mlp_0", "U-Net", "double_blocks_7"),
        ("lora_te1_text_model_encoder_layers_0_mlp_fc1", "text encoder 1", "te1 layer 0"),
        ("lora_te2_text_model_encoder_layers_31_mlp_fc1", "text encoder 2", "te2 layer 31"),
        ("lora_te_text_model_encoder_layers_1_mlp_fc1", "text encoder", "te layer 1"),
        ("lora_transformer_x", "other", "other"),
    ],
)
def test_a_module_belongs_to_a_part_and_a_block(module: str, part: str, block: str) -> None:
    assert (names.part(module), names.block(module)) == (part, block)


def test_modules_are_sorted_as_the_model_runs() -> None:
    in_order = [
        "lora_unet_input_blocks_4_1_x",
        "lora_unet_input_blocks_10_1_x",
        "lora_unet_middle_block_1_x",
        "lora_unet_output_blocks_0_1_x",
        "lora_unet_out_2",
        "lora_te1_text_model_encoder_layers_9_x",
        "lora_te1_text_model_encoder_layers_11_x",
        "lora_te2_text_model_encoder_layers_0_x",
        "something",
    ]
    assert sorted({*in_order}, key=names.order) == in_order
