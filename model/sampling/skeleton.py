"""From a block to a whole network (Peephole, Figure 4)."""

from collections.abc import Sequence

from ..network.graph import resolve
from ..network.schema import Layer
from ..network.shapes import Shape

STAGES = 3
BLOCKS_PER_STAGE = 2


def assemble(block: Sequence[Layer], image: Shape, width: int) -> list[Layer]:
    """Repeat a block over three stages of widths `width`, 2 `width` and 4 `width`.

    A 1x1 convolution adapts the width wherever a block's output differs from its stage's, and max pooling (2x2,
    stride 2) separates the stages. The head is not listed: average pooling over what remains of the image, then a
    linear layer.

    Args:
        block: the layers to repeat; channel ratios count from the stage's width.
        image: channels, height and width of the input.
        width: output channels of the stem and of the first stage; 16 in the paper.
    """
    layers: list[Layer] = [
        {"type": "conv", "kernel_size": (3, 3), "out_channels": width},
        {"type": "batch_norm"},
        {"type": "relu"},
    ]
    running = Shape(width, image.height, image.width)
    for stage in range(STAGES):
        if stage:
            layers.append({"type": "max_pool", "kernel_size": (2, 2), "stride": (2, 2)})
        stage_width = width * 2**stage
        for _ in range(BLOCKS_PER_STAGE):
            if running.channels != stage_width:
                layers.append({"type": "conv", "kernel_size": (1, 1), "out_channels": stage_width})
                running = Shape(stage_width, running.height, running.width)
            layers.extend(block)
            running = resolve(block, running)[-1].after
        if running.channels != stage_width:
            layers.append({"type": "conv", "kernel_size": (1, 1), "out_channels": stage_width})
            running = Shape(stage_width, running.height, running.width)
    return layers
