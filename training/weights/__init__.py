"""Predictors that see the weights of a trained network."""
