"""kafka-python against a broker. See scenarios.py. KAFKA_PYTHON_API_VERSION ("0.11", "2.3"), if set, is
the broker's version that it is told, which makes it use the API versions of that time."""
import os
import sys
import threading

from kafka import ConsumerRebalanceListener, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, OffsetSpec
from kafka.errors import (InvalidPartitionsError, InvalidReplicationFactorError, InvalidTopicError,
                          KafkaError, MessageSizeTooLargeError, OffsetOutOfRangeError,
                          TopicAlreadyExistsError, UnknownTopicOrPartitionError)
from kafka.structs import OffsetAndMetadata

from scenarios import (CODECS, HANG_SECONDS, Holdings, Skip, fresh, holds, odd_records,
                       plain_records, run, same)

BOOTSTRAP, NO_AUTO = sys.argv[1], sys.argv[2]
PINNED = os.environ.get("KAFKA_PYTHON_API_VERSION")
VERSION = tuple(int(part) for part in PINNED.split(".")) if PINNED else None
WAIT_MS = HANG_SECONDS * 1000
CONNECT = {"bootstrap_servers": BOOTSTRAP, "api_version": VERSION}
admin = KafkaAdminClient(**CONNECT)


def since(version):
    if VERSION and VERSION < version:
        raise Skip(f"brokers have it since {'.'.join(map(str, version))}")


