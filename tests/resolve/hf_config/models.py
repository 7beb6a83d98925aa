"""Profiles of the fixtures."""

from pathlib import Path

from infc.diag import Diagnostic
from infc.ir.llm_profile import AttentionKind, LlmProfile
from infc.resolve.hf_config import llm_profile

CONFIGS = Path(__file__).parent / "configs"
NAMES = sorted(path.stem for path in CONFIGS.glob("*.json"))


def read(name: str) -> tuple[LlmProfile | None, tuple[Diagnostic, ...]]:
    """The profile of a fixture with its diagnostics."""
    return llm_profile(CONFIGS / f"{name}.json")


def model(name: str) -> LlmProfile:
    """The profile of a fixture, which must be readable."""
    profile, problems = read(name)
    assert profile is not None, problems
    return profile


def active_parameters(profile: LlmProfile) -> int:
    """Weights that one token passes: the chosen experts, everything else, no embedding table unless it is the head."""
    idle = sum(
        g.count * (g.feed_forward.experts - g.feed_forward.experts_per_token) * g.feed_forward.expert_parameters
        for g in profile.groups
    )
    return profile.parameters - idle


def cached_elements(profile: LlmProfile) -> int:
    """Elements that one token keeps in the caches of all layers."""
    elements = 0
    for group in profile.groups:
        shape = group.attention
        match shape.kind:
            case AttentionKind.GROUPED:
                elements += group.count * shape.kv_heads * (shape.head_dim + shape.value_head_dim)
            case AttentionKind.LATENT:
                elements += group.count * shape.latent_dim
            case AttentionKind.LINEAR:
                pass
    return elements
