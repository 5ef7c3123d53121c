"""What predictors read: layer codes and the cache of encoded layers."""
