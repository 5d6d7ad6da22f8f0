"""What a training step costs, measured: time by phase, kernels against the roofline, memory."""
