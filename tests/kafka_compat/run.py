#!/usr/bin/env python3
"""The matrix of real Kafka clients: installs each into a directory, starts a fresh broker for it, runs its
scenarios, and says what became of them. ./dev test-clients calls it."""
import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading

import brokers
import clients

CLIENT_SECONDS = 900  # only a hang takes so long


def say(text):
    print(text, file=sys.stderr, flush=True)


def scenarios_of(line):
    parts = line.rstrip("\n").split("\t")
    if len(parts) >= 3 and parts[0] == "RESULT":
        return [{"scenario": parts[1], "outcome": parts[2],
                 "why": parts[3] if len(parts) > 3 else ""}]
    return []


def end(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it has ended, and so have its children


def run_client(command, environment, log):
    """[{scenario, outcome, why}] of what the program printed."""
    found, timed_out = [], threading.Event()
    with open(log, "w") as errors:
        # A group of its own, so that what it started ends with it.
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True,
                                   env={**os.environ, **environment}, start_new_session=True)
        hang = threading.Timer(CLIENT_SECONDS, lambda: (timed_out.set(), end(process)))
        hang.start()
        try:
            for line in process.stdout:
                for scenario in scenarios_of(line):
                    found.append(scenario)
                    if scenario["outcome"] != "ok":
                        say(f"    {scenario['outcome']} {scenario['scenario']}: {scenario['why']}")
            process.wait()
        finally:
            hang.cancel()
            end(process)
    why = None
    if timed_out.is_set():
        why = f"not within {CLIENT_SECONDS} s"
    elif not found or (process.returncode != 0 and all(f["outcome"] != "failed" for f in found)):
        why = f"exit status {process.returncode}"
    if why:
        found.append({"scenario": "ends", "outcome": "failed", "why": f"{why}; its output: {log}"})
        say(f"    failed: {found[-1]['why']}")
    return found


def merged(*all_seen):
    together = {}
    for seen in all_seen:
        for api, versions in seen.items():
            together[api] = sorted(set(together.get(api, [])) | set(versions))
    return dict(sorted(together.items()))


class FreshLeatd:
    """Two brokers of its own for each client."""

    def __init__(self, leatd):
        self.leatd = leatd

    def open(self):
        self.pair = [brokers.Leatd(self.leatd), brokers.Leatd(self.leatd, auto_create=False)]
        return self.pair

    def close(self):
        for broker in self.pair:
            broker.close()

    def finish(self):
        pass


class SharedKafka:
    """Two brokers for all clients, which use names nobody else has: Kafka starts slowly."""

    def __init__(self, jars):
        self.pair = [brokers.Kafka(jars), brokers.Kafka(jars, auto_create=False)]

    def open(self):
        return self.pair

    def close(self):
        pass

    def finish(self):
        for broker in self.pair:
            broker.close()


def measure(client, source, build, only):
    """One client's part of results.json."""
    result = {"client": client.name, "version": client.version, "scenarios": [], "apis": {}}
    missing = client.missing_tools()
    if missing:
        result["skipped"] = f"no {', '.join(missing)} on this machine"
        return result
    say(f"==> {client.name} {client.version}")
    try:
        client.install(build)
    except (subprocess.CalledProcessError, OSError) as error:
        # What a registry does not give is not the broker's fault, and no proof of anything.
        result["skipped"] = f"cannot be installed: {error}"
        return result
    try:
        usual, strict = source.open()
    except brokers.BrokerFailed as error:
        result["scenarios"].append({"scenario": "start", "outcome": "failed", "why": str(error)})
        return result
    try:
        log = os.path.join(build, "logs", client.slug() + ".log")
        os.makedirs(os.path.dirname(log), exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="leat-client-") as scratch:
            command, environment = client.command(build, usual.bootstrap, strict.bootstrap, scratch)
            result["scenarios"] = run_client([*command, *only], environment, log)
        for broker in (usual, strict):
            if not broker.alive():
                result["scenarios"].append({"scenario": "the broker lives", "outcome": "failed",
                                            "why": f"{broker.name} has ended: {broker.last_words()}"})
        result["apis"] = merged(usual.apis_seen(), strict.apis_seen())
    finally:
        source.close()
    return result


def summary(results):
    """A line for each client; whether nothing failed."""
    good = True
    for result in results:
        name = f"{result['client']} {result['version']}"
        if "skipped" in result:
            print(f"{name:36} skipped: {result['skipped']}")
            continue
        count = {outcome: sum(s["outcome"] == outcome for s in result["scenarios"])
                 for outcome in ("ok", "failed", "skipped")}
        failed = [s["scenario"] for s in result["scenarios"] if s["outcome"] == "failed"]
        good = good and not failed
        print(f"{name:36} {count['ok']} passed, {count['failed']} failed, {count['skipped']} "
              f"skipped{': ' + ', '.join(failed) if failed else ''}")
    return good


def interrupted(*_):
    raise KeyboardInterrupt  # so that brokers and clients are ended on the way out


def main():
    signal.signal(signal.SIGTERM, interrupted)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clients", nargs="*", help="which, by the beginning of their names; all if none")
    parser.add_argument("--leatd", required=True, help="the broker's program")
    parser.add_argument("--tests", required=True, help="where the test programs of librdkafka lie")
    parser.add_argument("--build", required=True, help="where clients are installed and results are written")
    parser.add_argument("--against-kafka", metavar="VERSION",
                        help="hold the scenarios themselves to Apache Kafka of that version")
    parser.add_argument("--only", action="append", default=[], help="a scenario; every one if none")
    arguments = parser.parse_args()
    build = os.path.abspath(arguments.build)
    os.makedirs(build, exist_ok=True)
    every = clients.every(os.path.abspath(arguments.leatd), os.path.abspath(arguments.tests))
    chosen = [c for c in every if not arguments.clients
              or any(c.slug().startswith(wanted) for wanted in arguments.clients)]
    if not chosen:
        parser.error(f"no such client; there are: {' '.join(c.slug() for c in every)}")
    if arguments.against_kafka:
        source = SharedKafka(clients.Jars(arguments.against_kafka).install(build))
    else:
        source = FreshLeatd(arguments.leatd)
    try:
        results = [measure(client, source, build, arguments.only) for client in chosen]
    finally:
        source.finish()
    written = "results.json" if not arguments.against_kafka else "results-kafka.json"
    with open(os.path.join(build, written), "w") as file:
        json.dump({"broker": arguments.against_kafka or "leatd", "results": results}, file, indent=1)
    good = summary(results)
    say(f"==> {os.path.join(build, written)}")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
