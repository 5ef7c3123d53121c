"""Zero-cost proxies: scores of an untrained network that tell how well it will train."""
