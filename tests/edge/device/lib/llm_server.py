"""Stand-in of vLLM's server: what OpenAI's protocol says of one model, with tokens at a pace that the test decides.

`llm_server.py SERVE_YAML MOUNT PORT`. It reads serve.yaml as vLLM does, as far as the protocol shows it: the model's
folder must be there, the name that requests ask for is the served one, requests longer than max-model-len are refused.
"""

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import standin


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 5  # as uvicorn closes connections that are idle

    def log_message(self, *arguments):
        """Say nothing: requests are many."""

    def do_GET(self):
        """Health and the model's name."""
        if self.path == "/health":
            return self.answer(200, b"")
        if self.path == "/v1/models":
            return self.answer(200, json.dumps({"data": [{"id": self.server.settings["served-model-name"]}]}).encode())
        return self.answer(404, b"{}")

    def do_POST(self):
        """A completion of token ids, streamed."""
        request = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        settings = self.server.settings
        asked = len(request["prompt"]) + request["max_tokens"]
        if self.path != "/v1/completions" or request["model"] != settings["served-model-name"]:
            return self.answer(404, b'{"error": "The model does not exist"}')
        if asked > settings["max-model-len"]:
            return self.answer(400, b'{"error": "longer than max-model-len"}')
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        time.sleep(standin.settings().get("first_token_s", 0.005))
        for number in range(request["max_tokens"]):
            time.sleep(standin.settings().get("token_s", 0.001) if number else 0.0)
            self.event({"choices": [{"text": "a"}]})
        usage = {"prompt_tokens": len(request["prompt"]), "completion_tokens": request["max_tokens"]}
        self.event({"choices": [], "usage": usage})
        self.wfile.write(b"data: [DONE]\n\n")
        return None

    def event(self, document):
        """One server-sent event."""
        self.wfile.write(b"data: " + json.dumps(document).encode() + b"\n\n")
        self.wfile.flush()

    def answer(self, status, body):
        """A whole answer."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main():
    """Serve until the process ends."""
    standin.packages()
    import yaml

    file, mount, port = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    settings = yaml.safe_load(file.read_text())
    if not (mount / settings["model"] / "config.json").is_file():
        print("{} has no config.json".format(mount / settings["model"]), file=sys.stderr)
        return 1
    server = Server(("127.0.0.1", port), Handler)
    server.settings = settings
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
