"""Policy truth: facts in, a determination out. No FHIR, no HTTP, no clock, no I/O but reading policy files."""
