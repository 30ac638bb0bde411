"""Strategies: functions from ordered layer groups to phases, and adapters. Independent of tasks, heads and rows."""
