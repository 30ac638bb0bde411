"""Trained models at work: predictions for new rows, masked words, next words. Knows no training."""
