"""Stored tasks over HTTP: routes, schemas, and the threads in which the database is used."""
