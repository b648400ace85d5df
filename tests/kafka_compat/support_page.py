#!/usr/bin/env python3
"""Writes docs/kafka_support.md: what leatd says it serves, and which clients were seen to use it.
    support_page.py LEATD RESULTS_JSON PAGE"""
import json
import os
import re
import socket
import struct
import sys

import brokers

TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../protocol/kafka/api_table.h")
HEAD = """# Which Kafka clients work, and what they were seen to use

Written by `./dev test-clients --page` from one run of it; [tests/kafka_compat](../tests/kafka_compat/README.md) says
what a scenario is. A client that was skipped proves nothing.
"""


def received(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise SystemExit("the broker closed the connection instead of answering ApiVersions")
        data += more
    return data


def served(bootstrap):
    """{key: (lowest, highest)}, as an ApiVersions request of version 0 is answered."""
    host, port = bootstrap.rsplit(":", 1)
    request = struct.pack(">hhih", 18, 0, 1, -1)
    with socket.create_connection((host, int(port)), brokers.HANG_SECONDS) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        (length,) = struct.unpack(">i", received(connection, 4))
        answer = received(connection, length)
    _, error, count = struct.unpack_from(">ihi", answer)
    if error != 0:
        raise SystemExit(f"ApiVersions: Kafka's error {error}")
    rows = [struct.unpack_from(">hhh", answer, 10 + 6 * i) for i in range(count)]
    return {key: (lowest, highest) for key, lowest, highest in rows}


def names():
    """{key: name}, as the API table has them."""
    with open(TABLE) as file:
        return {int(key): name for name, key in re.findall(r"X\((\w+), (\d+),", file.read())}


def ranges(versions):
    """[4, 5, 6, 9] -> "4–6, 9"."""
    runs = []
    for version in versions:
        if runs and runs[-1][1] == version - 1:
            runs[-1][1] = version
        else:
            runs.append([version, version])
    return ", ".join(str(a) if a == b else f"{a}–{b}" for a, b in runs)


def clients_table(results):
    lines = ["## Clients", "| client | version | passed | failed | skipped |", "|---|---|---|---|---|"]
    for result in results:
        head = f"| {result['client']} | {result['version']} |"
        if "skipped" in result:
            lines.append(f"{head} unproven: {result['skipped']} | | |")
            continue
        of = {outcome: [s for s in result["scenarios"] if s["outcome"] == outcome]
              for outcome in ("ok", "failed", "skipped")}
        lines.append(f"{head} {len(of['ok'])} | {', '.join(s['scenario'] for s in of['failed']) or '—'} | "
                     + ("; ".join(f"{s['scenario']}: {s['why']}" for s in of["skipped"]) or "—") + " |")
    return lines


def used_by(results, api, bounds):
    """{version: [client]} of what is served; franz-go asks for ApiVersions 5 first, and is told of 4."""
    found = {}
    for result in results:
        for version in result.get("apis", {}).get(api, []):
            if not bounds[0] <= version <= bounds[1]:
                continue
            name = result["client"] if result["client"] in ("kcat", "librdkafka", "kafkajs", "franz-go",
                                                            "confluent-kafka") else \
                f"{result['client']} {result['version']}"
            found.setdefault(version, []).append(name)
    return found


def apis_table(results, ranges_served):
    lines = ["## APIs", "Served is what ApiVersions answers; used is which versions clients chose of it, in the run "
             "above. What no client", "of today chooses rests on the tests of `tests/protocol/kafka` and "
             "`tests/server/kafka`.", "", "| API | served | used by clients | not used |", "|---|---|---|---|"]
    known = names()
    for key, (lowest, highest) in sorted(ranges_served.items()):
        used = used_by(results, known[key], (lowest, highest))
        unused = [v for v in range(lowest, highest + 1) if v not in used]
        lines.append(f"| {known[key]} | {ranges(range(lowest, highest + 1))} | {ranges(sorted(used)) or '—'} | "
                     f"{ranges(unused) or '—'} |")
    lines += ["", "## Who used which version", "| API | version | clients |", "|---|---|---|"]
    for key, bounds in sorted(ranges_served.items()):
        for version, clients in sorted(used_by(results, known[key], bounds).items()):
            lines.append(f"| {known[key]} | {version} | {', '.join(clients)} |")
    return lines


def main():
    leatd, results_path, page = sys.argv[1:4]
    with open(results_path) as file:
        found = json.load(file)
    if found["broker"] != "leatd":
        raise SystemExit(f"{results_path} is of {found['broker']}, not of leatd")
    broker = brokers.Leatd(leatd)
    try:
        ranges_served = served(broker.bootstrap)
    finally:
        broker.close()
    lines = [HEAD, *clients_table(found["results"]), "", *apis_table(found["results"], ranges_served)]
    with open(page, "w") as file:
        file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
