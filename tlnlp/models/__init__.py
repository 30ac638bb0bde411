"""Checkpoints: found, validated, loaded with a head, saved, shared. Blind to rows and to the loop."""
