"""An ONNX model as a module of PyTorch that `torch.export` can take with dynamic sizes.

The converters on PyPI (onnx2torch 1.5, onnx2pytorch 0.6, onnx2fx 0.0.1) keep shapes in tensors; `torch.export` then
meets sizes that depend on data and gives up on three of the four example models, or the operators are missing. Here
integers that describe shapes stay integers (`values.Sizes`), so that every size is a symbol of the exporter.

Only the process that builds a package imports these modules: they need torch.
"""
