"""The steps from an empty database to the tables of `schema.py`, one module each in `versions/`."""
