"""Predict a model of your own before it is trained: python examples/own_pytorch_model.py."""

from torch import nn

import peephole


class Block(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, channels):
        super().__init__()
        self.path = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x):
        return nn.functional.relu(x + self.path(x))


def model(width, has_shortcuts):
    stem = [nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    body = [Block(width)] if has_shortcuts else stem_like(width)
    head = [nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10)]
    return nn.Sequential(*stem, *body, *head)


def stem_like(width):
    return [nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]


networks = [
    peephole.from_torch(model(width, has_shortcuts), (3, 16, 16), name=f"{width} wide{', shortcuts' * has_shortcuts}")
    for width in (8, 32)
    for has_shortcuts in (False, True)
]
predictor = peephole.load("cifar10-mini")  # or peephole.Client("http://localhost:8000"), with task="cifar10-mini"
for one in predictor.rank(networks, rank_by="lower"):
    curve = " ".join(f"{accuracy:.2f}" for accuracy in one.accuracy)
    print(f"{one.rank}. {one.id:20} {one.params:7,} parameters: {curve}  [{one.lower[-1]:.2f}, {one.upper[-1]:.2f}]")
    if not one.in_distribution:
        print(f"   {one.notes[0]}")