def refused(error, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except error:
        return
    raise AssertionError(f"no {error.__name__}")


def create(partitions=1, configs=None, topic=None, replicas=1):
    topic = topic or fresh("topic")
    admin.create_topics({topic: {"num_partitions": partitions, "replication_factor": replicas,
                                 "configs": configs or {}}}, wait_for_metadata=True)
    return topic


def send(topic, records, partition=0, bootstrap=BOOTSTRAP, **settings):
    """[offset]; raises what a record failed with"""
    settings = {"compression_type": None, "linger_ms": 5, "max_block_ms": WAIT_MS,
                "enable_idempotence": False, **CONNECT, **settings,
                "bootstrap_servers": bootstrap}
    producer = KafkaProducer(**settings)
    try:
        futures = [producer.send(topic, value, key, headers, partition, timestamp)
                   for key, value, headers, timestamp in records]
        return [future.get(HANG_SECONDS).offset for future in futures]
    finally:
        producer.close(HANG_SECONDS)


def consumer(group=None, **settings):
    return KafkaConsumer(**{**CONNECT, "group_id": group, "auto_offset_reset": "earliest",
                            "enable_auto_commit": False, **settings})


def take(reader, count):
    found = []
    while len(found) < count:
        batch = reader.poll(WAIT_MS, max_records=count - len(found))
        holds(batch, f"{len(found)} of {count} records")
        found += [record for records in batch.values() for record in records]
    return found


def as_sent(record):
    return (record.key, record.value, list(record.headers), record.timestamp)


def read(topic, count, offset=0):
    reader = consumer()
    reader.assign([TopicPartition(topic, 0)])
    reader.seek(TopicPartition(topic, 0), offset)
    found = [as_sent(record) for record in take(reader, count)]
    reader.close()
    return found


def metadata():
    if VERSION and (2, 8) <= VERSION < (3, 7):
        raise Skip("this client looks for a field that version 0 of DescribeCluster does not have")
    described = admin.describe_cluster()
    same([BOOTSTRAP], [f"{b['host']}:{b['port']}" for b in described["brokers"]])
    holds(described["cluster_id"], "a cluster id")


def codec(name):
    def scenario():
        if name == "zstd":
            since((2, 1))
        topic = create()
        sent = odd_records()
        same(list(range(len(sent))),
             send(topic, sent, compression_type=None if name == "none" else name))
        same(sent, read(topic, len(sent)), name)
    scenario.__name__ = f"produce_{name}"
    return scenario


def acks():
    for level in (0, 1, "all"):
        topic = create()
        same(100, len(send(topic, plain_records(100), acks=level)))
        same(plain_records(100), read(topic, 100), f"acks={level}")


def consume_by_offset():
    topic = create()
    send(topic, plain_records(100))
    same(plain_records(100)[37:], read(topic, 63, 37))


def consume_by_timestamp():
    topic = create()
    sent = plain_records(100)
    send(topic, sent)
    reader, partition = consumer(), TopicPartition(topic, 0)
    found = reader.offsets_for_times({partition: sent[60][3] - 999})[partition]
    same((60, sent[60][3]), (found.offset, found.timestamp))
    same(None, reader.offsets_for_times({partition: sent[99][3] + 1})[partition])
    same({partition: 0}, reader.beginning_offsets([partition]))
    same({partition: 100}, reader.end_offsets([partition]))
    reader.close()


def idempotent():
    since((0, 11))
    topic = create()
    sent = plain_records(2000)
    same(list(range(2000)), send(topic, sent, enable_idempotence=True, acks="all", batch_size=4096))
    same(sent, read(topic, 2000))


def too_large():
    topic = create()
    large = [(None, b"x" * 9_000_000, [], 1)]
    refused(MessageSizeTooLargeError, send, topic, large, max_request_size=1_000_000)
    refused(MessageSizeTooLargeError, send, topic, large, max_request_size=20_000_000)
    same([0], send(topic, [(None, b"small", [], 1)]))


def auto_create_on():
    topic = fresh("auto")
    same([0], send(topic, plain_records(1)))
    same(plain_records(1), read(topic, 1))


def auto_create_off():
    refused(KafkaError, send, fresh("auto"), plain_records(1), bootstrap=NO_AUTO, max_block_ms=1000)


class Member(threading.Thread, ConsumerRebalanceListener):
    def __init__(self, name, topic, group, holdings):
        super().__init__()
        self.member, self.holdings, self.done = name, holdings, False
        self.consumer = consumer(group, session_timeout_ms=6000, heartbeat_interval_ms=200)
        self.consumer.subscribe([topic], listener=self)
        self.start()

    def on_partitions_assigned(self, assigned):
        self.holdings.set(self.member, {p.partition for p in assigned})

    def on_partitions_revoked(self, revoked):
        self.holdings.set(self.member, set())

    def run(self):
        while not self.done:
            for records in self.consumer.poll(50).values():
                for record in records:
                    self.holdings.add(record.value)
        self.consumer.close()

    def leave(self):
        self.done = True
        self.join()


def group_rebalance():
    topic, group, holdings = create(6), fresh("group"), Holdings(6)
    members = [Member(f"m{i}", topic, group, holdings) for i in range(2)]
    try:
        holdings.settled_among(2)
        members.append(Member("m2", topic, group, holdings))
        holdings.settled_among(3)
        members[0].leave()
        holdings.forget("m0")
        holdings.settled_among(2)
        for partition in range(6):
            send(topic, plain_records(10, f"{partition}/"), partition)
        holdings.has_read({f"{p}/{i}".encode() for p in range(6) for i in range(10)})
    finally:
        for member in members:
            member.leave()


def group_resume():
    topic, group = create(), fresh("group")
    sent, partition = plain_records(20), TopicPartition(topic, 0)
    send(topic, sent)
    reader = consumer(group)
    reader.subscribe([topic])
    same(sent[:7], [as_sent(record) for record in take(reader, 7)])
    reader.commit({partition: OffsetAndMetadata(7, "what I did", -1)})
    committed = reader.committed(partition, metadata=True)
    same((7, "what I did"), (committed.offset, committed.metadata))
    reader.close()
    reader = consumer(group)
    reader.subscribe([topic])
    same(sent[7:], [as_sent(record) for record in take(reader, 13)])
    reader.close()


def admin_topics():
    topic = create(3)
    refused(TopicAlreadyExistsError, create, 3, topic=topic)
    refused(InvalidTopicError, create, topic="no/such name")
    refused(InvalidReplicationFactorError, create, replicas=3)
    (described,) = admin.describe_topics([topic])
    same(3, len(described["partitions"]))
    holds(topic in admin.list_topics(), "listed")
    admin.delete_topics([topic])
    holds(topic not in admin.list_topics(), "deleted")
    refused(UnknownTopicOrPartitionError, admin.delete_topics, [topic])


def admin_partitions():
    since((1, 0))
    topic = create(2)
    admin.create_partitions({topic: 5})
    same(5, len(admin.describe_topics([topic])[0]["partitions"]))
    refused(InvalidPartitionsError, admin.create_partitions, {topic: 3})


def admin_configs():
    since((1, 1))  # version 0 of DescribeConfigs is gone from Kafka 4 too
    topic = create(1, {"retention.ms": "60000"})
    def described():
        found = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic, None)],
                                       config_filter="all")
        (configs,) = [names[topic] for names in found.values() if topic in names]
        return {name: data["value"] for name, data in configs.items()}
    def alter(**configs):
        return admin.alter_configs([ConfigResource(
            ConfigResourceType.TOPIC, topic,
            {name.replace("_", "."): value for name, value in configs.items()})])
    same("60000", described()["retention.ms"])
    alter(max_message_bytes="2000")
    same(("2000", "60000"), (described()["max.message.bytes"], described()["retention.ms"]))
    refused(MessageSizeTooLargeError, send, topic, [(None, b"x" * 3000, [], 1)])
    holds("InvalidConfig" in str(alter(retention_ms="soon")), "a retention that is no number")


