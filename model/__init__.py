"""What a predictor is: the layer-list schema, the layer codes, the networks and their artifacts."""
