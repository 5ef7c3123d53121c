"""The playground: a page that calls the service's own routes."""
