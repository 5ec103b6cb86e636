"""The data model that a database has now, read from its catalog and from nothing else."""
