"""The page about runs: one HTML file that opens anywhere, with nothing from elsewhere."""
