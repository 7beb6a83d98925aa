"""ONNX file -> `ModelProfile`. Needs the extra `onnx`; a plan with a stored profile never comes here."""

from infc.resolve.onnx_analysis.analyse import AnalysisResult, analyse

__all__ = ["AnalysisResult", "analyse"]
