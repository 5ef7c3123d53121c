"""What a predictor is: the layer-list schema, the layer codes, the networks and their artifacts."""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when onnxruntime is imported, which reports usage otherwise
