"""FHIR in, facts out: codes, units, dates, servers. The only layer that reads a FHIR server."""
