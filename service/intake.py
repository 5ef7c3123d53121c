"""What is on its way into the queue: so that a request can be refused from its headers, before its body costs anything.

A body counts once it is complete, neither when it is announced nor while it arrives: who announces much and sends it
slowly takes nobody's place.
"""

ASSUMED = 0.05  # layers a byte, until the first request was read
GAIN = 0.05  # weight of one request in the average
LEAST = 0.005  # layers a byte: bodies padded with blanks do not make the others look like nothing


class Intake:
    """Bodies that arrived and are not in the queue yet. For the event loop alone.

    Attributes:
        size: their bytes.
        layers_per_byte: what became of earlier bodies.
    """

    def __init__(self) -> None:
        self.size = 0
        self.layers_per_byte = ASSUMED

    def cost(self, size: int) -> float:
        """Return the padded layers to expect of `size` bytes."""
        return size * self.layers_per_byte

    def learn(self, size: int, cost: int) -> None:
        """Take note of the padded layers that came out of `size` bytes."""
        if size:
            self.layers_per_byte += GAIN * (max(LEAST, cost / size) - self.layers_per_byte)
