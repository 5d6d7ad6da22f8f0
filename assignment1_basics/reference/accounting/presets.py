"""Shapes of models that everybody knows, in the architecture of this assignment.

The GPT-2 shapes (Radford et al. 2019, table 2) keep GPT-2's widths, d_ff = 4 d_model included; with
SwiGLU's third matrix they have about a third more parameters than GPT-2 itself. The Llama shapes
are those models exactly (Touvron et al. 2023, "Llama 2"; Grattafiori et al. 2024, "The Llama 3 herd
of models").
"""

from assignment1_basics.reference.model.config import TransformerConfig


def _gpt2(n_layers: int, d_model: int, n_heads: int) -> TransformerConfig:
    return TransformerConfig(50_257, 1024, d_model, n_layers, n_heads, d_ff=4 * d_model)


PRESETS = {
    "handout": TransformerConfig(),
    "gpt2-small": _gpt2(12, 768, 12),
    "gpt2-medium": _gpt2(24, 1024, 16),
    "gpt2-large": _gpt2(36, 1280, 20),
    "gpt2-xl": _gpt2(48, 1600, 25),
    "134m": TransformerConfig(32_000, 1024, 768, n_layers=12, n_heads=12, d_ff=2048),
    "1.26b": TransformerConfig(32_000, 2048, 2048, n_layers=22, n_heads=16, d_ff=5632),
    "llama2-7b": TransformerConfig(32_000, 4096, 4096, n_layers=32, n_heads=32, d_ff=11_008),
    "llama3-8b": TransformerConfig(
        128_256, 8192, 4096, n_layers=32, n_heads=32, n_kv_heads=8, d_ff=14_336, rope_theta=5e5
    ),
}
