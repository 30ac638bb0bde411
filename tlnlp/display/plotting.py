"""matplotlib as all pictures here want it: files only, letters as letters, the same numbers the same file."""

import matplotlib

matplotlib.use("Agg")  # no window, no display

import matplotlib.pyplot as plt

plt.rcParams["svg.hashsalt"] = "tlnlp"
plt.rcParams["svg.fonttype"] = "none"

__all__ = ["plt"]
