"""confluent-kafka (librdkafka, newest) against a broker. See scenarios.py."""
import sys
import threading

from confluent_kafka import (Consumer, ConsumerGroupState, KafkaError, KafkaException, Producer,
                             TopicPartition, OFFSET_BEGINNING)
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource,
                                   NewPartitions, NewTopic, OffsetSpec, ResourceType)
from confluent_kafka import ConsumerGroupTopicPartitions, TopicCollection

from scenarios import (CODECS, HANG_SECONDS, Holdings, fresh, holds, odd_records, plain_records,
                       run, same, until)

BOOTSTRAP, NO_AUTO = sys.argv[1], sys.argv[2]
admin = AdminClient({"bootstrap.servers": BOOTSTRAP})


def result(futures):
    """The one result of an admin call, or its error's name."""
    (future,) = futures.values() if isinstance(futures, dict) else (futures,)
    try:
        return future.result(HANG_SECONDS)
    except KafkaException as error:
        return error.args[0].name()


def create(partitions=1, config=None, topic=None):
    topic = topic or fresh("topic")
    same(None, result(admin.create_topics([NewTopic(topic, partitions, 1, config=config or {})])),
         "create")
    return topic


def send(topic, records, bootstrap=BOOTSTRAP, partition=0, **settings):
    """[offset or the error's name]"""
    reports = []
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5,
                         **{name.replace("_", "."): value for name, value in settings.items()}})
    def report(error, message):
        reports.append(error.name() if error else message.offset())
    for key, value, headers, timestamp in records:
        try:
            producer.produce(topic, value, key, partition, headers=headers, timestamp=timestamp,
                             on_delivery=report)
        except KafkaException as error:
            reports.append(error.args[0].name())
    same(0, producer.flush(HANG_SECONDS), "left in the queue")
    return reports


def consumer(group=None, **settings):
    return Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": group or fresh("group"),
                     "auto.offset.reset": "earliest", "enable.auto.commit": False,
                     "check.crcs": True,
                     **{name.replace("_", "."): value for name, value in settings.items()}})


def take(reader, count):
    """[message]"""
    found = []
    while len(found) < count:
        message = reader.poll(HANG_SECONDS)
        holds(message is not None, f"{len(found)} of {count} records")
        holds(message.error() is None, str(message.error()))
        found.append(message)
    return found


def as_sent(message):
    return (message.key(), message.value(), message.headers() or [], message.timestamp()[1])


def read(topic, count, offset=OFFSET_BEGINNING):
    reader = consumer()
    reader.assign([TopicPartition(topic, 0, offset)])
    found = [as_sent(message) for message in take(reader, count)]
    reader.close()
    return found


def metadata():
    found = admin.list_topics(timeout=HANG_SECONDS)
    same([BOOTSTRAP], [f"{b.host}:{b.port}" for b in found.brokers.values()], "brokers")
    holds(found.cluster_id, "a cluster id")


def codec(name):
    def scenario():
        topic = create()
        sent = odd_records()
        same(list(range(len(sent))), send(topic, sent, compression_type=name), "offsets")
        same(sent, read(topic, len(sent)), name)
    scenario.__name__ = f"produce_{name}"
    return scenario


def acks():
    for level in ("0", "1", "all"):
        topic = create()
        reports = send(topic, plain_records(100), acks=level)
        same(100, len(reports), "reports")
        holds(all(isinstance(r, int) or r is None for r in reports), f"failures: {reports}")
        same(plain_records(100), read(topic, 100), f"acks={level}")


def consume_by_offset():
    topic = create()
    send(topic, plain_records(100))
    same(plain_records(100)[37:], read(topic, 63, 37))


def consume_by_timestamp():
    topic = create()
    sent = plain_records(100)
    send(topic, sent)
    reader = consumer()
    (at,) = reader.offsets_for_times([TopicPartition(topic, 0, sent[60][3] - 999)], HANG_SECONDS)
    same(60, at.offset)
    same((0, 100), reader.get_watermark_offsets(TopicPartition(topic, 0), HANG_SECONDS))
    reader.close()


def idempotent():
    topic = create()
    sent = plain_records(2000)
    same(list(range(2000)), send(topic, sent, enable_idempotence=True, batch_num_messages=50))
    same(sent, read(topic, 2000))


