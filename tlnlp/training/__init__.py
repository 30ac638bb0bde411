"""The training loop, its plan, the optimizer, checkpoints and distributed training.

Independent of particular tasks, heads and strategies, and of speed-ups.
"""
