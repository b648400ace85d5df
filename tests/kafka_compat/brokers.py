"""Fresh brokers on ports of their own: leatd, and the reference, Kafka itself."""
import glob
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

HANG_SECONDS = 60


class BrokerFailed(Exception):
    pass


def _stop(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(HANG_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Leatd:
    """A leatd on a directory of its own, at debug log level, so that it tells which versions of
    which APIs it was asked."""

    name = "leatd"

    def __init__(self, leatd, auto_create=True, arguments=()):
        self.directory = tempfile.mkdtemp(prefix="leat-compat-")
        self.log = os.path.join(self.directory, "log")
        command = [leatd, "--data-dir", os.path.join(self.directory, "data"),
                   "--listen", "kafka://127.0.0.1:0", "--listen", "leat://127.0.0.1:0",
                   "--log-level", "debug", *(["--auto-create-topics"] if auto_create else []), *arguments]
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        # It ends with its standard output if it cannot start.
        found = {}
        for line in self.process.stdout:
            found.update({scheme: address for scheme, address in
                          re.findall(r"(kafka|leat)://([0-9a-z.\[\]:]+)", line)})
            if "kafka" in found:
                break
        if "kafka" not in found:
            with open(self.log) as log:
                said = log.read().strip()
            self.close()
            raise BrokerFailed(f"leatd did not say where it serves Kafka: {said}")
        self.bootstrap = found["kafka"]

    def alive(self):
        return self.process.poll() is None

    def last_words(self):
        return _last_words(self)

    def apis_seen(self):
        """{api: [versions]} of what clients asked."""
        seen = {}
        with open(self.log, errors="replace") as log:
            for line in log:
                match = re.search(r"event=kafka_api api=(\w+) version=(\d+)", line)
                if match:
                    seen.setdefault(match[1], set()).add(int(match[2]))
        return {api: sorted(versions) for api, versions in sorted(seen.items())}

    def close(self):
        _stop(self.process)
        shutil.rmtree(self.directory, ignore_errors=True)


class Kafka:
    """Apache Kafka from its jars, one node: what a scenario must pass on before it says anything
    about leatd."""

    name = "kafka"

    def __init__(self, jars, auto_create=True):
        self.directory = tempfile.mkdtemp(prefix="kafka-reference-")
        self.log = os.path.join(self.directory, "log")
        port, controller = _free_port(), _free_port()
        self.bootstrap = f"127.0.0.1:{port}"
        properties = os.path.join(self.directory, "server.properties")
        with open(properties, "w") as file:
            file.write(f"""
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
log.dirs={self.directory}/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable={"true" if auto_create else "false"}
""")
        java = ["java", "-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                "-cp", ":".join(sorted(glob.glob(f"{jars}/*.jar")))]
        with open(self.log, "w") as log:
            subprocess.run([*java, "kafka.tools.StorageTool", "format", "-t",
                            "MkU3OEVBNTcwNTJENDM2Qg", "-c", properties],
                           stdout=log, stderr=log, check=True)
            self.process = subprocess.Popen([*java, "kafka.Kafka", properties],
                                            stdout=log, stderr=log)
        deadline = time.monotonic() + HANG_SECONDS
        while not _accepts(port):
            if not self.alive() or time.monotonic() > deadline:
                with open(self.log) as log:
                    said = log.read()[-2000:]
                self.close()
                raise BrokerFailed(f"Kafka does not listen: {said}")
            time.sleep(0.2)

    def alive(self):
        return self.process.poll() is None

    def last_words(self):
        return _last_words(self)

    def apis_seen(self):
        return {}

    def close(self):
        _stop(self.process)
        shutil.rmtree(self.directory, ignore_errors=True)


def _last_words(broker):
    with open(broker.log, errors="replace") as log:
        return f"status {broker.process.poll()}, {' '.join(log.read()[-600:].split())}"


def _free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def _accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False
