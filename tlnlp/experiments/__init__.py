"""Grids of runs and their verdicts: compare and matrix. They use only the command line and the result of a run."""
