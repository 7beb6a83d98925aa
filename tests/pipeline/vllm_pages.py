"""Pages of a real vLLM, and a server on loopback that shows them.

They are those of vLLM 0.32 on a CPU, serving specs/tiny-llama as planned, before and after 240 requests of its workload
(recorded with VLLM_SERVER_DEV_MODE=1, shortened to what is read).
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from infc.ir.precision import Precision
from infc.lock.drift import Window
from infc.lock.values import LockEntry
from infc.serve.prometheus import parse_metrics

DATA = Path(__file__).parent / "data" / "vllm-0.32"
PAGES = {
    "/version": "version.json",
    "/v1/models": "models.json",
    "/server_info": "server_info.json",
    "/metrics": "last.prom",
}
WINDOW_S = 81.3
"""Between the two readings."""

SPEC = """\
apiVersion: infc.dev/v1
kind: InferenceSpec
metadata: {name: tiny-llama}
model: {checkpoint: model}
slo:
  ttft: {p99: 2s}
  tpot: {p99: 200ms}
workload:
  rate: 4/s
  prompt_tokens: {p50: 64, p90: 160, max: 256}
  output_tokens: {p50: 32, p90: 64, max: 96}
constraints: {hardware: [cpu]}
deploy: {server: vllm}
"""
"""The spec that the recorded server was planned for."""


def as_recorded(entry: LockEntry) -> LockEntry:
    """An entry with the limits that the recorded server was started with, whatever a plan would choose today."""
    choice = replace(
        entry.choice,
        precision=Precision.BF16,
        tensor_parallel=1,
        pipeline_parallel=1,
        replicas=1,
        max_num_seqs=8,
        max_num_batched_tokens=2048,
        max_model_len=352,
        kv_precision=None,
        gpu_memory_utilization=None,
        kv_cache_memory_bytes=3276800,
        prefix_caching=False,
        chunked_prefill=True,
        long_prefill_tokens=0,
        speculation=None,
    )
    predicted = replace(entry.predicted, ttft_ms={}, tpot_ms={}, latency_ms={"p50": 60_000.0}, kv_cache_tokens=3072)
    return replace(entry, choice=choice, predicted=predicted)


@dataclass(frozen=True)
class Recorded:
    """Pages of a server: path -> text, and the metrics before its requests."""

    pages: Mapping[str, str]
    first: str

    def but(self, path: str, old: str, new: str) -> "Recorded":
        """With one thing changed on one page; it must be there. A pattern of metrics changes both readings."""
        text, count = re.subn(old, new, self.pages[path])
        assert count, f"{old} is not on {path}"
        first = re.sub(old, new, self.first) if path == "/metrics" else self.first
        return Recorded(pages={**self.pages, path: text}, first=first)

    def without(self, path: str) -> "Recorded":
        """With one page that answers 404."""
        return Recorded(pages={name: text for name, text in self.pages.items() if name != path}, first=self.first)

    def window(self, duration_s: float = WINDOW_S) -> Window:
        """The time between the two readings."""
        last = parse_metrics(self.pages["/metrics"])
        running = max(last.values("vllm:num_requests_running"))
        first = parse_metrics(self.first)
        return Window(first=first, last=last, duration_s=duration_s, usage=(0.05, 0.2), running=(running,))


def recorded_pages() -> Recorded:
    """The pages as they were."""
    pages = {path: (DATA / name).read_text(encoding="utf-8") for path, name in PAGES.items()}
    return Recorded(pages=pages, first=(DATA / "first.prom").read_text(encoding="utf-8"))


@contextmanager
def serving(pages: Mapping[str, str], *, status: int = 404) -> Iterator[str]:
    """A server on loopback with these pages; any other path answers `status`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = pages.get(self.path.partition("?")[0])
            body = (page or "{}").encode()
            self.send_response(status if page is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
