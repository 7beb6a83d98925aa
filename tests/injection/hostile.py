"""Words that do something where they are not escaped: one for each language that infc writes."""

from collections.abc import Mapping

CANARY = "pwned"
"""A file that a shell would make."""

HOSTILE: Mapping[str, str] = {
    "shell": f"$(touch {CANARY})`touch {CANARY}`'; touch {CANARY}; '\" && touch {CANARY} #",
    "yaml": "x\n- evil: true\n!!python/object/apply:os.system [exit]\n---\nkind: Pod # *a &a",
    "html": '"><img src=x onerror=alert(1)></title></style></textarea><script>alert(1)</script>',
    "svg": "'><svg onload=alert(1)><a href=javascript:alert(1)>x</a></svg>",
    "promql": '"} or vector(1) == 1 # {x="\n',
    "markdown": (
        "| a | b |\n\n# big\n[x](javascript:alert(1)) ![y](http://evil.example/y.png) `c` @everyone <!-- infc --> ~~~"
    ),
    "terminal": "\x1b]0;owned\x07\x1b[2J\x1b[1;31m\r\x9b2K\x08",
    "github": "x\n::error file=a,line=1::owned\n ::stop-commands::z\r::add-mask::a%0A::debug::b ##[error]c",
    "gitlab": "\x1b[0Ksection_start:1560896352:x[collapsed=true]\r\x1b[0Kx",
    "toml": '"\n[[artifact]]\nname = "evil"\n\'\'\'"""',
    "pbtxt": '"\n}\ninstance_group [ { count: 99 } ]\n# \\" \\x41',
    "systemd": "%n %h\nExecStartPre=/bin/touch\n[Install]\nAlias=evil.service",
    "template": "{{ 7*7 }}{% raw %}${{ github.token }}%s%n{0}$${HOME}",
    "direction": "a\u202eb\u2028c\u2066d\u200be",
}


def visible(text: str) -> str:
    """As much of it as a spec may hold: one line that can be printed, without a backslash."""
    return "".join(c for c in text if c.isprintable() and c != "\\")


def file_name(text: str) -> str:
    """As much of it as the path of a spec may hold: what reads as a command of a CI system is refused."""
    return visible(text).replace("/", "_").replace("##[", "[")[:80]
