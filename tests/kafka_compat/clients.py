"""The clients of the matrix: what each needs, how it is installed into the build directory, how it is run."""
import glob
import os
import shutil
import subprocess
import sys
import threading

import processes

HERE = os.path.dirname(os.path.abspath(__file__))
KAFKA_VERSIONS = ("4.2.0", "3.9.1")
CONFLUENT_KAFKA = "2.16.1"
KAFKA_PYTHON = "3.0.12"
# kafka-python told that the broker is of such a version, so that old versions of APIs are asked for.
OLD_BROKERS = ("0.11", "1.0", "1.1", "2.0", "2.1", "2.3", "2.4", "2.6", "2.8", "3.3")
PYTHON_PACKAGES = (f"confluent-kafka=={CONFLUENT_KAFKA}", f"kafka-python=={KAFKA_PYTHON}",
                   "lz4", "zstandard", "python-snappy", "crc32c")
INSTALL_SECONDS = 240  # of one command; from a registry that answers none takes half of it


class NotInstalled(Exception):
    """Says why in one line; nothing that a broker could be blamed for."""


def quietly(command, directory=None, **environment):
    """Raises NotInstalled, with what the command said on our standard error."""
    name = " ".join([os.path.basename(command[0]), *command[1:4]])
    try:
        status, said = processes.output_of(command, directory, environment, INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"'{name}' took more than {INSTALL_SECONDS} s") from None
    except OSError as error:
        raise NotInstalled(f"'{name}': {error}") from error
    if status != 0:
        print(said, file=sys.stderr)
        raise NotInstalled(f"'{name}' ended with status {status}")


def once(marker, content, make):
    """Makes what the marker tells of, unless it is there and says the same."""
    if os.path.exists(marker):
        with open(marker) as file:
            if file.read() == content:
                return
    make()
    with open(marker, "w") as file:
        file.write(content)


class Installations:
    """Each is made once, by the first client that needs it, and failed once for all that do."""

    def __init__(self):
        self.mutex, self.locks, self.failures = threading.Lock(), {}, {}

    def make(self, client, build):
        """Raises NotInstalled."""
        with self.mutex:
            lock = self.locks.setdefault(client.installation(), threading.Lock())
        with lock:
            if failure := self.failures.get(client.installation()):
                raise failure
            try:
                client.install(build)
            except NotInstalled as failure:
                self.failures[client.installation()] = failure
                raise
            except OSError as error:
                self.failures[client.installation()] = failure = NotInstalled(str(error))
                raise failure from error


class Client:
    tools = ()
    version = ""
    seconds = 0  # about, on two cores: the slowest are begun first

    def slug(self):
        return f"{self.name}-{self.version}".lower().replace(" ", "-").replace("/", "-")

    def missing_tools(self):
        return [tool for tool in self.tools if not shutil.which(tool)]

    def installation(self):
        """What it shares with clients of the same."""
        return self.slug()

    def install(self, build):
        """Raises NotInstalled or OSError."""

    def command(self, build, bootstrap, no_auto, scratch):
        """(arguments, environment) of its program, which prints RESULT lines."""
        raise NotImplementedError


class Kcat(Client):
    name, seconds = "kcat", 15
    tools = ("kcat",)

    def __init__(self, leatd):
        self.leatd = leatd
        self.version = "1.7.1"

    def command(self, build, bootstrap, no_auto, scratch):
        return ([f"{HERE}/kcat_test.sh", self.leatd], {"LEAT_KAFKA_BOOTSTRAP": bootstrap})


class Librdkafka(Client):
    """The test programs of ./dev test, told where the broker is."""
    name, seconds = "librdkafka", 20
    version = "2.0.2"

    def __init__(self, tests):
        self.tests = tests

    def missing_tools(self):
        return [] if glob.glob(f"{self.tests}/rdkafka_*_test") else ["built rdkafka_*_test"]

    def command(self, build, bootstrap, no_auto, scratch):
        return ([sys.executable, f"{HERE}/googletest_results.py",
                 *sorted(glob.glob(f"{self.tests}/rdkafka_*_test"))],
                {"LEAT_KAFKA_BOOTSTRAP": bootstrap, "LEAT_KAFKA_BOOTSTRAP_NO_AUTO": no_auto})


