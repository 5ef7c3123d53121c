"""Predictors that see the first epochs of a curve."""
