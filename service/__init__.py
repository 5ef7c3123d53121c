"""The HTTP service that answers with predicted learning curves."""
