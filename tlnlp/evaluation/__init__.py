"""Predictions and what they are worth: metrics, statistics, calibration, error analysis. Knows no run."""
