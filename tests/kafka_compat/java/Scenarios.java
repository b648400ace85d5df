// The Java client against a broker; see ../README.md for what a line of its output means.
//   java -cp JARS Scenarios.java BOOTSTRAP BOOTSTRAP_WITHOUT_AUTOMATIC_CREATION [SCENARIO...]
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.*;

public class Scenarios {
  interface Scenario { void run() throws Exception; }

  /** The client has no such thing. */
  static class Skip extends Exception { Skip(String why) { super(why); } }

  static final long HANG_SECONDS = 60;
  static final long FIRST_TIMESTAMP = 1_700_000_000_000L;
  static String bootstrap, withoutAutoCreation;
  static Admin admin;

  // ---- what is sent and read back ----

  static byte[] utf8(String text) { return text == null ? null : text.getBytes(StandardCharsets.UTF_8); }
  static String fresh(String what) { return what + "-" + UUID.randomUUID(); }

  /** A record as it can be compared. */
  static String shown(byte[] key, byte[] value, Iterable<Header> headers, long timestamp) {
    StringBuilder text = new StringBuilder();
    text.append(Arrays.toString(key)).append("=").append(Arrays.toString(value));
    for (Header header : headers)
      text.append(" ").append(header.key()).append(":").append(Arrays.toString(header.value()));
    return text.append("@").append(timestamp).toString();
  }
  static String shown(ProducerRecord<byte[], byte[]> r) {
    return shown(r.key(), r.value(), r.headers(), r.timestamp());
  }
  static String shown(ConsumerRecord<byte[], byte[]> r) {
    return shown(r.key(), r.value(), r.headers(), r.timestamp());
  }

  static ProducerRecord<byte[], byte[]> record(String topic, int index, byte[] key, byte[] value) {
    return new ProducerRecord<>(topic, 0, FIRST_TIMESTAMP + index * 1000L, key, value);
  }

  static List<ProducerRecord<byte[], byte[]>> odd(String topic) {
    byte[] everyByte = new byte[256], noise = new byte[100_000], large = new byte[200_000];
    for (int i = 0; i < 256; ++i) everyByte[i] = (byte) i;
    new java.util.Random(1).nextBytes(noise);
    Arrays.fill(large, (byte) 'x');
    List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
    byte[][][] pairs = {{utf8("key"), utf8("value")}, {null, utf8("no key")}, {utf8(""), utf8("an empty key")},
        {utf8("tombstone"), null}, {utf8("empty value"), utf8("")}, {everyByte, everyByte},
        {utf8("headers"), utf8("value")}, {utf8("large, to be compressed"), large},
        {utf8("large, not to be compressed"), noise}, {utf8("ключ"), utf8("значение")}};
    for (int i = 0; i < pairs.length; ++i) records.add(record(topic, i, pairs[i][0], pairs[i][1]));
    records.get(5).headers().add("binary", everyByte);
    records.get(6).headers().add("a", utf8("1")).add("a", utf8("2")).add("empty", utf8("")).add("none", null);
    records.get(9).headers().add("заголовок", utf8("да"));
    return records;
  }
  static List<ProducerRecord<byte[], byte[]>> plain(String topic, int count) {
    List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
    for (int i = 0; i < count; ++i) records.add(record(topic, i, utf8("key" + i), utf8("value" + i)));
    return records;
  }
  static List<String> shownFrom(List<ProducerRecord<byte[], byte[]>> records, int from) {
    return records.stream().skip(from).map(Scenarios::shown).toList();
  }

  // ---- what is expected ----

