#!/usr/bin/env python3
"""Kafka Connect with the file connectors: a file goes through a topic into another file; standalone, and
distributed, which keeps all it knows in topics. Prints RESULT lines.
    connect.py VERSION JARS SCRATCH BOOTSTRAP [SCENARIO...]"""
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "python"))
from scenarios import HANG_SECONDS, fresh, run, until  # noqa: E402

VERSION, JARS, SCRATCH, BOOTSTRAP = sys.argv[1:5]
WORKER = f"""
bootstrap.servers={BOOTSTRAP}
key.converter=org.apache.kafka.connect.json.JsonConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
plugin.path={JARS}
plugin.discovery=service_load
offset.flush.interval.ms=500
"""


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def written(path, text):
    with open(path, "w") as file:
        file.write(text)
    return path


def start(main, *files):
    log = open(os.path.join(SCRATCH, "connect.log"), "a")
    return subprocess.Popen(
        ["java", "-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{JARS}/*",
         f"org.apache.kafka.connect.cli.{main}", *files], stdout=log, stderr=log)


def stop(worker):
    worker.send_signal(signal.SIGTERM)
    try:
        worker.wait(HANG_SECONDS)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()


def connectors(name, source, sink, topic):
    """(name, class, configuration) of both."""
    return [(f"{name}-source", {"connector.class": "FileStreamSource", "tasks.max": "1",
                                "file": source, "topic": topic}),
            (f"{name}-sink", {"connector.class": "FileStreamSink", "tasks.max": "1",
                              "file": sink, "topics": topic})]


def lines_of(path):
    if not os.path.exists(path):
        return []
    with open(path) as file:
        return file.read().splitlines()


def arrive(worker, sink, lines):
    def done():
        if worker.poll() is not None:
            with open(os.path.join(SCRATCH, "connect.log")) as log:
                raise AssertionError(f"the worker has ended: {log.read()[-1500:]}")
        return lines_of(sink) == lines
    try:
        until(done, f"{len(lines)} lines in {sink}")
    except AssertionError as error:
        with open(os.path.join(SCRATCH, "connect.log")) as log:
            raise AssertionError(f"{error}; found {lines_of(sink)[:20]}; {log.read()[-600:]}")


# A second worker goes on where the first was stopped.
def standalone():
    name, topic = fresh("standalone"), fresh("connect")
    source, sink = f"{SCRATCH}/{name}.in", f"{SCRATCH}/{name}.out"
    written(source, "one\ntwo\nthree\n")
    worker_file = written(f"{SCRATCH}/{name}.worker", WORKER +
                          f"offset.storage.file.filename={SCRATCH}/{name}.offsets\nlisteners=http://127.0.0.1:{free_port()}\n")
    files = [written(f"{SCRATCH}/{n}.properties",
                     f"name={n}\n" + "".join(f"{k}={v}\n" for k, v in configuration.items()))
             for n, configuration in connectors(name, source, sink, topic)]
    for lines in (["one", "two", "three"], ["one", "two", "three", "four"]):
        written(source, "\n".join(lines) + "\n")
        worker = start("ConnectStandalone", worker_file, *files)
        try:
            arrive(worker, sink, lines)
        finally:
            stop(worker)


def distributed():
    name, topic, port = fresh("distributed"), fresh("connect"), free_port()
    source, sink = f"{SCRATCH}/{name}.in", f"{SCRATCH}/{name}.out"
    written(source, "one\ntwo\nthree\n")
    worker_file = written(f"{SCRATCH}/{name}.worker", WORKER + f"""
group.id={name}
config.storage.topic={name}-configs
offset.storage.topic={name}-offsets
status.storage.topic={name}-status
config.storage.replication.factor=1
offset.storage.replication.factor=1
offset.storage.partitions=3
status.storage.replication.factor=1
listeners=http://127.0.0.1:{port}
""")
    worker = start("ConnectDistributed", worker_file)
    try:
        def created(n, configuration):
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/connectors/{n}/config", json.dumps(configuration).encode(),
                {"Content-Type": "application/json"}, method="PUT")
            try:
                return urllib.request.urlopen(request, timeout=HANG_SECONDS).status in (200, 201)
            except OSError:
                if worker.poll() is not None:
                    with open(os.path.join(SCRATCH, "connect.log")) as log:
                        raise AssertionError(f"the worker has ended: {log.read()[-1500:]}")
                return False
        for n, configuration in connectors(name, source, sink, topic):
            until(lambda: created(n, configuration), f"connector {n}")
        arrive(worker, sink, ["one", "two", "three"])
    finally:
        stop(worker)


run([standalone, distributed], sys.argv[5:])
