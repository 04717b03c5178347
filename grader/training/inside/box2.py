"""Box 2: waits for requests (one JSON line each on standard input) and answers each with one frame of the same `id`.

Requests: {"id", "ask": "rebuild", "config", "input_shape"} -> frame `graph` {id, graph, refusal}.
"""

import json
import os
import sys


def main(writer, spec):
    """Answer requests until standard input ends; never returns."""
    from . import rebuild  # imports Keras: a few seconds, while box 1 runs

    writer.send("ready", {"keras": rebuild.keras.__version__})
    for line in sys.stdin.buffer:
        request = json.loads(line)
        graph, refusal = None, None
        try:
            graph = rebuild.graph(request["config"], request["input_shape"], spec["caps"])
        except rebuild.TooLarge as error:
            refusal = str(error)
        except Exception as error:
            refusal = f"Keras cannot build it: {type(error).__name__}: {str(error)[:300]}"
        writer.send("graph", {"id": request["id"], "graph": graph, "refusal": refusal})
    os._exit(0)
