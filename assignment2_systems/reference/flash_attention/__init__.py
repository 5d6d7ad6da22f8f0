"""FlashAttention-2: in plain PyTorch to read, in Triton to train with.

`tiled` is the algorithm without a kernel, `operator` the function that models call.
"""
