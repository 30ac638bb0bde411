"""Inference with trained models: predictions for new rows, masked words, next words. Independent of training."""
