"""The small model that ships: its weights, its numbers and its card."""