def too_large():
    topic = create()
    same(["MSG_SIZE_TOO_LARGE"], send(topic, [(None, b"x" * 5000, [], 1)], message_max_bytes=2000))
    same(["MSG_SIZE_TOO_LARGE"],
         send(topic, [(None, b"x" * 9_000_000, [], 1)], message_max_bytes=20_000_000))
    same([0], send(topic, [(None, b"small", [], 1)]))


def auto_create_on():
    topic = fresh("auto")
    same([0], send(topic, plain_records(1)))
    same(plain_records(1), read(topic, 1))


def auto_create_off():
    (report,) = send(fresh("auto"), plain_records(1), NO_AUTO, topic_metadata_propagation_max_ms=1)
    holds(report in ("_UNKNOWN_TOPIC", "UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_PARTITION"), report)


class Member(threading.Thread):
    def __init__(self, name, topic, group, holdings, strategy):
        super().__init__()
        self.member, self.holdings, self.done, self.mine = name, holdings, False, set()
        self.consumer = consumer(group, session_timeout_ms=6000, heartbeat_interval_ms=200,
                                 partition_assignment_strategy=strategy)
        self.consumer.subscribe([topic], on_assign=self.gained, on_revoke=self.lost,
                                on_lost=self.lost)
        self.start()

    def gained(self, _, partitions):
        self.mine |= {p.partition for p in partitions}
        self.holdings.set(self.member, self.mine)

    def lost(self, _, partitions):
        self.mine -= {p.partition for p in partitions}
        self.holdings.set(self.member, self.mine)

    def run(self):
        while not self.done:
            message = self.consumer.poll(0.05)
            if message is not None and message.error() is None:
                self.holdings.add(message.value())
        self.consumer.close()

    def leave(self):
        self.done = True
        self.join()


def group_rebalance():
    for strategy in ("range", "cooperative-sticky"):
        topic, group, holdings = create(6), fresh("group"), Holdings(6)
        members = [Member(f"m{i}", topic, group, holdings, strategy) for i in range(2)]
        try:
            holdings.settled_among(2)
            members.append(Member("m2", topic, group, holdings, strategy))
            holdings.settled_among(3)
            members[0].leave()
            holdings.forget("m0")
            holdings.settled_among(2)
            for partition in range(6):
                send(topic, plain_records(10, f"{partition}/"), partition=partition)
            holdings.has_read({f"{p}/{i}".encode() for p in range(6) for i in range(10)})
        finally:
            for member in members:
                member.leave()


def group_resume():
    topic, group = create(), fresh("group")
    sent = plain_records(20)
    send(topic, sent)
    reader = consumer(group)
    reader.subscribe([topic])
    messages = take(reader, 7)
    reader.commit(offsets=[TopicPartition(topic, 0, 7, "what I did")], asynchronous=False)
    (committed,) = reader.committed([TopicPartition(topic, 0)], HANG_SECONDS)
    same((7, "what I did"), (committed.offset, committed.metadata))
    reader.close()
    same(sent[:7], [as_sent(m) for m in messages])
    reader = consumer(group)
    reader.subscribe([topic])
    same(sent[7:], [as_sent(m) for m in take(reader, 13)])
    reader.close()


def admin_topics():
    topic = create(3)
    same("TOPIC_ALREADY_EXISTS", result(admin.create_topics([NewTopic(topic, 3, 1)])))
    same("TOPIC_EXCEPTION", result(admin.create_topics([NewTopic("no/such name", 1, 1)])))
    same("INVALID_REPLICATION_FACTOR", result(admin.create_topics([NewTopic(fresh("t"), 1, 3)])))
    same("INVALID_PARTITIONS", result(admin.create_topics([NewTopic(fresh("t"), 0, 1)])))
    described = result(admin.describe_topics(TopicCollection([topic])))
    same(3, len(described.partitions))
    holds(str(described.topic_id) != "AAAAAAAAAAAAAAAAAAAAAA", "a topic id")
    same(None, result(admin.delete_topics([topic])))
    holds(topic not in admin.list_topics(timeout=HANG_SECONDS).topics, "deleted")
    same("UNKNOWN_TOPIC_OR_PART", result(admin.delete_topics([topic])))


