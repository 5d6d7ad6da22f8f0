"""Assignment 5: evaluation, supervised fine-tuning, preference and reinforcement learning."""
