"""``python -m dracore.testing.apiserver``: the embedded API server as a process of its own."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from dracore.testing.apiserver.gates import KNOWN
from dracore.testing.apiserver.server import EmbeddedAPI


def _gate(text: str) -> tuple[str, bool]:
    name, _, value = text.partition("=")
    if name not in KNOWN or value not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is not GATE=true or GATE=false with a known gate")
    return name, value == "true"


def main(arguments: list[str] | None = None) -> int:
    """Serves until SIGTERM or SIGINT; prints the URL as its first line."""
    parser = argparse.ArgumentParser(prog="python -m dracore.testing.apiserver", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 (default) takes a free one")
    parser.add_argument("--kubeconfig", type=Path, help="write a kubeconfig for the server here")
    parser.add_argument(
        "--state", type=Path, help="load objects from this file, and save them there at the end"
    )
    parser.add_argument("--version", default="1.37", help="Kubernetes version to behave as (1.34 to 1.37)")
    parser.add_argument("--feature-gate", type=_gate, action="append", default=[], metavar="GATE=BOOL")
    options = parser.parse_args(arguments)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    try:
        api = EmbeddedAPI(
            version=options.version, feature_gates=dict(options.feature_gate), port=options.port
        )
        if options.state and options.state.exists():
            api.load(options.state)
        api.start()
    except (OSError, ValueError) as error:
        sys.stderr.write(f"embedded API server: {error}\n")
        return 1
    if options.kubeconfig:
        api.write_kubeconfig(options.kubeconfig)
    sys.stdout.write(f"{api.url}\n")
    sys.stdout.flush()
    ended.wait()
    api.stop()
    if options.state:
        api.save(options.state)
    return 0


if __name__ == "__main__":
    sys.exit(main())
