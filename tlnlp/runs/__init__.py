"""One run, put together: set-up, trainer, folder, result, model card. Knows no grid of runs."""
