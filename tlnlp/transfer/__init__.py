"""Strategies: from ordered layer groups to phases; adapters. Blind to tasks, heads and rows."""
