"""Assignment 1: tokenizer, Transformer, optimizer, training loop."""
