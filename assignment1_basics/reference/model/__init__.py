"""The Transformer language model, from its layers to text generation."""
