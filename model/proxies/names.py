"""What the scores are called, and what they say; without torch, so that the service knows them too.

Magnitudes are decimal logarithms. A score of layers or activations is of those in the order of the pass.
"""

DEPTHS = (0, 25, 50, 75, 100)  # percent of the layers with weights; between layers it is interpolated
STEPS = 3  # of gradient descent

SCORES: dict[str, str] = {
    "logit_spread": "standard deviation of the logits over images",
    "logit_contrast": "the same, by their magnitude",
    "logit_sameness": "1 less the correlation of the logits of two images",
    "feature_spread": "standard deviation of what the classifier reads",
    "feature_contrast": "the same, by its magnitude",
    "feature_sameness": "1 less the correlation of what the classifier reads of two images",
    "swap": "distinct sample-wise activation patterns",
    "swap_last": "the same, of the last activation",
    "naswot": "log-determinant of the agreement of activation patterns",
    "naswot_last": "the same of the last activation, by its units",
    "agreement": "share of units in which two images agree",
    "agreement_last": "the same, of the last activation",
    "synflow": "synaptic flow",
    "snip": "sum of |weight * gradient|",
    "gradient_norm": "norm of all gradients",
    **{f"gradient_norm_{depth}": f"norm of the gradient of a layer, {depth} % of the way" for depth in DEPTHS},
    "gradient_norm_lowest": "the lowest of any layer",
    "gradient_norm_spread": "standard deviation of these logarithms over layers",
    **{f"gradient_ratio_{depth}": f"gradient by weights of a layer, {depth} % of the way" for depth in DEPTHS},
    "gradient_ratio_lowest": "the lowest of any layer",
    "gradient_ratio_spread": "standard deviation of these logarithms over layers",
    "input_gradient_norm": "norm of the gradient by an image",
    "input_gradient_covariance": "how little the gradients by images correlate",
    **{f"loss_{step}": f"cross-entropy after {step} steps of gradient descent" for step in range(STEPS + 1)},
}
