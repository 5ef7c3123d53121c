"""A recurrent-free member of the shipped ensemble: convolutions along the list of layers.

It reads a network as a text of layers and writes the whole curve at once.
"""

import torch
from torch import nn

from ..encoding.layer_code import EXTENDED
from .layer_features import LAYER_FEATURES
from .peephole import LayerEmbedding

EMBEDDING = 32
WIDTH = 16
DEPTH = 3
SPAN = 3
MLP_WIDTH = 128
LAST_WIDTH = 32  # ranks better than 128, and a lone network waits for its weights
DROPOUT = 0.25
LARGEST_FEATURE = 4.0


class LayerConv(nn.Module):
    """Layer embedding and absolute layer features, residual 1-D convolutions, mean and maximum over layers, MLP.

    Pooling over layers replaces the paper's last state, whose read-out can collapse on long networks. All epochs of the
    curve are outputs of the last layer, so that a whole curve costs no more than its final value. Several members are
    computed as one (`model.predictors.fused_members`) once they are fitted.

    Args:
        epochs: number of epochs of a curve.
        features: number of whole-network features.
    """

    def __init__(self, epochs: int, features: int) -> None:
        super().__init__()
        self.layers = LayerEmbedding(EXTENDED, EMBEDDING)
        self.mix = nn.Linear(EMBEDDING + LAYER_FEATURES, WIDTH)
        self.convolutions = nn.ModuleList(nn.Conv1d(WIDTH, WIDTH, SPAN, padding=SPAN // 2) for _ in range(DEPTH))
        self.mlp = nn.Sequential(
            nn.Linear(2 * WIDTH + features, MLP_WIDTH),
            nn.ReLU(),
            nn.Dropout(DROPOUT),
            nn.Linear(MLP_WIDTH, LAST_WIDTH),
            nn.ReLU(),
            nn.Dropout(DROPOUT),
            nn.Linear(LAST_WIDTH, epochs),
        )

    def forward(
        self, codes: torch.Tensor, lengths: torch.Tensor, per_layer: torch.Tensor, whole: torch.Tensor
    ) -> torch.Tensor:
        """Predict standardised logits of the accuracies.

        Args:
            codes: int [batch, layers, columns], zero-padded.
            lengths: int [batch].
            per_layer: features of the layers, float32 [batch, features, layers].
            whole: scaled `network_features`, float32 [batch, features].

        Returns:
            float32 [batch, all epochs].
        """
        present = (codes[:, :, 0] > 0).float().unsqueeze(1)
        mixed = torch.relu(self.mix(torch.cat([self.layers(codes), per_layer.transpose(1, 2)], dim=-1)))
        # Layers come last from here on. What lies behind a network's end is zeroed before each convolution, so that the
        # answer does not depend on the batch's padding.
        along = mixed.transpose(1, 2) * present
        for convolution in self.convolutions:
            along = torch.relu(along + convolution(along)) * present
        pooled = [along.sum(2) / lengths.unsqueeze(1), along.amax(2)]
        return self.mlp(torch.cat([*pooled, torch.clamp(whole, -LARGEST_FEATURE, LARGEST_FEATURE)], dim=-1))
