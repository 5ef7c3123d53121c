"""Predictors of learning curves: fit, calibrate, evaluate."""
