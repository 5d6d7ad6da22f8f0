"""Parameters of the Transformer, by part.

With L layers of width d, d_kv = n_kv_heads * d_head, a SwiGLU of inner width d_ff and a vocabulary
of V, there are

    V d  token embeddings,         V d  output projection (none of its own when tied),
    L (2 d^2 + 2 d d_kv)  attention: query and output, key and value,
    L 3 d d_ff  feed-forward (2 d d_ff without the gate),
    (2 L + 1) d  norm gains.

For d_ff = 8/3 d the blocks hold 12 L d^2, as many as in Kaplan et al. 2020 ("Scaling laws for
neural language models"), table 1, where the feed-forward network has two matrices of width 4 d.
"""

from assignment1_basics.reference.model.config import TransformerConfig


def parameters_by_part(config: TransformerConfig) -> dict[str, int]:
    """Return the number of trainable parameters of every part of the model."""
    d_model, d_kv = config.d_model, config.kv_heads * config.d_head
    matrices = 3 if config.feed_forward == "swiglu" else 2
    return {
        "token embeddings": config.vocab_size * d_model,
        "attention": config.n_layers * (2 * d_model * d_model + 2 * d_model * d_kv),
        "feed-forward": config.n_layers * matrices * d_model * config.ff_width,
        "norms": 0 if config.norm == "none" else (2 * config.n_layers + 1) * d_model,
        "head": 0 if config.tie_embeddings else config.vocab_size * d_model,
    }


def count_parameters(
    vocab_size: int, d_model: int, num_layers: int, d_ff: int, tie_embeddings: bool = False
) -> int:
    """Return the number of trainable parameters of a model without grouped-query attention."""
    config = TransformerConfig(
        vocab_size=vocab_size,
        d_model=d_model,
        n_layers=num_layers,
        n_heads=1,  # any: heads only cut the same matrices into slices
        d_ff=d_ff,
        tie_embeddings=tie_embeddings,
        position="none",  # no parameters either way
    )
    return sum(parameters_by_part(config).values())
