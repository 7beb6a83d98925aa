"""A config.json gives the exact number of parameters and cached elements of the published model."""

import json
from pathlib import Path

import pytest

from infc.ir.llm_profile import AttentionKind
from infc.ir.precision import Precision
from infc.resolve.hf_config import llm_profile
from tests.resolve.hf_config.models import CONFIGS, NAMES, active_parameters, cached_elements, model, read

# Source: the number of parameters that the hub shows for each repository (safetensors metadata); Falcon 180B stores its
# tied embedding twice and is counted once here; Gemma 3 4B without its vision tower and projector (419,816,304).
PUBLISHED = {
    "ernie-4.5-21b-a3b": 21_825_437_888,
    "stablelm-2-1.6b": 1_644_515_328,
    "deepseek-v2": 235_741_434_880,
    "falcon-40b": 41_303_293_952,
    "gemma-2-27b": 27_227_128_320,
    "granite-3.1-8b": 8_170_848_256,
    "pythia-6.9b": 6_857_302_016,
    "starcoder": 15_517_456_384,
    "olmoe": 6_919_161_856,
    "smollm3": 3_075_098_624,
    "mistral-small-3": 23_572_403_200,
    "phi3.5-moe": 41_873_153_344,
    "bloom-7b1": 7_069_016_064,
    "command-r-35b": 34_980_831_232,
    "deepseek-v2-lite": 15_706_484_224,
    "deepseek-v3": 671_026_419_200,
    "falcon-180b": 179_522_565_120 - 65024 * 14848,
    "falcon-7b": 6_921_720_704,
    "gemma-2-2b": 2_614_341_888,
    "gemma-2-9b": 9_241_705_984,
    "gemma-3-1b": 999_885_952,
    "gemma-3-4b": 4_300_079_472 - 419_816_304,
    "glm-4-9b": 9_400_279_040,
    "gpt-j-6b": 6_050_882_784,
    "gpt-neox-20b": 20_554_567_680,
    "gpt-oss-120b": 116_829_156_672,
    "gpt-oss-20b": 20_914_757_184,
    "gpt2": 124_439_808,
    "llama-2-13b": 13_015_864_320,
    "llama-2-70b": 68_976_648_192,
    "llama-2-7b": 6_738_415_616,
    "llama-3.1-405b": 405_853_388_800,
    "llama-3.1-70b": 70_553_706_496,
    "llama-3.1-8b": 8_030_261_248,
    "llama-3.2-1b": 1_235_814_400,
    "llama-3.2-3b": 3_212_749_824,
    "mistral-7b-v0.1": 7_241_732_096,
    "mistral-7b-v0.3": 7_248_023_552,
    "mixtral-8x22b": 140_620_634_112,
    "mixtral-8x7b": 46_702_792_704,
    "olmo-2-7b": 7_298_617_344,
    "opt-125m": 125_239_296,
    "opt-350m": 331_196_416,
    "opt-6.7b": 6_658_473_984,
    "phi-2": 2_779_683_840,
    "phi-3.5-mini": 3_821_079_552,
    "phi-4": 14_659_507_200,
    "qwen1.5-moe-a2.7b": 14_315_784_192,
    "qwen2.5-0.5b": 494_032_768,
    "qwen2.5-1.5b": 1_543_714_304,
    "qwen2.5-14b": 14_770_033_664,
    "qwen2.5-7b": 7_615_616_512,
    "qwen3-0.6b": 596_049_920,
    "qwen3-1.7b": 1_720_574_976,
    "qwen3-235b-a22b": 235_093_634_560,
    "qwen3-30b-a3b": 30_532_122_624,
    "qwen3-32b": 32_762_123_264,
    "qwen3-4b": 4_022_468_096,
    "qwen3-8b": 8_190_735_360,
    "qwen3-next-80b-a3b": 79_674_391_296,
    "smollm2-1.7b": 1_711_376_384,
    "stablelm-3b": 2_795_443_200,
    "starcoder2-3b": 3_030_371_328,
}
# Totals and active parameters in billions of model cards, elements of the cache: tables of served models.
ROUNDED = {
    "deepseek-v3": (671, 37, 35136),
    "falcon-180b": (180, 180, 81920),
    "glm-5": (744, 40, 44928),
    "gpt-j-6b": (6.05, 6.05, 229376),
    "gpt-oss-120b": (116.8, 5.1, 36864),
    "gpt-oss-20b": (20.9, 3.6, 24576),
    "kimi-k2.5": (1040, 32, 35136),
    "llama-2-13b": (13.0, 13.0, 409600),
    "llama-2-70b": (68.98, 68.98, 163840),
    "llama-2-7b": (6.74, 6.74, 262144),
    "llama-3.1-405b": (405.85, 405.85, 258048),
    "llama-3.1-70b": (70.55, 70.55, 163840),
    "llama-3.1-8b": (8.03, 8.03, 65536),
    "llama-3.2-3b": (3.21, 3.21, 57344),
    "llama-4-maverick": (400.7, 17.2, 98304),
    "llama-4-scout": (108.6, 17.2, 98304),
    "minimax-m2.5": (230, 10, 126976),
    "mistral-7b-v0.3": (7.25, 7.25, 65536),
    "mixtral-8x22b": (140.6, 39.1, 114688),
    "mixtral-8x7b": (46.7, 12.9, 65536),
    "nemotron-3-nano-30b-a3b": (31.6, 3.6, 3072),
    "nemotron-h-56b": (56, 56, 20480),
    "qwen2.5-0.5b": (0.49, 0.49, 6144),
    "qwen2.5-1.5b": (1.54, 1.54, 14336),
    "qwen2.5-14b": (14.77, 14.77, 98304),
    "qwen2.5-7b": (7.62, 7.62, 28672),
    "qwen3-0.6b": (0.6, 0.6, 57344),
    "qwen3-1.7b": (1.72, 1.72, 57344),
    "qwen3-235b-a22b": (235, 22, 96256),
    "qwen3-30b-a3b": (30.5, 3.3, 49152),
    "qwen3-32b": (32.76, 32.76, 131072),
    "qwen3-4b": (4.02, 4.02, 73728),
    "qwen3-8b": (8.19, 8.19, 73728),
    "qwen3-vl-235b-a22b": (235, 22, 96256),
    "qwen3.5-397b-a17b": (397, 17, 15360),
}


