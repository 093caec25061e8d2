"""Practice: documented sites, coverage of the frameworks, evidence ladder, and gap to gain."""
