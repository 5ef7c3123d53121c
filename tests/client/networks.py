"""Small modules that are written as people write them, with what torchvision and timm do in their blocks."""

import torch
from torch import nn
from torch.nn import functional as F


class Residual(nn.Module):
    """Bottleneck with batch norm, a stride and a projection, and the same block again without."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.first = nn.Sequential(nn.Conv2d(8, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.project = nn.Sequential(nn.Conv2d(8, 16, 1, 2, bias=False), nn.BatchNorm2d(16))
        self.second = nn.Sequential(nn.Conv2d(16, 16, 3, 1, 1, groups=4), nn.BatchNorm2d(16))
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(16, 10)

    def features(self, x):
        x = self.stem(x)
        y = self.first(x)
        y += self.project(x)
        y = F.relu_(self.second(y) + y)
        return self.dropout(F.adaptive_avg_pool2d(y, 1).flatten(1))

    def forward(self, x):
        return self.head(self.features(x))


class SqueezeExcite(nn.Module):
    """Depthwise separable convolutions, a gate made of linear layers, and activations written as arithmetic."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.depthwise = nn.Conv2d(8, 8, 5, padding=2, groups=8)
        self.reduce, self.expand = nn.Linear(8, 4), nn.Linear(4, 8)
        self.point = nn.Conv2d(8, 12, 1)
        self.head = nn.Linear(12, 10)

    def features(self, x):
        x = self.stem(x)
        x = x * torch.sigmoid(x)
        x = self.depthwise(x)
        x = x * F.relu6(x + 3) / 6
        gate = self.expand(F.relu(self.reduce(x.mean((2, 3)))))
        x = x * (F.relu6(gate + 3) / 6).view(-1, 8, 1, 1)
        return self.point(x).mean([-2, -1])

    def forward(self, x):
        return self.head(self.features(x))


class Shuffle(nn.Module):
    """Chunks, concatenation and a channel shuffle by reshapes."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, padding="same")
        self.branch = nn.Conv2d(6, 6, 3, padding=1)
        self.last = nn.Conv2d(6, 4, 3, padding=1)
        self.head = nn.Linear(10, 10)

    def features(self, x):
        left, right = self.stem(x).chunk(2, dim=1)
        x = torch.cat([left, F.leaky_relu(self.branch(right))], dim=1)
        n, c, h, w = x.shape
        x = x.view(n, 3, c // 3, h, w).transpose(1, 2).contiguous().view(n, -1, h, w)
        left, right = torch.split(x, 6, dim=1)
        return F.max_pool2d(torch.cat((left, self.last(right)), 1), 3, 2, ceil_mode=True)

    def forward(self, x):
        return self.head(self.features(x).mean((2, 3)))


class ConvNext(nn.Module):
    """Channels last: layer norm, linear layers at each position, layer scale."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 4, 4)
        self.depthwise = nn.Conv2d(8, 8, 7, padding=3, groups=8)
        self.norm = nn.LayerNorm(8)
        self.wide, self.narrow = nn.Linear(8, 32), nn.Linear(32, 8)
        self.gamma = nn.Parameter(torch.ones(8, 1, 1))
        self.head = nn.Linear(8, 10)

    def features(self, x):
        x = self.stem(x)
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.narrow(F.gelu(self.wide(y))).permute(0, 3, 1, 2)
        return x + y * self.gamma

    def forward(self, x):
        return self.head(self.features(x).mean((2, 3)))


class SamePadding(nn.Module):
    """TensorFlow's padding by an explicit pad, a pad that stays one, weight standardisation, group norm, upsampling."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2)
        self.weight = nn.Parameter(torch.randn(8, 8, 3, 3))
        self.norm = nn.GroupNorm(4, 8)
        self.last = nn.Conv2d(8, 8, 3)
        self.head = nn.Linear(8, 10)

    def features(self, x):
        x = self.stem(F.pad(x, (0, 1, 0, 1)))
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        x = F.elu(self.norm(F.conv2d(x, weight, padding=1)))
        x = F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-torch.inf), 3, 2)
        x = F.interpolate(x, scale_factor=2)
        return self.last(F.pad(x, (2, 0, 2, 0)))

    def forward(self, x):
        return F.log_softmax(self.head(F.avg_pool2d(self.features(x), 8).flatten(1)), dim=1)


class Vgg(nn.Module):
    """A classifier of several linear layers behind a flattened map."""

    def __init__(self):
        super().__init__()
        self.convs = nn.Sequential(nn.Conv2d(3, 4, 3), nn.PReLU(4), nn.AvgPool2d(2), nn.Conv2d(4, 8, 3), nn.Hardswish())
        self.hidden = nn.Sequential(nn.Linear(8 * 5 * 5, 20), nn.BatchNorm1d(20), nn.Tanh())
        self.head = nn.Linear(20, 10, bias=False)

    def features(self, x):
        return self.hidden(torch.flatten(self.convs(x), 1))

    def forward(self, x):
        return self.head(self.features(x))


MODULES = (Residual, SqueezeExcite, Shuffle, ConvNext, SamePadding, Vgg)
