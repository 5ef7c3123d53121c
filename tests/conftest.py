"""Settings of all tests."""

import os

# Before PyTorch is imported: on small networks its threads mostly wait for each other, and busily so.
os.environ.setdefault("OMP_NUM_THREADS", "1")
