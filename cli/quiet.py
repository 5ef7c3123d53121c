"""Keep what libraries say to their developers out of what a command says to its user."""

import logging
import warnings


def hush_exporter() -> None:
    """Silence notes of torch's exporter and of scikit-learn's optimisers; errors still come through."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"torch|onnxscript|copyreg|sklearn")
