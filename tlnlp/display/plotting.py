"""Configures matplotlib for all figures: no window, text as text in SVG, reproducible files."""

import matplotlib

matplotlib.use("Agg")  # no window, no display

import matplotlib.pyplot as plt

plt.rcParams["svg.hashsalt"] = "tlnlp"
plt.rcParams["svg.fonttype"] = "none"

__all__ = ["plt"]
