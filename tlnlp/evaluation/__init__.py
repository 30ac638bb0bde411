"""Prediction and scoring: metrics, statistics, calibration, error analysis. Independent of runs."""
