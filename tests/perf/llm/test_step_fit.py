"""Step-time models fitted to measured steps."""

from collections.abc import Iterable

import numpy as np
import pytest

from infc.ir.step_time import StepTimePoint
from infc.perf.llm.nonnegative import fit_nonnegative
from infc.perf.llm.step_fit import MEAN_CONTEXT_NOTE, WHOLE_PROMPT_NOTE, fit, fit_step_times
from infc.sim.continuous_batching import step_s

Shape = tuple[int, int, int]
"""(decoding sequences, prompt tokens, mean context of a sequence)"""

# Milliseconds of in-process steps of small Llamas on one core, vLLM 0.32: constant, each sequence, each prompt token,
# each thousand tokens of context, each thousand prompt tokens squared; and one as a GPU has it.
MODELS = {
    "5M": (3.11, 0.119, 0.0419, 0.211, 30.1),
    "33M": (8.03, 0.301, 0.342, 1.01, 100.0),
    "135M": (26.9, 1.12, 1.06, 3.04, 489.0),
    "decode costs more": (16.0, 0.5, 0.1, 0.8, 0.0),
    "prompts cost more": (10.0, 0.1, 0.3, 0.1, 0.0),
}
FEW: tuple[Shape, ...] = ((1, 0, 100), (8, 0, 100), (16, 0, 400), (0, 128, 0), (0, 512, 0))
MORE: tuple[Shape, ...] = (
    *FEW,
    *((1, 0, 600), (4, 0, 300), (16, 0, 100), (4, 256, 200), (12, 64, 200), (0, 64, 0), (0, 256, 0)),
)
ASKED: tuple[Shape, ...] = tuple(
    (decoding, prompt, context)
    for decoding in (0, 1, 5, 10, 20, 32)
    for prompt in (0, 100, 400, 1000)
    for context in (50, 300, 800)
    if decoding + prompt
)


def true_s(model: str, shape: Shape) -> float:
    """Seconds of a step."""
    constant, sequence, token, context, square = MODELS[model]
    decoding, prompt, mean = shape
    total = constant + sequence * decoding + token * prompt + context * decoding * mean / 1000
    return (total + square * (prompt / 1000) ** 2) / 1000


def points(
    model: str, shapes: Iterable[Shape], *, noise: float = 0.0, has_mean_context: bool = False
) -> list[StepTimePoint]:
    """Measured steps of these shapes."""
    random = np.random.default_rng(1)
    return [
        StepTimePoint(
            prefill_tokens=prompt,
            decode_seqs=decoding,
            context_tokens=context if has_mean_context else context * decoding,
            seconds=true_s(model, (decoding, prompt, context)) * float(np.exp(noise * random.standard_normal())),
        )
        for decoding, prompt, context in shapes
    ]


def errors(model: str, measured: list[StepTimePoint]) -> np.ndarray:
    """Relative errors of the fitted model on shapes within and beyond the measured ones."""
    fitted = fit_step_times(measured)
    return np.asarray(
        [
            step_s(fitted, decode_seqs=decoding, prefill_tokens=prompt, context_tokens=decoding * context)
            / true_s(model, (decoding, prompt, context))
            - 1.0
            for decoding, prompt, context in ASKED
        ]
    )


@pytest.mark.parametrize("model", MODELS)
def test_exact_points_give_the_model_back(model: str) -> None:
    """A dozen steps are enough for all terms, and five for nearly all of them."""
    assert np.quantile(np.abs(errors(model, points(model, MORE))), 0.9) < 0.01
    assert np.quantile(np.abs(errors(model, points(model, FEW))), 0.9) < 0.03


@pytest.mark.parametrize("model", MODELS)
def test_noise_of_a_few_percent_does_little(model: str) -> None:
    """With 5% of noise on each of twelve steps the model is within 5% mostly, less so twice as far out."""
    off = np.abs(errors(model, points(model, MORE, noise=0.05)))
    assert np.median(off) < 0.05
    assert np.quantile(off, 0.9) < 0.25


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("shapes", [FEW, MORE])
def test_context_as_a_mean_is_seen(model: str, shapes: tuple[Shape, ...]) -> None:
    """Points whose context is the mean of the sequences fit far better when it is read so, and a note says it."""
    measured = points(model, shapes, has_mean_context=True)
    if len(shapes) > len(FEW):
        assert fit(measured).notes == (MEAN_CONTEXT_NOTE,)
        assert np.median(np.abs(errors(model, measured))) < 0.02
    assert MEAN_CONTEXT_NOTE not in fit(points(model, shapes)).notes