class Jars:
    """Of one version of Kafka, from Maven, what the file of dependencies names."""

    def __init__(self, version, name="java", dependencies="pom.xml"):
        self.version, self.name, self.dependencies = version, name, f"{HERE}/java/{dependencies}"

    def directory(self, build):
        return f"{build}/{self.name}-{self.version}"

    def install(self, build):
        directory = self.directory(build)
        with open(self.dependencies) as file:
            wanted = file.read()
        os.makedirs(directory, exist_ok=True)
        once(f"{directory}/installed", wanted, lambda: quietly(
            ["mvn", "-q", "-B", "-Dstyle.color=never", "-f", self.dependencies,
             "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies",
             f"-Dkafka.version={self.version}", f"-DoutputDirectory={directory}",
             "-DincludeScope=runtime"]))
        return directory

    def java(self, build, *arguments):
        return ["java", "-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                "-cp", f"{self.directory(build)}/*", *arguments]


class Java(Client):
    name, seconds = "java", 25
    tools = ("mvn", "java", "javac")

    def __init__(self, version):
        self.version, self.jars = version, Jars(version)

    def installation(self):
        return f"jars of {self.version}"

    def install(self, build):
        self.jars.install(build)

    def command(self, build, bootstrap, no_auto, scratch):
        return (self.jars.java(build, f"{HERE}/java/Scenarios.java", bootstrap, no_auto), {})


class ConsoleTools(Java):
    name, seconds = "console-tools", 80

    def command(self, build, bootstrap, no_auto, scratch):
        return ([sys.executable, f"{HERE}/java/console_tools.py", self.version,
                 self.jars.directory(build), scratch, bootstrap], {})


class Streams(Java):
    name, seconds = "streams", 60

    def __init__(self, version):
        self.version, self.jars = version, Jars(version, "streams", "streams.xml")

    def installation(self):
        return f"streams of {self.version}"

    def command(self, build, bootstrap, no_auto, scratch):
        return (self.jars.java(build, f"-Djava.io.tmpdir={scratch}", f"{HERE}/java/Streams.java",
                               bootstrap, no_auto), {})


class Connect(Java):
    name, seconds = "connect", 30

    def command(self, build, bootstrap, no_auto, scratch):
        return ([sys.executable, f"{HERE}/java/connect.py", self.version,
                 self.jars.directory(build), scratch, bootstrap], {})


class Python(Client):
    tools, seconds = ("python3",), 10

    def __init__(self, name, version, program, **environment):
        self.name, self.version, self.program = name, version, program
        self.environment = environment

    def installation(self):
        return "python"

    def install(self, build):
        def make():
            python = f"{build}/python/bin/python"
            quietly([sys.executable, "-m", "venv", "--clear", f"{build}/python"])
            quietly([python, "-m", "pip", "install", "-q", *PYTHON_PACKAGES])
            quietly([python, "-c", "import confluent_kafka, kafka, lz4, zstandard, snappy, crc32c"])
        once(f"{build}/python.installed", " ".join(PYTHON_PACKAGES), make)

    def command(self, build, bootstrap, no_auto, scratch):
        return ([f"{build}/python/bin/python", f"{HERE}/python/{self.program}", bootstrap, no_auto],
                self.environment)


class Kafkajs(Client):
    name, version, seconds = "kafkajs", "2.2.4", 100
    tools = ("node", "npm")

    def install(self, build):
        directory = f"{build}/node"
        os.makedirs(directory, exist_ok=True)
        with open(f"{HERE}/node/package.json") as file:
            wanted = file.read()

        def make():
            shutil.copy(f"{HERE}/node/package.json", directory)
            quietly(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"], directory)
            # What its package brings was compiled for another system.
            quietly(["npm", "rebuild", "lz4"], directory)
            # This machine's compiler or headers may be none that it can do with.
            quietly(["node", "-e", "require('kafkajs'); require('kafkajs-snappy'); require('kafkajs-lz4')"], directory)
        once(f"{directory}/installed", wanted, make)

    def command(self, build, bootstrap, no_auto, scratch):
        return (["node", f"{HERE}/node/scenarios.js", bootstrap, no_auto],
                {"KAFKA_COMPAT_NODE": f"{build}/node"})


class FranzGo(Client):
    name, version, seconds = "franz-go", "1.22.3", 5
    tools = ("go",)

    def install(self, build):
        quietly(["go", "build", "-o", f"{build}/franz-go", "."], f"{HERE}/go",
                GOFLAGS="-mod=readonly -modcacherw", GOMODCACHE=f"{build}/go-modules")

    def command(self, build, bootstrap, no_auto, scratch):
        return ([f"{build}/franz-go", bootstrap, no_auto], {})


def every(leatd, tests):
    return [
        Kcat(leatd), Librdkafka(tests),
        *(Java(version) for version in KAFKA_VERSIONS),
        *(ConsoleTools(version) for version in KAFKA_VERSIONS),
        Python("confluent-kafka", CONFLUENT_KAFKA, "confluent_client.py"),
        Python("kafka-python", KAFKA_PYTHON, "kafka_python_client.py"),
        *(Python("kafka-python", f"{KAFKA_PYTHON} as {old}", "kafka_python_client.py",
                 KAFKA_PYTHON_API_VERSION=old) for old in OLD_BROKERS),
        Kafkajs(), FranzGo(), Streams(KAFKA_VERSIONS[0]),
        *(Connect(version) for version in KAFKA_VERSIONS),
    ]
