"""Everything that makes a predictor: sampling networks, training them, fitting, evaluating."""
