"""CDS Hooks and CRD shapes: a call in, an answer out. `answer.py` is the line; read it first."""