@pytest.mark.parametrize("name", NAMES)
def test_every_fixture_is_read_without_an_error(name: str) -> None:
    """Only the wrappers of vision-language models leave a caveat."""
    profile, problems = read(name)
    assert profile is not None
    assert {problem.id for problem in problems} <= {"config-text-only"}
    assert profile.name == name
    assert len(profile.digest) == 64


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_exactly_those_of_the_published_model(name: str) -> None:
    """To the last one: norms, biases, routers, sinks, learned positions; tied embeddings once."""
    assert model(name).parameters == PUBLISHED[name]


@pytest.mark.parametrize("name", ROUNDED)
def test_totals_active_parameters_and_cache_agree_with_model_cards(name: str) -> None:
    """Totals within 2%, active within 15% (cards differ in whether embeddings count), cached elements exactly."""
    total, active, elements = ROUNDED[name]
    profile = model(name)
    assert profile.parameters / 1e9 == pytest.approx(total, rel=0.02)
    embedding = 0 if profile.is_tied else profile.embedding_parameters
    with_embedding = active_parameters(profile)
    assert (with_embedding - embedding) / 1e9 * 0.95 <= active <= with_embedding / 1e9 * 1.1
    assert cached_elements(profile) == elements


def test_sliding_windows_are_where_the_architecture_has_them() -> None:
    """Gemma 2 alternates, Gemma 3 has five in six, gpt-oss alternates, Llama 4 has three in four."""

    def windowed(name: str) -> list[int | None]:
        return [window for g in model(name).groups for window in [g.attention.window_tokens] * g.count]

    assert windowed("gemma-2-2b") == [4096, None] * 13
    assert windowed("gemma-3-1b")[:6] == [512] * 5 + [None]
    assert windowed("gpt-oss-20b") == [128, None] * 12
    assert windowed("llama-4-scout")[:4] == [8192] * 3 + [None]
    assert windowed("mistral-7b-v0.1") == [4096] * 32
    assert set(windowed("qwen2.5-7b")) == {None}, "use_sliding_window is false"
    assert set(windowed("phi-3.5-mini")) == {None}, "its window is longer than its context"


