// Kafka Streams against a broker; see ../README.md for what a line of its output means.
//   java -cp JARS Streams.java BOOTSTRAP BOOTSTRAP_WITHOUT_AUTOMATIC_CREATION [SCENARIO...]
// Not here: exactly_once_v2, which needs transactions, and versioned stores (docs/kafka_settings.md).
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.*;
import org.apache.kafka.streams.*;
import org.apache.kafka.streams.kstream.*;

public class Streams {
  interface Scenario { void run() throws Exception; }

  static final long HANG_SECONDS = 60;
  static final long FIRST_TIMESTAMP = 1_700_000_000_000L;
  static String bootstrap;
  static Admin admin;
  static Path scratch;

  static String fresh(String what) { return what + "-" + UUID.randomUUID(); }
  static void holds(boolean condition, String what) { if (!condition) throw new AssertionError(what); }
  static void until(BooleanSupplier condition, String what) throws InterruptedException {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(HANG_SECONDS);
    while (!condition.getAsBoolean()) {
      holds(System.nanoTime() < deadline, "not within " + HANG_SECONDS + " s: " + what);
      Thread.sleep(20);
    }
  }
  static String topic(String name, int partitions) throws Exception {
    String topic = fresh(name);
    admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1))).all().get();
    return topic;
  }
  static void produce(String topic, String... pairs) {
    produceAt(topic, FIRST_TIMESTAMP, pairs);
  }
  /** key=value each, one second apart. */
  static void produceAt(String topic, long from, String... pairs) {
    Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap);
    try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
      long at = from;
      for (String pair : pairs) {
        String[] parts = pair.split("=", 2);
        producer.send(new ProducerRecord<>(topic, null, at, parts[0], parts[1]));
        at += 1000;
      }
    }
  }
  /** The newest value of each key, as soon as it is what is wanted. */
  static <V> void expect(String topic, Deserializer<V> values, Map<String, V> wanted) throws Exception {
    Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap);
    try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), values)) {
      var partitions = consumer.partitionsFor(topic).stream()
          .map(p -> new TopicPartition(topic, p.partition())).toList();
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      Map<String, V> newest = new TreeMap<>();
      long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(HANG_SECONDS);
      while (!newest.equals(wanted)) {
        holds(System.nanoTime() < deadline, "expected " + wanted + ", found " + newest);
        for (var record : consumer.poll(Duration.ofMillis(100))) newest.put(record.key(), record.value());
      }
    }
  }
  static KafkaStreams start(String application, Topology topology, String directory, Map<String, Object> more) {
    Properties settings = new Properties();
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, application);
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
    settings.put(StreamsConfig.STATE_DIR_CONFIG, scratch.resolve(directory).toString());
    settings.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
    settings.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
    settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 100);
    settings.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
    // Who closes does not leave its group: others wait for that.
    settings.put(ConsumerConfig.SESSION_TIMEOUT_MS_CONFIG, 6000);
    settings.putAll(more);
    KafkaStreams streams = new KafkaStreams(topology, settings);
    streams.start();
    return streams;
  }
  static void running(KafkaStreams streams) throws InterruptedException {
    until(() -> {
      holds(streams.state() != KafkaStreams.State.ERROR, "Streams failed");
      return streams.state() == KafkaStreams.State.RUNNING;
    }, "Streams runs");
  }
  static void stop(KafkaStreams streams) {
    holds(streams.close(Duration.ofSeconds(HANG_SECONDS)), "Streams closes");
  }

  static Topology words(String from, String to) {
    StreamsBuilder builder = new StreamsBuilder();
    builder.<String, String>stream(from)
        .flatMapValues(line -> Arrays.asList(line.split(" ")))
        .groupBy((key, word) -> word)
        .count(Materialized.as("counts"))
        .toStream().to(to, Produced.with(Serdes.String(), Serdes.Long()));
    return builder.build();
  }

  static void countsWords() throws Exception {
    String from = topic("lines", 3), to = topic("counts", 2), application = fresh("words");
    KafkaStreams streams = start(application, words(from, to), "words", Map.of());
    produce(from, "1=to be or not", "2=to be");
    expect(to, new LongDeserializer(), Map.of("to", 2L, "be", 2L, "or", 1L, "not", 1L));
    stop(streams);
    // Elsewhere, without what was on this disk: the changelog has it.
    streams = start(application, words(from, to), "words-elsewhere", Map.of());
    produce(from, "3=be");
    expect(to, new LongDeserializer(), Map.of("to", 2L, "be", 3L, "or", 1L, "not", 1L));
    stop(streams);
  }

  static void twoInstancesWithStandbys() throws Exception {
    String from = topic("lines", 4), to = topic("counts", 2), application = fresh("two");
    Map<String, Object> more = Map.of(
        StreamsConfig.NUM_STANDBY_REPLICAS_CONFIG, 1, StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
    KafkaStreams one = start(application, words(from, to), "one", more);
    KafkaStreams two = start(application, words(from, to), "two", more);
    running(one);
    running(two);
    produce(from, "1=a b", "2=a c", "3=a");
    expect(to, new LongDeserializer(), Map.of("a", 3L, "b", 1L, "c", 1L));
    stop(one);
    produce(from, "4=a");
    expect(to, new LongDeserializer(), Map.of("a", 4L, "b", 1L, "c", 1L));
    stop(two);
  }

  static void countsInWindows() throws Exception {
    String from = topic("clicks", 1), to = topic("windows", 1);
    StreamsBuilder builder = new StreamsBuilder();
    builder.<String, String>stream(from).groupByKey(Grouped.with(Serdes.String(), Serdes.String()))
        .windowedBy(TimeWindows.ofSizeAndGrace(Duration.ofSeconds(10), Duration.ofSeconds(5)))
        .count()
        .toStream((window, count) -> window.key() + "@" + (window.window().start() - FIRST_TIMESTAMP))
        .to(to, Produced.with(Serdes.String(), Serdes.Long()));
    KafkaStreams streams = start(fresh("windows"), builder.build(), "windows", Map.of());
    produce(from, "a=1", "a=2", "b=3");
    produceAt(from, FIRST_TIMESTAMP + 10_000, "a=4");
    expect(to, new LongDeserializer(), Map.of("a@0", 2L, "b@0", 1L, "a@10000", 1L));
    stop(streams);
  }

  static void joinsATable() throws Exception {
    String orders = topic("orders", 2), customers = topic("customers", 2), to = topic("named", 1);
    StreamsBuilder builder = new StreamsBuilder();
    KTable<String, String> names = builder.table(customers);
    GlobalKTable<String, String> everywhere = builder.globalTable(topic("countries", 2));
    builder.<String, String>stream(orders).join(names, (order, name) -> order + " of " + name)
        .leftJoin(everywhere, (key, value) -> key, (value, country) -> value + (country == null ? "" : " in " + country))
        .to(to);
    produce(customers, "1=Ann", "2=Bob");
    KafkaStreams streams = start(fresh("join"), builder.build(), "join",
        Map.of(StreamsConfig.MAX_TASK_IDLE_MS_CONFIG, 1000L));
    running(streams);
    produceAt(orders, FIRST_TIMESTAMP + 60_000, "1=tea", "2=milk");
    expect(to, new StringDeserializer(), Map.of("1", "tea of Ann", "2", "milk of Bob"));
    stop(streams);
  }

  static void suppressesUntilAWindowCloses() throws Exception {
    String from = topic("clicks", 1), to = topic("closed", 1);
    StreamsBuilder builder = new StreamsBuilder();
    builder.<String, String>stream(from).groupByKey(Grouped.with(Serdes.String(), Serdes.String()))
        .windowedBy(SessionWindows.ofInactivityGapWithNoGrace(Duration.ofSeconds(5)))
        .count(Materialized.with(Serdes.String(), Serdes.Long())).suppress(Suppressed.untilWindowCloses(Suppressed.BufferConfig.unbounded()))
        .toStream((window, count) -> window.key()).to(to, Produced.with(Serdes.String(), Serdes.Long()));
    KafkaStreams streams = start(fresh("closed"), builder.build(), "closed", Map.of());
    produce(from, "a=1", "a=2", "a=3");
    produceAt(from, FIRST_TIMESTAMP + 60_000, "b=later");
    expect(to, new LongDeserializer(), Map.of("a", 3L));
    stop(streams);
  }

  static void cleansUpItsTopics() throws Exception {
    String from = topic("lines", 1), to = topic("counts", 1), application = fresh("gone");
    KafkaStreams streams = start(application, words(from, to), "gone", Map.of());
    produce(from, "1=x");
    expect(to, new LongDeserializer(), Map.of("x", 1L));
    Set<String> own = new HashSet<>(admin.listTopics().names().get());
    own.removeIf(name -> !name.startsWith(application));
    holds(own.size() == 2, "a changelog and a repartition topic, not " + own);
    stop(streams);
    streams.cleanUp();
    admin.deleteTopics(own).all().get();
    until(() -> {
      try {
        admin.deleteConsumerGroups(List.of(application)).all().get();
        return true;
      } catch (Exception notYet) {
        return false;
      }
    }, "the group can be deleted");
  }

  public static void main(String[] arguments) throws Exception {
    bootstrap = arguments[0];
    Map<String, Scenario> scenarios = new LinkedHashMap<>();
    scenarios.put("words_are_counted_also_elsewhere", Streams::countsWords);
    scenarios.put("two_instances_with_standbys", Streams::twoInstancesWithStandbys);
    scenarios.put("windows", Streams::countsInWindows);
    scenarios.put("joins_with_tables", Streams::joinsATable);
    scenarios.put("sessions_are_told_when_they_close", Streams::suppressesUntilAWindowCloses);
    scenarios.put("what_an_application_leaves_is_deleted", Streams::cleansUpItsTopics);
    Set<String> only = new HashSet<>(Arrays.asList(arguments).subList(2, arguments.length));
    scratch = Files.createTempDirectory("streams");
    admin = Admin.create(Map.of(AdminClientConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap));
    boolean good = true;
    for (var entry : scenarios.entrySet()) {
      if (!only.isEmpty() && !only.contains(entry.getKey())) continue;
      try {
        entry.getValue().run();
        System.out.println("RESULT\t" + entry.getKey() + "\tok");
      } catch (Throwable error) {
        good = false;
        error.printStackTrace();
        System.out.println("RESULT\t" + entry.getKey() + "\tfailed\t" + String.valueOf(error).replaceAll("\\s+", " "));
      }
    }
    System.exit(good ? 0 : 1);
  }
}
