"""The documentation form as a SMART on FHIR app: launched from the chart, filled in from it, written back to it."""