  static void same(Object expected, Object found, String what) {
    if (expected.equals(found)) return;
    String e = expected.toString(), f = String.valueOf(found);
    throw new AssertionError(what + ": expected " + e.substring(0, Math.min(300, e.length()))
        + ", found " + f.substring(0, Math.min(300, f.length())));
  }
  static void holds(boolean condition, String what) { if (!condition) throw new AssertionError(what); }
  static void until(BooleanSupplier condition, String what) throws InterruptedException {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(HANG_SECONDS);
    while (!condition.getAsBoolean()) {
      holds(System.nanoTime() < deadline, "not within " + HANG_SECONDS + " s: " + what);
      Thread.sleep(20);
    }
  }
  static <T> T wait(Future<T> future) throws Exception {
    try {
      return future.get(HANG_SECONDS, TimeUnit.SECONDS);
    } catch (ExecutionException error) {
      throw error.getCause() instanceof Exception cause ? cause : error;
    }
  }
  static void refused(Class<? extends Exception> wanted, Scenario call) throws Exception {
    try {
      call.run();
    } catch (Exception error) {
      Throwable cause = error instanceof KafkaException && error.getCause() != null
          && !wanted.isInstance(error) ? error.getCause() : error;
      holds(wanted.isInstance(cause), wanted.getSimpleName() + " expected, found " + error);
      return;
    }
    throw new AssertionError("no " + wanted.getSimpleName());
  }

  // ---- clients ----

