"""The report on one or more runs: a self-contained HTML file."""
