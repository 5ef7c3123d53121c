"""Importers of networks that are written elsewhere: PyTorch modules and ONNX files."""
