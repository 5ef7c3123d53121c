"""Write this project's own measurements as anyone would bring theirs: JSON Lines with task, layers and accuracy.

python examples/three_fields.py data/mnist-mini.parquet mine.jsonl
"""

import json
import sys
from pathlib import Path

import pandas as pd


def main(arguments: list[str]) -> str | None:
    """Write the table; return what went wrong, if anything did."""
    if len(arguments) != 2:
        return "usage: python examples/three_fields.py TABLE.parquet OUT.jsonl"
    table, out = map(Path, arguments)
    if not table.is_file():
        return f"{table} is not a file; give a Parquet table, such as data/mnist-mini.parquet"
    try:
        rows = pd.read_parquet(table, columns=["layers", "accuracy"])
    except (ValueError, OSError) as error:  # pyarrow's own errors are among them
        return f"{table} is not a Parquet table with the columns layers and accuracy: {str(error).splitlines()[0]}"
    try:
        with out.open("w") as file:
            for layers, accuracy in zip(rows["layers"], rows["accuracy"], strict=True):
                row = {"task": "my-digits", "layers": json.loads(layers), "accuracy": accuracy.tolist()}
                file.write(json.dumps(row) + "\n")
    except OSError as error:
        return f"cannot write {out}: {error.strerror}"
    print(f"{len(rows)} rows written to {out}")
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
