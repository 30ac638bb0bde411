"""The loop, its plan, its optimizer, checkpoints and processes.

Blind to tasks' names, to single heads, to strategies' names and to speed-ups.
"""
