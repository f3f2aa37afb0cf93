"""The page of an evaluation: epochs and strengths side by side, and what was measured."""
