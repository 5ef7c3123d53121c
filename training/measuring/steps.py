"""Steps of gradient descent: one batch at a time, and on a GPU recorded once and replayed.

A small network's step is some two hundred short kernels; launching them one by one takes the processor longer than
they take the GPU. A CUDA graph launches them all at once.
"""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from training.measuring.datasets import Images

Step = Callable[[torch.Tensor], None]
WARM_UP = 3  # steps before recording, in which libraries allocate what may not be allocated during it


class EagerStep:
    """One step of an optimizer on the cross-entropy of a batch.

    Attributes:
        total: summed loss over the images since it was last set to zero, a tensor without dimensions.
    """

    def __init__(self, network: nn.Module, train: Images, optimizer: torch.optim.Optimizer, clip: float | None) -> None:
        self.network, self.train, self.optimizer, self.clip = network, train, optimizer, clip
        self.total = torch.zeros((), device=train.images.device)

    def __call__(self, chosen: torch.Tensor) -> None:
        """Learn from the images at the indices int64 [batch]."""
        loss = F.cross_entropy(self.network(self.train.images[chosen]), self.train.labels[chosen])
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.clip is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.clip)
        self.optimizer.step()
        self.total += loss.detach() * len(chosen)


class RecordedStep:
    """An eager step as a CUDA graph, for whole batches; a last, smaller one is taken eagerly.

    The learning rate is part of a recording, so that another rate makes another recording.
    """

    def __init__(self, step: EagerStep, batch_size: int) -> None:
        self.step = step
        self.chosen = torch.zeros(batch_size, dtype=torch.int64, device=step.total.device)
        self._beside = torch.cuda.Stream(step.total.device)  # recording wants steps before it off the default stream
        self._warm_up = WARM_UP
        self._graph: torch.cuda.CUDAGraph | None = None
        self._rate = 0.0

    def __call__(self, chosen: torch.Tensor) -> None:
        """Learn from the images at the indices int64 [batch]."""
        if len(chosen) != len(self.chosen):
            self.step(chosen)
            return
        if self._warm_up:
            self._warm_up -= 1
            current = torch.cuda.current_stream()
            self._beside.wait_stream(current)
            with torch.cuda.stream(self._beside):
                self.step(chosen)
            current.wait_stream(self._beside)
            return
        self.chosen.copy_(chosen)
        rate = self.step.optimizer.param_groups[0]["lr"]
        if self._graph is None or rate != self._rate:
            self._graph, self._rate = self._record(), rate
        self._graph.replay()

    def _record(self) -> torch.cuda.CUDAGraph:
        self._graph = None  # gives its memory back first
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.step(self.chosen)
        return graph


def fastest(step: EagerStep, batch_size: int) -> Step:
    """Return the fastest form of a step on the device that it runs on."""
    return RecordedStep(step, batch_size) if step.total.device.type == "cuda" else step
