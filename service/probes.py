"""Which routes are asked for again and again by whoever watches the service: neither logged nor traced."""

import re

_PROBE = re.compile(
    r"/(?:livez|readyz|healthz|metrics|v2/health/(?:live|ready)|v2/models/[^/]+(?:/versions/[^/]+)?/ready)"
)


def is_probe(path: str) -> bool:
    """Whether a path, or the route that it belongs to, is a probe's."""
    return _PROBE.fullmatch(path) is not None