def test_hybrids_cache_a_state_in_their_linear_layers() -> None:
    """A layer of Qwen3.5 397B keeps 64 heads of 128 x 128 in FP32 and three columns of its convolution in 16 bits."""
    shapes = [g.attention for g in model("qwen3.5-397b-a17b").groups]
    linear = next(shape for shape in shapes if shape.kind is AttentionKind.LINEAR)
    assert linear.state_bytes == 64 * 128 * 128 * 4 + 3 * (2 * 16 * 128 + 64 * 128) * 2
    assert sum(g.count for g in model("qwen3.5-397b-a17b").groups if g.attention.kind is AttentionKind.GROUPED) == 15


def test_a_dense_start_and_every_other_mixture_are_groups_of_their_own() -> None:
    """DeepSeek V3 starts with three dense layers; Llama 4 Maverick alternates."""
    assert [(g.count, bool(g.feed_forward.experts)) for g in model("deepseek-v3").groups] == [(3, False), (58, True)]
    kinds = [bool(g.feed_forward.experts) for g in model("llama-4-maverick").groups for _ in range(g.count)]
    assert kinds == [False, True] * 24


def test_sparse_attention_reads_a_part_of_what_it_caches() -> None:
    """GLM-5 attends to 2048 tokens of its cache, and keeps an index of 128 bytes and a scale for each token."""
    shape = model("glm-5").groups[0].attention
    assert (shape.attended_tokens, shape.window_tokens, shape.index_bytes) == (2048, None, 132)


def test_a_folder_and_its_config_are_the_same_model(tmp_path: Path) -> None:
    """The digest is of the content: white space and the order of keys do not matter."""
    fields = json.loads((CONFIGS / "qwen3-8b.json").read_text())
    folder = tmp_path / "qwen3-8b"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(dict(reversed(fields.items())), indent=4))
    profile, problems = llm_profile(folder)
    assert profile is not None
    assert problems == ()
    assert profile == model("qwen3-8b")
    assert llm_profile(folder / "config.json", "other")[0].name == "other"  # type: ignore[union-attr]


def test_an_unknown_architecture_is_refused_by_name(tmp_path: Path) -> None:
    """Sizes that were guessed would look like known ones; names that are like it are told."""
    fields = json.loads((CONFIGS / "llama-3.1-8b.json").read_text())
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**fields, "model_type": "llama9", "architectures": ["Llama9ForCausalLM"]}))
    profile, problems = llm_profile(path)
    assert profile is None
    assert [problem.id for problem in problems] == ["config-architecture"]
    assert "llama9" in problems[0].message
    assert "llama" in problems[0].notes[0]


def test_a_vision_language_model_is_never_taken_without_its_encoder_being_told(tmp_path: Path) -> None:
    """Whether its text part stands apart (Gemma 3) or beside the encoder (Qwen2.5-VL)."""
    fields = json.loads((CONFIGS / "qwen2.5-7b.json").read_text())
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**fields, "model_type": "qwen2_5_vl", "vision_config": {"depth": 32}}))
    for config in (path, CONFIGS / "gemma-3-4b.json"):
        profile, problems = llm_profile(config)
        assert profile is not None
        assert [problem.id for problem in problems] == ["config-text-only"]
        assert [caveat.id for caveat in profile.caveats] == ["config-text-only"]


@pytest.mark.parametrize("model_type", ["bert", "t5", "mamba", "deepseek_v4", "whisper", "vit"])
def test_what_is_no_decoder_is_refused(model_type: str, tmp_path: Path) -> None:
    """Reading it as a Llama would give a wrong size."""
    fields = json.loads((CONFIGS / "llama-3.1-8b.json").read_text())
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**fields, "model_type": model_type, "architectures": ["X"]}))
    profile, problems = llm_profile(path)
    assert profile is None
    assert [problem.id for problem in problems] == ["config-unsupported"]


def test_the_dtype_is_what_is_served() -> None:
    """FP32 and unstated weights are served in BF16, as vLLM does."""
    assert model("gemma-2-2b").dtype is Precision.BF16
    assert model("phi-2").dtype is Precision.FP16
    assert model("gpt2").dtype is Precision.BF16
