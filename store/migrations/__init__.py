"""Changes of the tables, in order. To add one: `versions/jobs_0002.py`, say, with `down_revision = "0001"`."""
