#!/usr/bin/env python3
"""The tools that come with Kafka, as people type them. Prints RESULT lines.
    console_tools.py VERSION JARS SCRATCH BOOTSTRAP [SCENARIO...]"""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "python"))
from scenarios import HANG_SECONDS, fresh, holds, run, same, until  # noqa: E402

VERSION, JARS, SCRATCH, BOOTSTRAP = sys.argv[1:5]
OLD = VERSION.startswith("3.")
CLASSES = {
    "topics": "org.apache.kafka.tools.TopicCommand",
    "console-producer": "kafka.tools.ConsoleProducer" if OLD else "org.apache.kafka.tools.ConsoleProducer",
    "console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "configs": "kafka.admin.ConfigCommand",
    "delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
    "get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "producer-perf-test": "org.apache.kafka.tools.ProducerPerformance",
    "consumer-perf-test": "org.apache.kafka.tools.ConsumerPerformance",
    "log-dirs": "org.apache.kafka.tools.LogDirsCommand",
    "broker-api-versions": "kafka.admin.BrokerApiVersionsCommand" if OLD
                           else "org.apache.kafka.tools.BrokerApiVersionsCommand",
    "cluster": "org.apache.kafka.tools.ClusterTool",
}


def tool(name, *arguments, said=None, status=0):
    """What it printed."""
    at = [] if name.endswith("perf-test") else ["--bootstrap-server", BOOTSTRAP]
    if name == "cluster":
        arguments, at = (*arguments, *at), []
    done = subprocess.run(
        ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", f"{JARS}/*",
         CLASSES[name], *at, *arguments], input=said or "", text=True, capture_output=True,
        timeout=2 * HANG_SECONDS)
    output = done.stdout + done.stderr
    holds((done.returncode == 0) == (status == 0), f"{name} ended with {done.returncode}: {output}")
    return output


def create(partitions=1, *more):
    topic = fresh("topic")
    tool("topics", "--create", "--topic", topic, "--partitions", str(partitions),
         "--replication-factor", "1", *more)
    return topic


def contains(text, pattern):
    holds(re.search(pattern, text), f"no '{pattern}' in: {text}")


def topics():
    topic = create(3, "--config", "retention.ms=60000")
    holds(topic in tool("topics", "--list").split(), "listed")
    described = tool("topics", "--describe", "--topic", topic)
    contains(described, r"PartitionCount: ?3")
    contains(described, r"retention\.ms=60000")
    tool("topics", "--alter", "--topic", topic, "--partitions", "5")
    until(lambda: re.search(r"PartitionCount: ?5", tool("topics", "--describe", "--topic", topic)),
          "5 partitions")
    contains(tool("topics", "--create", "--topic", topic, status=1), "already exists")
    tool("topics", "--delete", "--topic", topic)
    until(lambda: topic not in tool("topics", "--list").split(), "deleted")


def produce_and_consume():
    topic = create()
    tool("console-producer", "--topic", topic, "--property", "parse.key=true",
         "--property", "parse.headers=true", said="a:1,b:2\tk1\tone\na:3\tk2\ttwo\n")
    found = tool("console-consumer", "--topic", topic, "--from-beginning", "--max-messages", "2",
                 "--property", "print.key=true", "--property", "print.headers=true",
                 "--timeout-ms", "60000")
    same(["a:1,b:2\tk1\tone", "a:3\tk2\ttwo"],
         [line for line in found.splitlines() if "\t" in line])
    found = tool("console-consumer", "--topic", topic, "--partition", "0", "--offset", "1",
                 "--max-messages", "1", "--timeout-ms", "60000")
    holds("two" in found.splitlines(), found)


def consumer_groups():
    topic, group = create(), fresh("group")
    tool("console-producer", "--topic", topic, said="".join(f"{i}\n" for i in range(10)))
    tool("console-consumer", "--topic", topic, "--from-beginning", "--max-messages", "4",
         "--group", group, "--timeout-ms", "60000")
    holds(group in tool("consumer-groups", "--list").split(), "listed")
    contains(tool("consumer-groups", "--describe", "--group", group), rf"{topic}\s+0\s+4\s+10\s+6")
    contains(tool("consumer-groups", "--describe", "--group", group, "--state"), "Empty")
    contains(tool("consumer-groups", "--reset-offsets", "--group", group, "--topic", topic,
                  "--to-offset", "7", "--dry-run"), rf"{topic}\s+0\s+7")
    tool("consumer-groups", "--reset-offsets", "--group", group, "--topic", topic, "--to-earliest",
         "--execute")
    contains(tool("consumer-groups", "--describe", "--group", group), rf"{topic}\s+0\s+0\s+10\s+10")
    tool("consumer-groups", "--delete-offsets", "--group", group, "--topic", topic)
    tool("consumer-groups", "--delete", "--group", group)
    holds(group not in tool("consumer-groups", "--list").split(), "deleted")


def configs():
    topic = create()
    of_topic = ("--entity-type", "topics", "--entity-name", topic)
    tool("configs", *of_topic, "--alter", "--add-config", "retention.ms=12345,cleanup.policy=[compact,delete]")
    found = tool("configs", *of_topic, "--describe")
    contains(found, "retention.ms=12345")
    contains(found, "cleanup.policy=compact,delete")
    tool("configs", *of_topic, "--alter", "--delete-config", "retention.ms")
    holds("retention.ms=12345" not in tool("configs", *of_topic, "--describe"), "reset")
    contains(tool("configs", *of_topic, "--describe", "--all"), r"max\.message\.bytes=")
    contains(tool("configs", "--entity-type", "brokers", "--entity-name", "1", "--describe", "--all"), "=")


def delete_records():
    topic = create()
    tool("console-producer", "--topic", topic, said="".join(f"{i}\n" for i in range(10)))
    wanted = os.path.join(SCRATCH, "delete.json")
    with open(wanted, "w") as file:
        file.write('{"version":1,"partitions":[{"topic":"%s","partition":0,"offset":4}]}' % topic)
    contains(tool("delete-records", "--offset-json-file", wanted), r"low_watermark: ?4")
    contains(tool("get-offsets", "--topic", topic, "--time", "earliest"), f"{topic}:0:4")
    contains(tool("get-offsets", "--topic", topic, "--time", "latest"), f"{topic}:0:10")
    contains(tool("get-offsets", "--topic", topic, "--time", "max-timestamp"), f"{topic}:0:")


def perf_tests():
    topic = create()
    at = ("--bootstrap-server", BOOTSTRAP)
    contains(tool("producer-perf-test", "--topic", topic, "--num-records", "20000", "--record-size",
                  "1000", "--throughput", "-1", "--producer-props", f"bootstrap.servers={BOOTSTRAP}"),
             "20000 records sent")
    count = ("--num-records" if not OLD else "--messages", "20000")
    contains(tool("consumer-perf-test", *at, "--topic", topic, *count, "--group", fresh("perf"),
                  "--timeout", "60000"), r", 20000,")


def cluster():
    contains(tool("log-dirs", "--describe"), r'"broker":1')
    contains(tool("broker-api-versions"), r"Fetch\(1\): \d+ to \d+ \[usable: \d+\]")
    contains(tool("cluster", "cluster-id"), "Cluster ID: .+")


run([topics, produce_and_consume, consumer_groups, configs, delete_records, perf_tests, cluster], sys.argv[5:])
