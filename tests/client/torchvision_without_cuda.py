"""Import torchvision beside a PyTorch for the CPU: PyPI's build is for CUDA, so its operators do not load there."""

import torch

try:
    import torchvision
except RuntimeError:
    _LIBRARY = torch.library.Library("torchvision", "DEF")
    for _name in ("nms", "qnms"):
        _LIBRARY.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision

__all__ = ["torchvision"]