  static Map<String, Object> with(Object... settings) {
    Map<String, Object> all = new HashMap<>(Map.of("bootstrap.servers", bootstrap));
    for (int i = 0; i < settings.length; i += 2) all.put((String) settings[i], settings[i + 1]);
    return all;
  }
  static List<RecordMetadata> send(List<ProducerRecord<byte[], byte[]>> records, Object... settings)
      throws Exception {
    Map<String, Object> all = with("linger.ms", 5);
    all.putAll(with(settings));
    try (var producer = new KafkaProducer<>(all, new ByteArraySerializer(), new ByteArraySerializer())) {
      List<Future<RecordMetadata>> futures = new ArrayList<>();
      for (var record : records) futures.add(producer.send(record));
      List<RecordMetadata> sent = new ArrayList<>();
      for (var future : futures) sent.add(wait(future));
      return sent;
    }
  }
  static KafkaConsumer<byte[], byte[]> consumer(Object... settings) {
    Map<String, Object> all = with("auto.offset.reset", "earliest", "enable.auto.commit", false);
    all.putAll(with(settings));
    return new KafkaConsumer<>(all, new ByteArrayDeserializer(), new ByteArrayDeserializer());
  }
  static List<String> take(KafkaConsumer<byte[], byte[]> consumer, int count) {
    List<String> found = new ArrayList<>();
    while (found.size() < count) {
      var records = consumer.poll(Duration.ofSeconds(HANG_SECONDS));
      holds(!records.isEmpty(), found.size() + " of " + count + " records");
      for (var record : records) found.add(shown(record));
    }
    return found;
  }
  static List<String> read(String topic, int count, long from) {
    TopicPartition partition = new TopicPartition(topic, 0);
    try (var consumer = consumer()) {
      consumer.assign(List.of(partition));
      consumer.seek(partition, from);
      return take(consumer, count);
    }
  }
  static String create(int partitions, Map<String, String> configs) throws Exception {
    String topic = fresh("topic");
    wait(admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1).configs(configs))).all());
    until(() -> partitionsOf(topic) == partitions, topic + " is known");
    return topic;
  }
  // A Kafka broker answers from a view of the cluster that is a moment behind.
  static int partitionsOf(String topic) {
    try {
      return wait(admin.describeTopics(List.of(topic)).allTopicNames()).get(topic).partitions().size();
    } catch (Exception unknown) {
      return 0;
    }
  }
  static String create(int partitions) throws Exception { return create(partitions, Map.of()); }

  // ---- scenarios ----

  static void metadata() throws Exception {
    var cluster = admin.describeCluster();
    same(List.of(bootstrap), wait(cluster.nodes()).stream().map(n -> n.host() + ":" + n.port()).toList(), "nodes");
    holds(!wait(cluster.clusterId()).isEmpty(), "a cluster id");
    holds(wait(cluster.controller()) != null, "a controller");
  }
  static void produce(String codec) throws Exception {
    String topic = create(1);
    var records = odd(topic);
    send(records, "compression.type", codec);
    same(shownFrom(records, 0), read(topic, records.size(), 0), codec);
  }
  static void acks() throws Exception {
    for (String level : List.of("0", "1", "all")) {
      String topic = create(1);
      var sent = send(plain(topic, 100), "acks", level, "enable.idempotence", false);
      if (!level.equals("0")) same(99L, sent.get(99).offset(), "the last offset");
      same(shownFrom(plain(topic, 100), 0), read(topic, 100, 0), "acks=" + level);
    }
  }
  static void consumeByOffset() throws Exception {
    String topic = create(1);
    send(plain(topic, 100));
    same(shownFrom(plain(topic, 100), 37), read(topic, 63, 37), "from 37");
  }
  static void consumeByTimestamp() throws Exception {
    String topic = create(1);
    TopicPartition partition = new TopicPartition(topic, 0);
    send(plain(topic, 100));
    try (var consumer = consumer()) {
      var found = consumer.offsetsForTimes(Map.of(partition, FIRST_TIMESTAMP + 60_000 - 999)).get(partition);
      same(60L, found.offset(), "offset");
      same(FIRST_TIMESTAMP + 60_000, found.timestamp(), "timestamp");
      holds(consumer.offsetsForTimes(Map.of(partition, FIRST_TIMESTAMP + 100_000)).get(partition) == null,
            "none behind the last");
      same(Map.of(partition, 0L), consumer.beginningOffsets(List.of(partition)), "beginning");
      same(Map.of(partition, 100L), consumer.endOffsets(List.of(partition)), "end");
    }
  }
  static void idempotent() throws Exception {
    String topic = create(1);
    var sent = send(plain(topic, 2000), "enable.idempotence", true, "batch.size", 4096);
    same(1999L, sent.get(1999).offset(), "the last offset");
    same(shownFrom(plain(topic, 2000), 0), read(topic, 2000, 0), "records");
  }
  static void tooLarge() throws Exception {
    String topic = create(1);
    var large = List.of(record(topic, 0, null, new byte[9_000_000]));
    refused(RecordTooLargeException.class, () -> send(large));
    refused(RecordTooLargeException.class, () -> send(large, "max.request.size", 20_000_000));
    same(0L, send(plain(topic, 1)).get(0).offset(), "offset");
  }
  // What is too large as a batch, but no record of it alone, the client splits and sends again.
  static void tooLargeBatchIsSplit() throws Exception {
    if (org.apache.kafka.common.utils.AppInfoParser.getVersion().startsWith("3."))
      throw new Skip("this client splits by batch.size, and never ends (KAFKA-8350)");
    String topic = create(1, Map.of("max.message.bytes", "20000"));
    List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
    for (int i = 0; i < 50; ++i) records.add(record(topic, i, utf8("key" + i), new byte[1000]));
    send(records, "batch.size", 1_000_000, "linger.ms", 100);
    same(shownFrom(records, 0), read(topic, 50, 0), "records");
  }
  static void autoCreateOn() throws Exception {
    String topic = fresh("auto");
    same(0L, send(plain(topic, 1)).get(0).offset(), "offset");
    same(shownFrom(plain(topic, 1), 0), read(topic, 1, 0), "records");
  }
  static void autoCreateOff() throws Exception {
    refused(org.apache.kafka.common.errors.TimeoutException.class,
            () -> send(plain(fresh("auto"), 1), "bootstrap.servers", withoutAutoCreation, "max.block.ms", 1000));
  }

  /** Who holds which partitions, and what all have read. */
  static class Holdings {
    final Map<String, Set<Integer>> held = new TreeMap<>();
    final Set<String> read = new HashSet<>();
    synchronized void set(String member, Set<Integer> partitions) { held.put(member, Set.copyOf(partitions)); }
    synchronized void forget(String member) { held.remove(member); }
    synchronized void add(String value) { read.add(value); }
    synchronized boolean settled(int members, int partitions) {
      List<Integer> all = new ArrayList<>();
      held.values().forEach(all::addAll);
      return held.values().stream().filter(h -> !h.isEmpty()).count() == members
          && all.size() == partitions && Set.copyOf(all).size() == partitions;
    }
    void settledAmong(int members) throws InterruptedException {
      until(() -> settled(members, 6), "6 partitions among " + members + ": " + held);
    }
  }
  static class Member extends Thread implements ConsumerRebalanceListener {
    final String member;
    final Holdings holdings;
    final KafkaConsumer<byte[], byte[]> consumer;
    final Set<Integer> mine = new HashSet<>();
    volatile boolean done;
    Member(String member, String topic, String group, String assignor, Holdings holdings) {
      this.member = member;
      this.holdings = holdings;
      consumer = consumer("group.id", group, "client.id", member, "heartbeat.interval.ms", 200,
          "session.timeout.ms", 6000, "partition.assignment.strategy",
          "org.apache.kafka.clients.consumer." + assignor);
      consumer.subscribe(List.of(topic), this);
      start();
    }
    @Override public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
      partitions.forEach(p -> mine.add(p.partition()));
      holdings.set(member, mine);
    }
    @Override public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
      partitions.forEach(p -> mine.remove(p.partition()));
      holdings.set(member, mine);
    }
    @Override public void run() {
      while (!done)
        for (var record : consumer.poll(Duration.ofMillis(50)))
          holdings.add(record.partition() + "/" + new String(record.value(), StandardCharsets.UTF_8));
      consumer.close();
    }
    void leave() throws InterruptedException { done = true; join(); }
  }
  static void groupRebalance() throws Exception {
    for (String assignor : List.of("RangeAssignor", "CooperativeStickyAssignor")) {
      String topic = create(6), group = fresh("group");
      Holdings holdings = new Holdings();
      List<Member> members = new ArrayList<>();
      for (String name : List.of("m0", "m1")) members.add(new Member(name, topic, group, assignor, holdings));
      holdings.settledAmong(2);
      members.add(new Member("m2", topic, group, assignor, holdings));
      holdings.settledAmong(3);
      members.get(0).leave();
      holdings.forget("m0");
      holdings.settledAmong(2);
      Set<String> sent = new HashSet<>();
      List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
      for (int partition = 0; partition < 6; ++partition)
        for (int i = 0; i < 10; ++i) {
          records.add(new ProducerRecord<>(topic, partition, null, utf8("" + i)));
          sent.add(partition + "/" + i);
        }
      send(records);
      until(() -> { synchronized (holdings) { return holdings.read.equals(sent); } }, "every record read");
      for (Member member : members) member.leave();
    }
  }
  static void groupResume() throws Exception {
    String topic = create(1), group = fresh("group");
    TopicPartition partition = new TopicPartition(topic, 0);
    send(plain(topic, 20));
    try (var consumer = consumer("group.id", group, "max.poll.records", 7)) {
      consumer.subscribe(List.of(topic));
      same(shownFrom(plain(topic, 7), 0), take(consumer, 7), "the first");
      consumer.commitSync(Map.of(partition, new OffsetAndMetadata(7, "what I did")));
      var committed = consumer.committed(Set.of(partition)).get(partition);
      same(7L, committed.offset(), "committed");
      same("what I did", committed.metadata(), "metadata");
    }
    try (var consumer = consumer("group.id", group)) {
      consumer.subscribe(List.of(topic));
      same(shownFrom(plain(topic, 20), 7), take(consumer, 13), "the others");
    }
  }
  // A static member that comes back within its session keeps its partitions; the offset stands.
  static void staticMember() throws Exception {
    String topic = create(1), group = fresh("group");
    send(plain(topic, 2));
    for (int round = 0; round < 2; ++round)
      try (var consumer = consumer("group.id", group, "group.instance.id", "one", "max.poll.records", 1)) {
        consumer.subscribe(List.of(topic));
        same(List.of(shownFrom(plain(topic, 2), round).get(0)), take(consumer, 1), "round " + round);
        consumer.commitSync();
      }
  }

  static void adminTopics() throws Exception {
    String topic = create(3);
    refused(TopicExistsException.class, () -> wait(admin.createTopics(List.of(new NewTopic(topic, 3, (short) 1))).all()));
    refused(InvalidTopicException.class, () -> wait(admin.createTopics(List.of(new NewTopic("no/such name", 1, (short) 1))).all()));
    refused(InvalidReplicationFactorException.class, () -> wait(admin.createTopics(List.of(new NewTopic(fresh("t"), 1, (short) 3))).all()));
    refused(InvalidPartitionsException.class, () -> wait(admin.createTopics(List.of(new NewTopic(fresh("t"), 0, (short) 1))).all()));
    String byDefault = fresh("default");
    wait(admin.createTopics(List.of(new NewTopic(byDefault, Optional.empty(), Optional.empty()))).all());
    var described = wait(admin.describeTopics(List.of(topic)).allTopicNames()).get(topic);
    same(3, described.partitions().size(), "partitions");
    holds(!described.topicId().equals(Uuid.ZERO_UUID), "a topic id");
    same(topic, wait(admin.describeTopics(TopicCollection.ofTopicIds(List.of(described.topicId()))).allTopicIds())
        .get(described.topicId()).name(), "described by its id");
    holds(wait(admin.listTopics().names()).containsAll(Set.of(topic, byDefault)), "listed");
    wait(admin.deleteTopics(TopicCollection.ofTopicIds(List.of(described.topicId()))).all());
    until(() -> partitionsOf(topic) == 0, "deleted");
    holds(!wait(admin.listTopics().names()).contains(topic), "listed no more");
    refused(UnknownTopicOrPartitionException.class, () -> wait(admin.deleteTopics(List.of(topic)).all()));
    refused(UnknownTopicIdException.class, () -> wait(admin.deleteTopics(
        TopicCollection.ofTopicIds(List.of(described.topicId()))).all()));
  }
  static void adminPartitions() throws Exception {
    String topic = create(2);
    wait(admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(5))).all());
    until(() -> partitionsOf(topic) == 5, "5 partitions");
    refused(InvalidPartitionsException.class, () -> wait(admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(3))).all()));
  }
  static String config(String topic, String name) throws Exception {
    ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
    return wait(admin.describeConfigs(List.of(resource)).all()).get(resource).get(name).value();
  }
  static void alter(String topic, String name, String value, AlterConfigOp.OpType how) throws Exception {
    wait(admin.incrementalAlterConfigs(Map.of(new ConfigResource(ConfigResource.Type.TOPIC, topic),
        List.of(new AlterConfigOp(new ConfigEntry(name, value), how)))).all());
  }
  static void adminConfigs() throws Exception {
    String topic = create(1, Map.of("retention.ms", "60000"));
    same("60000", config(topic, "retention.ms"), "as created");
    alter(topic, "max.message.bytes", "2000", AlterConfigOp.OpType.SET);
    same("60000", config(topic, "retention.ms"), "what is not altered");
    refused(RecordTooLargeException.class, () -> send(List.of(record(topic, 0, null, new byte[3000]))));
    alter(topic, "max.message.bytes", null, AlterConfigOp.OpType.DELETE);
    send(List.of(record(topic, 0, null, new byte[3000])));
    alter(topic, "cleanup.policy", "compact", AlterConfigOp.OpType.APPEND);
    same(Set.of("compact", "delete"), Set.of(config(topic, "cleanup.policy").split(",")), "appended");
    alter(topic, "cleanup.policy", "compact", AlterConfigOp.OpType.SUBTRACT);
    same("delete", config(topic, "cleanup.policy"), "subtracted");
    refused(InvalidConfigurationException.class, () -> alter(topic, "retention.ms", "soon", AlterConfigOp.OpType.SET));
    refused(InvalidConfigurationException.class, () -> alter(topic, "no.such.config", "1", AlterConfigOp.OpType.SET));
    ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, "1");
    holds(!wait(admin.describeConfigs(List.of(broker)).all()).get(broker).entries().isEmpty(), "the broker's");
    // Times as the broker sees them.
    alter(topic, "message.timestamp.type", "LogAppendTime", AlterConfigOp.OpType.SET);
    long before = System.currentTimeMillis() - 60_000;
    holds(send(plain(topic, 1)).get(0).timestamp() >= before, "the broker's time in the answer");
    try (var consumer = consumer()) {
      TopicPartition partition = new TopicPartition(topic, 0);
      consumer.assign(List.of(partition));
      consumer.seek(partition, 1);
      for (var record : consumer.poll(Duration.ofSeconds(HANG_SECONDS)))
        holds(record.timestamp() >= before, "the broker's time in the record: " + record.timestamp());
    }
  }
  static void compactedTopic() throws Exception {
    String topic = create(1, Map.of("cleanup.policy", "compact"));
    refused(InvalidRecordException.class, () -> send(List.of(record(topic, 0, null, utf8("no key")))));
    same(0L, send(plain(topic, 1)).get(0).offset(), "offset");
  }
  static void adminDeleteRecords() throws Exception {
    String topic = create(1);
    TopicPartition partition = new TopicPartition(topic, 0);
    send(plain(topic, 10));
    var deleted = admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(4)));
    same(4L, wait(deleted.lowWatermarks().get(partition)).lowWatermark(), "low watermark");
    same(shownFrom(plain(topic, 10), 4), read(topic, 6, 4), "what is left");
    try (var consumer = consumer()) {
      same(Map.of(partition, 4L), consumer.beginningOffsets(List.of(partition)), "beginning");
    }
    refused(org.apache.kafka.common.errors.OffsetOutOfRangeException.class,
        () -> wait(admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(1000))).all()));
  }
  static void adminOffsets() throws Exception {
    String topic = create(1);
    TopicPartition partition = new TopicPartition(topic, 0);
    send(plain(topic, 10));
    Map<OffsetSpec, Long> expected = new LinkedHashMap<>();
    expected.put(OffsetSpec.earliest(), 0L);
    expected.put(OffsetSpec.latest(), 10L);
    expected.put(OffsetSpec.maxTimestamp(), 9L);
    expected.put(OffsetSpec.forTimestamp(FIRST_TIMESTAMP + 4_500), 5L);
    for (var spec : expected.entrySet())
      same(spec.getValue(), wait(admin.listOffsets(Map.of(partition, spec.getKey())).partitionResult(partition)).offset(),
           spec.getKey().getClass().getSimpleName());
  }
  @SuppressWarnings("removal")  // what replaces it is not in 3.9
  static void adminGroups() throws Exception {
    String topic = create(1), group = fresh("group");
    TopicPartition partition = new TopicPartition(topic, 0);
    send(plain(topic, 1));
    try (var consumer = consumer("group.id", group)) {
      consumer.subscribe(List.of(topic));
      take(consumer, 1);
      consumer.commitSync();
      holds(wait(admin.listConsumerGroups().all()).stream().anyMatch(g -> g.groupId().equals(group)), "listed");
      var described = wait(admin.describeConsumerGroups(List.of(group)).all()).get(group);
      same(1, described.members().size(), "members");
      same(Set.of(partition), described.members().iterator().next().assignment().topicPartitions(), "assignment");
      same("range", described.partitionAssignor(), "assignor");
      refused(GroupNotEmptyException.class, () -> wait(admin.deleteConsumerGroups(List.of(group)).all()));
    }
    same(1L, wait(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()).get(partition).offset(), "committed");
    wait(admin.alterConsumerGroupOffsets(group, Map.of(partition, new OffsetAndMetadata(0))).all());
    same(0L, wait(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()).get(partition).offset(), "altered");
    wait(admin.deleteConsumerGroupOffsets(group, Set.of(partition)).all());
    holds(wait(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()).isEmpty(), "offsets deleted");
    wait(admin.alterConsumerGroupOffsets(group, Map.of(partition, new OffsetAndMetadata(0))).all());
    wait(admin.deleteConsumerGroups(List.of(group)).all());
    refused(GroupIdNotFoundException.class, () -> wait(admin.deleteConsumerGroups(List.of(group)).all()));
  }
  static void adminCluster() throws Exception {
    String topic = create(1);
    send(plain(topic, 100));
    var directories = wait(admin.describeLogDirs(List.of(1)).allDescriptions()).get(1);
    var size = directories.values().stream().flatMap(d -> d.replicaInfos().entrySet().stream())
        .filter(r -> r.getKey().topic().equals(topic)).mapToLong(r -> r.getValue().size()).sum();
    holds(size > 0, "a size of the topic in " + directories);
  }

  public static void main(String[] arguments) {
    bootstrap = arguments[0];
    withoutAutoCreation = arguments[1];
    admin = Admin.create(with());
    Map<String, Scenario> scenarios = new LinkedHashMap<>();
    scenarios.put("metadata", Scenarios::metadata);
    for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd"))
      scenarios.put("produce_" + codec, () -> produce(codec));
    scenarios.put("acks", Scenarios::acks);
    scenarios.put("consume_by_offset", Scenarios::consumeByOffset);
    scenarios.put("consume_by_timestamp", Scenarios::consumeByTimestamp);
    scenarios.put("idempotent", Scenarios::idempotent);
    scenarios.put("too_large", Scenarios::tooLarge);
    scenarios.put("too_large_batch_is_split", Scenarios::tooLargeBatchIsSplit);
    scenarios.put("auto_create_on", Scenarios::autoCreateOn);
    scenarios.put("auto_create_off", Scenarios::autoCreateOff);
    scenarios.put("group_rebalance", Scenarios::groupRebalance);
    scenarios.put("group_resume", Scenarios::groupResume);
    scenarios.put("static_member", Scenarios::staticMember);
    scenarios.put("admin_topics", Scenarios::adminTopics);
    scenarios.put("admin_partitions", Scenarios::adminPartitions);
    scenarios.put("admin_configs", Scenarios::adminConfigs);
    scenarios.put("compacted_topic", Scenarios::compactedTopic);
    scenarios.put("admin_delete_records", Scenarios::adminDeleteRecords);
    scenarios.put("admin_offsets", Scenarios::adminOffsets);
    scenarios.put("admin_groups", Scenarios::adminGroups);
    scenarios.put("admin_cluster", Scenarios::adminCluster);
    Set<String> only = new HashSet<>(Arrays.asList(arguments).subList(2, arguments.length));
    boolean failed = false;
    for (var scenario : scenarios.entrySet()) {
      if (!only.isEmpty() && !only.contains(scenario.getKey())) continue;
      String outcome = "ok", why = "";
      try {
        scenario.getValue().run();
      } catch (Skip skip) {
        outcome = "skipped";
        why = skip.getMessage();
      } catch (Throwable error) {
        outcome = "failed";
        why = error.toString().replaceAll("\\s+", " ");
        why = why.substring(0, Math.min(600, why.length()));
        failed = true;
        error.printStackTrace();
      }
      System.out.println("RESULT\t" + scenario.getKey() + "\t" + outcome + "\t" + why);
      System.out.flush();
    }
    admin.close(Duration.ofSeconds(1));
    System.exit(failed ? 1 : 0);
  }
}
