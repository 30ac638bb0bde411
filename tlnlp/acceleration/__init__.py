"""Speed-ups that do not change the result: padding-free layers, cached activations, pruned embeddings, fast dropout.

Independent of tasks and strategies.
"""
