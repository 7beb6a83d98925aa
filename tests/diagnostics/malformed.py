"""A corpus of malformed specs, made from one valid spec: every way to get a line wrong, on every line."""

from collections.abc import Iterator

VALID = """\
apiVersion: infc.dev/v1
kind: InferenceSpec
metadata:
  name: product-encoder
  owner: search-team
model:
  onnx: model.onnx
slo:
  latency:
    p50: 8ms
    p99: 25ms
  availability: 99.9%
accuracy:
  dataset: data.npz
  metric: spearman
  floor: 0.80
  max_drop: 1%
  confidence: 95%
quantization:
  calibration: data.npz
  samples: 128
  method: minmax
workload:
  arrival: poisson
  rate: 300/s
  peak: 800/s
  axes:
    sequence:
      p50: 24
      max: 128
constraints:
  hardware:
    - l4
    - l40s
  precision:
    - fp16
    - int8
  max_accelerators: 8
  max_cost: $3000/month
  max_power: 300W
  max_memory: 20GiB
  redundancy: 1
objective: cost
pricing:
  provider: aws
  commitment: mixed
deploy:
  server: auto
"""

_WRONG_TYPES = ("[1, {a: b}]", "{a: {b: c}}", "true", "~", ".nan")
_QUANTITIES = ("p50: 8ms", "p99: 25ms", "availability: 99.9%", "max_drop: 1%", "confidence: 95%", "rate: 300/s")
_QUANTITIES += ("peak: 800/s", "max_cost: $3000/month", "max_power: 300W", "max_memory: 20GiB")
_WRONG_UNITS = ("7", "7 parsecs", "seven", "1e999ms", "-3/s", "''")
_NUMBERS = ("samples: 128", "redundancy: 1", "max_accelerators: 8", "p50: 24", "max: 128")
_HUGE = ("9" * 400, "1e999", "-1", "0x" + "f" * 60, "1.5")
_FILES = ("onnx: model.onnx", "dataset: data.npz", "calibration: data.npz")
_WRONG_FILES = (
    "nowhere.onnx",
    "../../../../../../../../etc/passwd",
    "/etc/passwd",
    "~/m.onnx",
    "nowhere/data.npz",
    "''",
)
_CYCLES = (
    "a: &a [*a]\n",
    "a: &a {b: *a}\n",
    "slo: &s\n  latency: *s\n",
    "a: &a [&b [*a]]\n",
    "a: &a\n  b: &b\n    c: *a\n",
    "x: *nowhere\n",
    "a: &a ["
    + ", ".join(["x"] * 200)
    + "]\nb: &b ["
    + ", ".join(["*a"] * 200)
    + "]\nc: ["
    + ", ".join(["*b"] * 9)
    + "]\n",
)
_WHOLE: tuple[tuple[str, bytes], ...] = (
    ("empty", b""),
    ("blank", b"\n\n   \n"),
    ("comment", b"# nothing\n"),
    ("bare-separator", b"---\n"),
    ("null", b"null\n"),
    ("scalar", b"encoder\n"),
    ("number", b"42\n"),
    ("list", b"- model\n- slo\n"),
    ("byte-order-mark", b"\xef\xbb\xbf"),
    ("utf-16", VALID.encode("utf-16")),
    ("utf-32", VALID.encode("utf-32")),
    ("latin-1", VALID.replace("search-team", "caf\xe9").encode("latin-1")),
    ("nul", VALID.replace("search-team", "search\0team").encode()),
    ("escape", VALID.replace("search-team", "search\x1b[31mteam").encode()),
    ("lone-continuation", b"model: \x80\n"),
    ("overlong", b"model: \xc0\xaf\n"),
    ("surrogate", b"model: \xed\xa0\x80\n"),
    ("binary", bytes(range(256))),
    ("elf", b"\x7fELF\x02\x01\x01" + bytes(64)),
    ("too-large", b"# " + b"x" * (1024 * 1024) + b"\n" + VALID.encode()),
    ("two-documents", (VALID + "---\n" + VALID).encode()),
    ("deep-list", ("model: " + "[" * 5000 + "\n").encode()),
    ("deep-mapping", "".join(" " * i + "a:\n" for i in range(200)).encode()),
    ("deep-flow-mapping", ("model: " + "{a: " * 3000).encode()),
    ("directive", b"%YAML 9.9\n---\nmodel: x\n"),
    ("python-object", b"model: !!python/object/apply:os.system ['exit 1']\n"),
    ("json-array", b'[{"model": 1}]'),
    ("toml", b"[model]\nonnx = 'model.onnx'\n"),
    ("unclosed-quote", VALID.replace("search-team", '"search-team').encode()),
    ("unclosed-list", VALID.replace("server: auto", "server: [auto").encode()),
    ("merge-key", (VALID + "base: &b {x: 1}\n<<: *b\n").encode()),
)


def malformed_specs() -> Iterator[tuple[str, bytes]]:
    """(name, content) of every malformed spec; names are unique."""
    yield from _WHOLE
    lines = VALID.splitlines()
    for number, line in enumerate(lines):
        text = line.strip()
        key = text.split(":")[0].removeprefix("- ")
        yield f"wrong-type-{number}", _with_line(lines, number, _with_value(line, _WRONG_TYPES[number % 5]))
        if not text.startswith("-") and key != "sequence":  # the user names axes
            yield f"unknown-key-{number}", _with_line(lines, number, line.replace(key, key + "x", 1))
        if not text.endswith(":") and ":" in text:
            yield f"duplicate-key-{number}", _with_line(lines, number, f"{line}\n{line}")
        if number > 0:
            yield f"tab-{number}", _with_line(lines, number, "\t" + line)
        if line.startswith(" ") and ":" in text:
            yield f"outdented-{number}", _with_line(lines, number, " " + text if line.startswith("   ") else text)
    for group, rows, values in (
        ("unit", _QUANTITIES, _WRONG_UNITS),
        ("huge", _NUMBERS, _HUGE),
        ("file", _FILES, _WRONG_FILES),
    ):
        for row in rows:
            for index, value in enumerate(values):
                name = f"{group}-{row.split(':')[0]}-{index}-{row.split(' ')[1]}".replace("/", "-")
                yield name, VALID.replace(row, f"{row.split(':')[0]}: {value}").encode()
    for index, cycle in enumerate(_CYCLES):
        yield f"alias-{index}", (VALID + cycle).encode()


def _with_line(lines: list[str], number: int, line: str) -> bytes:
    return "\n".join((*lines[:number], line, *lines[number + 1 :], "")).encode()


def _with_value(line: str, value: str) -> str:
    if line.strip().startswith("-"):
        return line.split("-")[0] + f"- {value}"
    head = line.split(":")[0]
    return f"{head}: {value}" if not line.endswith(":") else f"{head}: {value} # was a block"
