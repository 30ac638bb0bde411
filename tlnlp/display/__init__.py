"""What a person sees in a terminal: lines, tables, the progress bar, numbers as text. Knows no part of a run."""
