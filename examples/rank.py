"""Rank 200 random networks by predicted accuracy, best first: python examples/rank.py [URL]."""

import json
import random
import sys
from urllib.request import Request, urlopen

url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"
random.seed(0)


def random_layers():
    layers = []
    for stage in range(random.randint(1, 3)):
        for _ in range(random.randint(1, 3)):
            conv = {"type": "conv", "kernel_size": random.choice([1, 3, 5]), "out_channels": 64 * 2**stage}
            layers += [conv, {"type": "relu"}, {"type": "dropout", "p": 0.1 * (stage + 1)}]
        layers.append({"type": "max_pool", "kernel_size": 2})
    return layers


population = [{"id": f"net-{i}", "layers": random_layers()} for i in range(200)]
body = {"task": "metaqnn-cifar10", "epochs": 20, "architectures": population}
request = Request(f"{url}/predict", json.dumps(body).encode(), {"Content-Type": "application/json"})
with urlopen(request) as response:
    predictions = json.load(response)["predictions"]
close = [one for one in predictions if one["in_distribution"]]
print(f"{len(close)} of {len(predictions)} resemble the training set; the best of them:")
for one in sorted(close, key=lambda one: one["rank"])[:5]:
    print(f"{one['id']:8} {one['final_accuracy']:.3f}  [{one['lower'][0]:.3f}, {one['upper'][0]:.3f}]")
