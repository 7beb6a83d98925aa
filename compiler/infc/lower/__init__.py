"""Precision lowering: of ONNX models in `lowering`, of language models in `llm`."""
