"""The load test of a language-model server: open-loop streaming traffic, token latencies, and a verdict."""

from infc.validate.llm.load.run import request_count, run_llm_load
from infc.validate.llm.load.settings import LlmLoadSettings
from infc.validate.llm.load.subject import LlmSubject

__all__ = ["LlmLoadSettings", "LlmSubject", "request_count", "run_llm_load"]
