"""Write this project's own measurements as anyone would bring theirs: JSON Lines with task, layers and accuracy.

python examples/three_fields.py data/mnist-mini.parquet mine.jsonl
"""

import json
import sys
from pathlib import Path

import pandas as pd

table = pd.read_parquet(sys.argv[1])
with Path(sys.argv[2]).open("w") as file:
    for layers, accuracy in zip(table["layers"], table["accuracy"], strict=True):
        row = {"task": "my-digits", "layers": json.loads(layers), "accuracy": accuracy.tolist()}
        file.write(json.dumps(row) + "\n")
print(f"{len(table)} rows written to {sys.argv[2]}")
