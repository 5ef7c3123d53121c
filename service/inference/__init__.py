"""From encoded networks to curves: cache, bounded queue, batches, worker threads, the predictors themselves."""
