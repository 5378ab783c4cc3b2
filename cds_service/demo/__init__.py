"""The demo: an embedded FHIR R4 server with sample patients, and a page that plays the EHR in front of it."""
