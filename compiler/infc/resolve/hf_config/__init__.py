"""A Hugging Face `config.json` -> the profile of a language model: exact shapes, parameter counts and cache sizes.

`families.py` lists what each architecture does that its config does not say; everything else is read from the fields.
"""

from infc.resolve.hf_config.profile import llm_profile

__all__ = ["llm_profile"]
