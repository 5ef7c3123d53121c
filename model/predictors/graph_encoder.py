"""A graph encoder: the neural member of the shipped ensemble.

Each layer of the encoder lets the rows of a network hear from those that they read and from those that read them: on a
chain that is a convolution of span 3 along the rows, and `model.encoding.edges` has the rest.
"""

import torch
from torch import nn

from ..encoding.features import LAYER_FEATURES
from ..encoding.layer_code import EXTENDED
from .peephole import LayerEmbedding

EMBEDDING = 32
WIDTH = 16
DEPTH = 3
SPAN = 3
MLP_WIDTH = 128
LAST_WIDTH = 32  # ranks better than 128, and a single network waits for its weights
DROPOUT = 0.25
LARGEST_FEATURE = 4.0


class GraphEncoder(nn.Module):
    """Layer embedding and layer features, residual message passing both ways, mean and maximum over layers, MLP.

    Pooling over layers replaces the paper's last state, whose read-out can collapse on long networks. All epochs of the
    curve are outputs of the last layer, so that a whole curve costs no more than its final value.

    Args:
        epochs: number of epochs of a curve.
        features: number of features of the whole network.
    """

    def __init__(self, epochs: int, features: int) -> None:
        super().__init__()
        self.embedding = LayerEmbedding(EXTENDED, EMBEDDING)
        self.mix = nn.Linear(EMBEDDING + len(LAYER_FEATURES), WIDTH)
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
        self,
        codes: torch.Tensor,
        layers: torch.Tensor,
        lengths: torch.Tensor,
        whole: torch.Tensor,
        edges: torch.Tensor,
        shares: torch.Tensor,
    ) -> torch.Tensor:
        """Predict standardised log-odds of the accuracies.

        Args:
            codes: int32 [batch, layers, columns], zero-padded.
            layers: features of the layers, float32 [batch, layers, features].
            lengths: int32 [batch].
            whole: scaled features of the network, float32 [batch, features].
            edges: int64 [edges, 3] and
            shares: float32 [edges, 2], see `model.encoding.edges.corrections`.

        Returns:
            float32 [batch, all epochs].
        """
        present = (codes[:, :, 0] > 0).float().unsqueeze(1)
        mixed = torch.relu(self.mix(torch.cat([self.embedding(codes), layers], dim=-1)))
        # Layers come last from here on. What lies behind a network's end is zeroed before each convolution, so that the
        # prediction does not depend on the batch's padding.
        along = mixed.transpose(1, 2) * present
        for convolution in self.convolutions:
            beside = _beside_the_chain(along.transpose(1, 2), convolution, edges, shares)
            along = torch.relu(along + convolution(along) + beside.transpose(1, 2)) * present
        pooled = [along.sum(2) / lengths.unsqueeze(1), along.amax(2)]
        return self.mlp(torch.cat([*pooled, torch.clamp(whole, -LARGEST_FEATURE, LARGEST_FEATURE)], dim=-1))


def _beside_the_chain(
    rows: torch.Tensor, convolution: nn.Module, edges: torch.Tensor, shares: torch.Tensor
) -> torch.Tensor:
    """Return what edges that a chain lacks bring to each row, and take from it that only a chain has.

    Args:
        rows: states [batch, rows, width].
        convolution: along a chain; its taps are the row before, the row itself, the row behind.
        edges: int64 [edges, 3].
        shares: float32 [edges, 2].
    """
    weight = convolution.get_parameter("weight")
    network, read, reader = edges.unbind(1)
    forward = rows[network, read] @ weight[:, :, 0].T * shares[:, :1]
    backward = rows[network, reader] @ weight[:, :, 2].T * shares[:, 1:]
    found = torch.zeros_like(rows).index_put((network, reader), forward, accumulate=True)
    return found.index_put((network, read), backward, accumulate=True)
