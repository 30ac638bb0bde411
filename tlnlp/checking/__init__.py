"""Data checks: what a person should know of the rows before anything learns from them."""