def test_prompts_that_count_themselves_as_context() -> None:
    """Where pure prefill steps say their own tokens are cached, they are taken as nothing cached before."""
    measured = [
        *points("33M", [shape for shape in MORE if shape[0] and not shape[1]]),
        *(
            StepTimePoint(prefill_tokens=n, decode_seqs=0, context_tokens=n, seconds=true_s("33M", (0, n, 0)))
            for n in (64, 128, 256, 512)
        ),
    ]
    assert fit(measured).notes == (WHOLE_PROMPT_NOTE,)
    assert np.median(np.abs(errors("33M", measured))) < 0.02


def test_a_gpu_is_flat_before_it_bends() -> None:
    """Tokens that ride on the reading of the weights are free, those beyond the compute limit are not."""
    random = np.random.default_rng(2)

    def seconds(tokens: int, context: int) -> float:
        return max(8e-3, 3.2e-5 * tokens) + 1e-3 + 3e-8 * context

    shapes = [(n, 0, c) for n in (1, 4, 16, 64, 128, 256) for c in (200, 2000)]
    shapes += [(d, p, 500) for d in (0, 8, 64) for p in (64, 256, 512, 1024, 2048, 8192)]
    measured = [
        StepTimePoint(
            prefill_tokens=prompt,
            decode_seqs=decoding,
            context_tokens=decoding * context,
            seconds=seconds(decoding + prompt, decoding * context) * float(np.exp(0.02 * random.standard_normal())),
        )
        for decoding, prompt, context in shapes
    ]
    fitted = fit(measured)
    assert len(fitted.model.token_knots) > 2
    assert fitted.median_error < 0.05
    assert step_s(fitted.model, decode_seqs=32, context_tokens=32_000) == pytest.approx(seconds(32, 32_000), rel=0.05)
    assert step_s(fitted.model, prefill_tokens=4000) == pytest.approx(seconds(4000, 0), rel=0.1)


def test_many_points_with_outliers() -> None:
    """A log of thousands of steps, one in fifty held up by something else, is fitted by what is usual."""
    random = np.random.default_rng(3)
    shapes = [(int(random.integers(1, 17)), 0, int(random.integers(50, 500))) for _ in range(1500)]
    shapes += [(int(random.integers(0, 10)), int(random.integers(32, 600)), 200) for _ in range(500)]
    measured = points("33M", shapes, noise=0.03)
    held_up = [
        StepTimePoint(
            prefill_tokens=p.prefill_tokens,
            decode_seqs=p.decode_seqs,
            context_tokens=p.context_tokens,
            seconds=p.seconds * (5.0 if index % 50 == 0 else 1.0),
        )
        for index, p in enumerate(measured)
    ]
    assert np.median(np.abs(errors("33M", held_up))) < 0.03


def test_same_points_same_model() -> None:
    """Nothing random is in the fit."""
    measured = points("5M", MORE, noise=0.05)
    assert fit_step_times(measured) == fit_step_times(measured)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [([(0, 64, 0)], "only decodes"), ([(1, 0, 10)], "prefill_tokens"), ([], "only decodes")],
)
def test_points_of_one_kind_are_not_enough(shapes: list[Shape], message: str) -> None:
    """A model of prompts cannot be made of decoding steps, nor the reverse."""
    with pytest.raises(ValueError, match=message):
        fit(points("5M", shapes))


def test_nonnegative_least_squares() -> None:
    """The best of all non-negative combinations: no other one is better, and the plain solution where it is one."""
    random = np.random.default_rng(4)
    for _ in range(50):
        rows, target = random.normal(size=(12, 4)), random.normal(size=12)
        found = fit_nonnegative(rows, target)
        assert np.all(found >= 0.0)
        gradient = rows.T @ (rows @ found - target)
        assert np.all(gradient > -1e-6)
        assert np.all(np.abs(gradient[found > 0]) < 1e-6)
