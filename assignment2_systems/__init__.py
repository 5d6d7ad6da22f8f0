"""Assignment 2: profiling, GPU kernels, distributed training, inference."""
