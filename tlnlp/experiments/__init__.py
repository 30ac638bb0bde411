"""Grids of runs and their verdicts: compare and matrix. Knows a run only by its command line and its result."""
