"""The same predictor behind other servers, each in its own virtual environment (`install.sh`)."""
