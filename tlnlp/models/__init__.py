"""Finds, validates, loads, saves and uploads checkpoints. Independent of rows and of the training loop."""