def admin_delete_records():
    since((0, 11))
    topic = create()
    partition = TopicPartition(topic, 0)
    send(topic, plain_records(10))
    admin.delete_records({partition: 4})
    same(plain_records(10)[4:], read(topic, 6, 4))
    same({partition: 4}, consumer().beginning_offsets([partition]))
    refused(OffsetOutOfRangeError, admin.delete_records, {partition: 1000})


def admin_offsets():
    topic = create()
    partition = TopicPartition(topic, 0)
    send(topic, plain_records(10))
    specs = [(OffsetSpec.EARLIEST, 0), (OffsetSpec.LATEST, 10)]
    if not VERSION or VERSION >= (3, 0):
        specs.append((OffsetSpec.MAX_TIMESTAMP, 9))
    for spec, expected in specs:
        same(expected, admin.list_partition_offsets({partition: spec})[partition].offset, str(spec))


def admin_groups():
    topic, group = create(), fresh("group")
    partition = TopicPartition(topic, 0)
    send(topic, plain_records(1))
    reader = consumer(group)
    reader.subscribe([topic])
    take(reader, 1)
    reader.commit()
    holds(group in [g["group_id"] for g in admin.list_groups()], "listed")
    described = admin.describe_groups([group])[group]
    same(("Stable", 1), (described["group_state"], len(described["members"])))
    reader_left = VERSION and VERSION < (1, 1)
    if not reader_left:
        same("NonEmptyGroupError", admin.delete_groups([group])[group])
    reader.close()
    same(1, admin.list_group_offsets({group: [partition]})[group][partition].offset)
    if reader_left:
        return
    admin.alter_group_offsets(group, {partition: OffsetAndMetadata(0, "", -1)})
    same(0, admin.list_group_offsets({group: [partition]})[group][partition].offset)
    admin.delete_groups([group])
    holds(group not in [g["group_id"] for g in admin.list_groups()], "deleted")


def admin_cluster():
    since((2, 0))  # as is version 0 of DescribeLogDirs
    topic = create()
    send(topic, plain_records(10))
    (broker,) = admin.describe_log_dirs([topic])
    topics = [t for directory in broker["log_dirs"] for t in directory["topics"]]
    holds(topics and topics[0]["partitions"][0]["partition_size"] > 0, f"a size: {broker}")


run([metadata, *(codec(name) for name in CODECS), acks, consume_by_offset, consume_by_timestamp,
     idempotent, too_large, auto_create_on, auto_create_off, group_rebalance, group_resume,
     admin_topics, admin_partitions, admin_configs, admin_delete_records, admin_offsets,
     admin_groups, admin_cluster], sys.argv[3:])
