"""Zero-cost scores that the service computes itself: `"proxies": "compute"` of POST /predict."""
