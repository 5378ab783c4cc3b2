"""The ledger: what was decided, from what, and what became of it. See `docs/data.md` for what it holds and why.

Read `ledger.py` first. It knows databases, not the web; the line hands it entries through `hooks.book`.
"""
