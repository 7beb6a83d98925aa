"""Near-miss names: what the user probably meant."""

from collections.abc import Iterable


def nearest(word: str, known: Iterable[str], *, limit: int = 3) -> tuple[str, ...]:
    """The known names that are close to `word`, best first; empty when nothing is.

    >>> nearest("worklaod", ["workload", "model", "slo"])
    ('workload',)
    >>> nearest("banana", ["workload", "model", "slo"])
    ()
    """
    import difflib

    by_folded: dict[str, str] = {}
    for name in known:
        by_folded.setdefault(_folded(name), name)
    close = difflib.get_close_matches(_folded(word[:100]), by_folded, n=limit, cutoff=0.6)
    return tuple(by_folded[name] for name in close)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean ...?` for a near miss; empty when nothing is near.

    >>> did_you_mean("poison", ["poisson", "constant"])
    'did you mean `poisson`?'
    """
    names = nearest(word, known, limit=1)
    return f"did you mean `{names[0]}`?" if names else ""


def _folded(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
