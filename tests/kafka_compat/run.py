#!/usr/bin/env python3
"""The matrix of real Kafka clients: installs each into a directory, starts a fresh broker for it, runs its
scenarios, and says what became of them. ./dev test-clients calls it."""
import argparse
import concurrent.futures
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

import brokers
import clients
import processes

CLIENT_SECONDS = 600  # only a hang takes so long


def say(text):
    print(text + "\n", end="", file=sys.stderr, flush=True)  # in one piece, whoever else says something


def scenarios_of(line):
    parts = line.rstrip("\n").split("\t")
    if len(parts) >= 3 and parts[0] == "RESULT":
        return [{"scenario": parts[1], "outcome": parts[2],
                 "why": parts[3] if len(parts) > 3 else ""}]
    return []


def run_client(name, command, environment, log):
    """[{scenario, outcome, why}] of what the program printed."""
    found, timed_out = [], threading.Event()
    with open(log, "w") as errors:
        process = processes.start(command, environment=environment, stdout=subprocess.PIPE, stderr=errors)
        hang = threading.Timer(CLIENT_SECONDS, lambda: (timed_out.set(), processes.end(process)))
        hang.start()
        try:
            for line in process.stdout:
                for scenario in scenarios_of(line):
                    found.append(scenario)
                    if scenario["outcome"] != "ok":
                        say(f"    {name}: {scenario['outcome']} {scenario['scenario']}: {scenario['why']}")
            process.wait()
        finally:
            hang.cancel()
            processes.end(process)
    why = None
    if timed_out.is_set():
        why = f"not within {CLIENT_SECONDS} s"
    elif not found or (process.returncode != 0 and all(f["outcome"] != "failed" for f in found)):
        why = f"exit status {process.returncode}"
    if why:
        found.append({"scenario": "ends", "outcome": "failed", "why": f"{why}; its output: {log}"})
        say(f"    {name}: failed: {found[-1]['why']}")
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
        usual = brokers.Leatd(self.leatd)
        try:
            return usual, brokers.Leatd(self.leatd, auto_create=False)
        except brokers.BrokerFailed:
            usual.close()
            raise

    def close(self, pair):
        for broker in pair:
            broker.close()

    def finish(self):
        pass


class SharedKafka:
    """Two brokers for all clients, which use names nobody else has: Kafka starts slowly."""

    def __init__(self, jars):
        self.pair = brokers.Kafka(jars), brokers.Kafka(jars, auto_create=False)

    def open(self):
        return self.pair

    def close(self, pair):
        pass

    def finish(self):
        for broker in self.pair:
            broker.close()


def measure(client, source, installations, build, only):
    """One client's part of results.json."""
    name = f"{client.name} {client.version}"
    result = {"client": client.name, "version": client.version, "scenarios": [], "apis": {}}
    missing = client.missing_tools()
    if missing:
        result["skipped"] = f"no {', '.join(missing)} on this machine"
        return result
    say(f"==> {name}")
    try:
        installations.make(client, build)
    except clients.NotInstalled as why:
        # What a registry does not give is not the broker's fault, and no proof of anything.
        result["skipped"] = f"cannot be installed: {why}"
        return result
    begun = time.monotonic()
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
            result["scenarios"] = run_client(name, [*command, *only], environment, log)
        for broker in (usual, strict):
            if not broker.alive():
                result["scenarios"].append({"scenario": "the broker lives", "outcome": "failed",
                                            "why": f"{broker.name} has ended: {broker.last_words()}"})
        result["apis"] = merged(usual.apis_seen(), strict.apis_seen())
    finally:
        source.close((usual, strict))
    say(f"    {name}: {time.monotonic() - begun:.0f} s")
    return result


def measure_all(chosen, source, build, only, jobs):
    """What measure() gives of each, in their order; the slowest are begun first."""
    installations = clients.Installations()
    pool = concurrent.futures.ThreadPoolExecutor(jobs)
    try:
        begun = {client: pool.submit(measure, client, source, installations, build, only)
                 for client in sorted(chosen, key=lambda client: -client.seconds)}
        return [begun[client].result() for client in chosen]
    except BaseException:  # interrupted, or a bug: what is under way is ended
        pool.shutdown(wait=False, cancel_futures=True)
        processes.end_all()
        raise
    finally:
        pool.shutdown()


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
    parser.add_argument("--jobs", type=int, default=2, help="clients at a time, each with brokers of its own")
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
        try:
            source = SharedKafka(clients.Jars(arguments.against_kafka).install(build))
        except clients.NotInstalled as why:
            parser.error(f"Kafka {arguments.against_kafka} cannot be installed: {why}")
    else:
        source = FreshLeatd(arguments.leatd)
    try:
        results = measure_all(chosen, source, build, arguments.only, arguments.jobs)
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
