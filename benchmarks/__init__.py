"""Measurements; `make bench` runs them. Nothing here is imported by the packages."""
