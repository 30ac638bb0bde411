"""Terminal output: lines, tables, the progress bar, formatted numbers. Independent of all parts of a run."""
