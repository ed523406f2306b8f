"""Six ways in which numbers of small models lie, each done wrong and done right."""
