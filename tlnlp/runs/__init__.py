"""One run: preparation, trainer, folder, result, model card. Independent of grids of runs."""
