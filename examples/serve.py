"""Serve a stored classifier: POST rows as JSON, and get their probabilities.

Run it with ``python examples/serve.py model.skn``, on the file that ``estimator.save`` has written.
"""

from __future__ import annotations

import argparse
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import skneural


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # a client may send many requests over one connection

    def do_POST(self) -> None:
        try:
            rows = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.answer(200, self.server.classifier.predict_proba(rows).tolist())
        except (TypeError, ValueError) as error:
            self.answer(400, {"error": str(error)})

    def answer(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


class Service(ThreadingHTTPServer):
    """One thread a connection: they predict side by side, from one estimator."""

    request_queue_size = 64  # connections that may wait

    def __init__(self, path: Path, port: int) -> None:
        self.classifier = skneural.load(path)
        super().__init__(("127.0.0.1", port), Answer)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve a stored classifier over HTTP.")
    parser.add_argument("path", type=Path, help="a file that estimator.save has written")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one (default: %(default)s)")
    options = parser.parse_args()
    with Service(options.path, options.port) as service:
        print(f"Serving {options.path} at http://127.0.0.1:{service.server_port}", flush=True)
        service.serve_forever()
