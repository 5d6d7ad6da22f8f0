"""Resource accounting: parameters, FLOPs, bytes and training time of a Transformer, by part."""
