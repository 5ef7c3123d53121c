"""The HTTP service that answers with predicted learning curves."""

import os

# Read when numpy is imported: each inference thread computes alone, and threads of its own would wait for a core.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
