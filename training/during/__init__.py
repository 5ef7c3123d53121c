"""Predictors that see the first epochs of training, or the weights."""
