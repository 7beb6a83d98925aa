"""What an engine computes in, against what its network asked for."""

from infc.build.far.precision import absent_precision, ignored_precision, other_types

INT8 = ("Int8", "Int8")
HALF = ("Half", "Half")


def layer(operator: str, kind: str, read: str) -> dict[str, object]:
    """An engine layer that does one operator."""
    return {"name": operator, "kind": kind, "dtype": "Float", "input_dtype": read, "operators": [operator]}


def test_a_product_runs_in_the_types_that_it_reads() -> None:
    """A layer that only requantises around the product says nothing about the product."""
    asked = {"conv": INT8, "head": HALF}
    layers = [layer("conv", "correlation", "Int8"), layer("conv", "kgen", "Float"), layer("head", "gemm", "Half")]
    assert other_types(asked, layers) == {}


def test_an_operator_that_moved_is_named() -> None:
    """One of three that runs in another type is a fallback, no failure."""
    asked = {"a": INT8, "b": INT8, "c": INT8}
    layers = [layer("a", "gemm", "Int8"), layer("b", "gemm", "Int8"), layer("c", "gemm", "Half")]
    other = other_types(asked, layers)
    assert other == {"c": ("Int8", "Half")}
    assert ignored_precision(asked, other) is None


def test_most_operators_in_another_type_is_a_failure() -> None:
    """Two of three: the precision was ignored, and the text says how far."""
    asked = {"a": INT8, "b": INT8, "c": INT8, "kept": HALF}
    layers = [layer(name, "gemm", read) for name, read in (("a", "Half"), ("b", "Half"), ("c", "Int8"))]
    assert ignored_precision(asked, other_types(asked, layers)) == (
        "precision ignored: 2 of 3 matrix operators that the model has in Int8 run in Half (a, b)"
    )


def test_weight_only_products_compute_in_the_type_of_the_activations() -> None:
    """INT4 weights are widened before the product: that is what weight-only means."""
    asked = {"a": ("Half", "Int4")}
    assert other_types(asked, [layer("a", "gemm", "Half")]) == {}
    assert absent_precision("int4", asked) is None


def test_a_model_without_the_precision_is_told() -> None:
    """A file in FP32 that is labelled INT8 is no INT8 model; one without any product has nothing to show."""
    assert absent_precision("int8", {"a": ("Float", "Float")}) == (
        "precision ignored: the model holds no matrix operator in Int8, only in Float"
    )
    assert absent_precision("int8", {}) is None
    assert absent_precision("tf32", {"a": ("Float", "Float")}) is None


def test_operators_that_no_layer_names_prove_nothing() -> None:
    """Without evidence there is no accusation."""
    assert other_types({"a": INT8}, []) == {}
