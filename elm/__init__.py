"""The compiled form of what DTR clients fill in: made here from the policies, kept beside them, served as it is."""