def admin_partitions():
    topic = create(2)
    same(None, result(admin.create_partitions([NewPartitions(topic, 5)])))
    same(5, len(admin.list_topics(topic, HANG_SECONDS).topics[topic].partitions))
    same("INVALID_PARTITIONS", result(admin.create_partitions([NewPartitions(topic, 3)])))


def configs_of(topic):
    return {name: entry.value for name, entry in
            result(admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)])).items()}


def admin_configs():
    topic = create(1, {"retention.ms": "60000"})
    same("60000", configs_of(topic)["retention.ms"])
    def alter(name, value, operation=AlterConfigOpType.SET):
        return result(admin.incremental_alter_configs([ConfigResource(
            ResourceType.TOPIC, topic, incremental_configs=[
                ConfigEntry(name, value, incremental_operation=operation)])]))
    same(None, alter("max.message.bytes", "2000"))
    same("60000", configs_of(topic)["retention.ms"], "what is not altered")
    same(["MSG_SIZE_TOO_LARGE"], send(topic, [(None, b"x" * 3000, [], 1)]))
    same(None, alter("max.message.bytes", None, AlterConfigOpType.DELETE))
    same([0], send(topic, [(None, b"x" * 3000, [], 1)]))
    same(None, alter("cleanup.policy", "compact", AlterConfigOpType.APPEND))
    same({"compact", "delete"}, set(configs_of(topic)["cleanup.policy"].split(",")))
    same("INVALID_CONFIG", alter("retention.ms", "soon"))
    same("INVALID_CONFIG", alter("no.such.config", "1"))
    holds(result(admin.describe_configs([ConfigResource(ResourceType.BROKER, "1")])), "broker's")


def admin_delete_records():
    topic = create()
    send(topic, plain_records(10))
    same(4, result(admin.delete_records([TopicPartition(topic, 0, 4)])).low_watermark)
    same(plain_records(10)[4:], read(topic, 6))
    same("OFFSET_OUT_OF_RANGE", result(admin.delete_records([TopicPartition(topic, 0, 1000)])))


def admin_offsets():
    topic = create()
    send(topic, plain_records(10))
    at = TopicPartition(topic, 0)
    for spec, expected in ((OffsetSpec.earliest(), 0), (OffsetSpec.latest(), 10),
                           (OffsetSpec.max_timestamp(), 9)):
        same(expected, result(admin.list_offsets({at: spec})).offset)


def admin_groups():
    topic, group = create(), fresh("group")
    send(topic, plain_records(1))
    reader = consumer(group)
    reader.subscribe([topic])
    take(reader, 1)
    reader.commit(asynchronous=False)
    listed = result(admin.list_consumer_groups()).valid
    same([ConsumerGroupState.STABLE], [g.state for g in listed if g.group_id == group])
    described = result(admin.describe_consumer_groups([group]))
    same([1], [len(m.assignment.topic_partitions) for m in described.members])
    same("range", described.partition_assignor)
    same("NON_EMPTY_GROUP", result(admin.delete_consumer_groups([group])))
    reader.close()
    of_group = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0)])
    same([1], [p.offset for p in
               result(admin.list_consumer_group_offsets([of_group])).topic_partitions])
    moved = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 0)])
    same([None], [p.error for p in
                  result(admin.alter_consumer_group_offsets([moved])).topic_partitions])
    same(None, result(admin.delete_consumer_groups([group])))
    same("GROUP_ID_NOT_FOUND", result(admin.delete_consumer_groups([group])))


def admin_cluster():
    described = admin.describe_cluster().result(HANG_SECONDS)
    same([BOOTSTRAP], [f"{n.host}:{n.port}" for n in described.nodes])
    holds(described.controller.id >= 0, "a controller")


run([metadata, *(codec(name) for name in CODECS), acks, consume_by_offset, consume_by_timestamp,
     idempotent, too_large, auto_create_on, auto_create_off, group_rebalance, group_resume,
     admin_topics, admin_partitions, admin_configs, admin_delete_records, admin_offsets,
     admin_groups, admin_cluster], sys.argv[3:])
