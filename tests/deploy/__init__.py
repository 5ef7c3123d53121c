"""The deployment: images, compose, Prometheus, Kubernetes, Ray. What needs an engine is skipped where there is none."""
