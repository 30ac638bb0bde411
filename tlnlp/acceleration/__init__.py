"""Speed-ups that change no result: padding-free layers, cached activations, pruned embeddings, fast dropout.

Blind to tasks and strategies.
"""
