"""Fused Triton kernels: what a training step does besides matrix products and attention.

Each module is one idea: its kernels, the operators that torch.compile sees, and one public function
or class. `launch` holds every size that only a measurement can choose.
"""
