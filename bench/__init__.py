"""How fast the service answers, as ratios: `python -m bench` (see docs/performance.md)."""
