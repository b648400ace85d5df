// kafkajs against a broker; see ../README.md for what a line of its output means.
//   node scenarios.js BOOTSTRAP BOOTSTRAP_WITHOUT_AUTOMATIC_CREATION [SCENARIO...]
'use strict';
const crypto = require('crypto');
const path = require('path');
const { createRequire } = require('module');

// Packages lie where they were installed, not beside this file.
const installed = createRequire(path.join(process.env.KAFKA_COMPAT_NODE || __dirname, 'package.json'));
const { Kafka, CompressionTypes, CompressionCodecs, ConfigResourceTypes, Partitioners, logLevel } = installed('kafkajs');
CompressionCodecs[CompressionTypes.Snappy] = installed('kafkajs-snappy');
CompressionCodecs[CompressionTypes.LZ4] = new (installed('kafkajs-lz4'))().codec;

const [bootstrap, noAuto, ...only] = process.argv.slice(2);
const HANG_MS = 60000;
const FIRST_TIMESTAMP = 1700000000000;

const kafkaAt = (broker) => new Kafka({ brokers: [broker], logLevel: logLevel.NOTHING, requestTimeout: HANG_MS,
  retry: { retries: 8, initialRetryTime: 50 } });
const kafka = kafkaAt(bootstrap);
const admin = kafka.admin();

// ---- what is expected ----

function same(expected, found, what) {
  const e = JSON.stringify(expected), f = JSON.stringify(found);
  if (e !== f) throw new Error(`${what}: expected ${e.slice(0, 300)}, found ${String(f).slice(0, 300)}`);
}
function holds(condition, what) { if (!condition) throw new Error(what); }
async function refused(type, call) {
  try { await call(); } catch (error) {
    const types = [error, error.cause, ...(error.errors || []), ...(error.groups || []).map((g) => g.error)].filter(Boolean).map((e) => e.type || e.name);
    holds(types.includes(type), `expected ${type}, found ${types} (${error.message})`);
    return;
  }
  throw new Error(`no ${type}`);
}
async function until(condition, what) {
  const deadline = Date.now() + HANG_MS;
  while (!(await condition())) {
    holds(Date.now() < deadline, `not within ${HANG_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
const fresh = (what) => `${what}-${crypto.randomUUID()}`;

// ---- what is sent and read back ----

const buffer = (text) => (text === null ? null : Buffer.from(text));
const message = (index, key, value, headers = {}) =>
  ({ partition: 0, key: buffer(key), value: buffer(value), headers, timestamp: String(FIRST_TIMESTAMP + index * 1000) });

function odd() {
  const everyByte = Buffer.from([...Array(256).keys()]);
  const records = [
    message(0, 'key', 'value'), message(1, null, 'no key'), message(2, '', 'an empty key'),
    message(3, 'tombstone', null), message(4, 'empty value', ''), message(5, everyByte, everyByte, { binary: everyByte }),
    message(6, 'headers', 'value', { a: [buffer('1'), buffer('2')], empty: buffer('') }),
    message(7, 'large, to be compressed', Buffer.alloc(200000, 'x')),
    message(8, 'large, not to be compressed', crypto.randomBytes(100000)),
    message(9, 'ключ', 'значение', { 'заголовок': buffer('да') }),
  ];
  return records;
}
const plain = (count) => [...Array(count).keys()].map((i) => message(i, `key${i}`, `value${i}`));

function shown({ key, value, headers, timestamp }) {
  const hex = (b) => (b === null ? null : b.toString('hex'));
  return [hex(key), hex(value), Object.entries(headers).map(([k, v]) => [k, [].concat(v).map(hex)]), timestamp];
}

// ---- clients ----

async function create(numPartitions = 1, configs = {}) {
  const topic = fresh('topic');
  await admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions, replicationFactor: 1,
    configEntries: Object.entries(configs).map(([name, value]) => ({ name, value })) }] });
  return topic;
}
async function send(topic, messages, { options = {}, from = kafka, ...how } = {}) {
  const producer = from.producer({ createPartitioner: Partitioners.DefaultPartitioner, ...options });
  await producer.connect();
  try { return await producer.send({ topic, messages, ...how }); } finally { await producer.disconnect(); }
}

// Members of groups; kafkajs reads in no other way.
async function member({ groupId, topic, each, seek, assigners, onAssigned, fromBeginning = true, commits = false }) {
  const consumer = kafka.consumer({ groupId, sessionTimeout: 6000, heartbeatInterval: 200, rebalanceTimeout: 6000,
    partitionAssigners: assigners, allowAutoTopicCreation: false });
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning });
  if (onAssigned) {
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => onAssigned(payload.memberAssignment[topic] || []));
    consumer.on(consumer.events.REBALANCING, () => onAssigned([]));
  }
  await consumer.run({ autoCommit: commits, eachMessage: async (record) => each(record, consumer) });
  if (seek !== undefined) consumer.seek({ topic, partition: 0, offset: String(seek) });
  return consumer;
}
async function read(topic, count, seek) {
  const found = [];
  const consumer = await member({ groupId: fresh('reads'), topic, seek,
    each: ({ message: m }) => { if (seek === undefined || Number(m.offset) >= seek) found.push(m); } });
  try { await until(() => found.length >= count, `${count} records`); } finally { await consumer.disconnect(); }
  return found.slice(0, count);
}
async function sameRecords(expected, topic, seek) {
  const found = await read(topic, expected.length, seek);
  expected.forEach((record, i) => same(shown(record), shown(found[i]), `record ${i}`));
}

// ---- scenarios ----

async function metadata() {
  const found = await admin.describeCluster();
  same([bootstrap], found.brokers.map((b) => `${b.host}:${b.port}`), 'brokers');
  holds(found.clusterId, 'a cluster id');
  holds(found.controller !== null, 'a controller');
}
function produce(compression) {
  return async () => {
    const topic = await create(), records = odd();
    await send(topic, records, { compression });
    await sameRecords(records, topic);
  };
}
async function acks() {
  for (const level of [0, 1, -1]) {
    const topic = await create(), records = plain(100);
    const [sent] = await send(topic, records, { acks: level }) || [undefined];
    if (level !== 0) same('0', sent.baseOffset, 'base offset');
    await sameRecords(records, topic);
  }
}
async function byOffset() {
  const topic = await create(), records = plain(100);
  await send(topic, records);
  await sameRecords(records.slice(37), topic, 37);
}
async function byTimestamp() {
  const topic = await create(), records = plain(100);
  await send(topic, records);
  const [at] = await admin.fetchTopicOffsetsByTimestamp(topic, Number(records[60].timestamp) - 999);
  same('60', at.offset, 'offset');
  const [whole] = await admin.fetchTopicOffsets(topic);
  same(['0', '100'], [whole.low, whole.high], 'bounds');
}
async function idempotent() {
  const topic = await create(), records = plain(2000);
  await send(topic, records, { options: { idempotent: true, maxInFlightRequests: 1 } });
  await sameRecords(records, topic);
}
async function tooLarge() {
  const topic = await create();
  await refused('MESSAGE_TOO_LARGE', () => send(topic, [message(0, null, Buffer.alloc(9000000))]));
  await send(topic, plain(1));
}
async function autoCreateOn() {
  const topic = fresh('auto'), records = plain(1);
  await send(topic, records);
  await sameRecords(records, topic);
}
async function autoCreateOff() {
  const quick = new Kafka({ brokers: [noAuto], logLevel: logLevel.NOTHING, retry: { retries: 1, initialRetryTime: 10 } });
  await refused('UNKNOWN_TOPIC_OR_PARTITION', () => send(fresh('auto'), plain(1), { from: quick }));
}
async function groupRebalance() {
  const topic = await create(6), groupId = fresh('group'), held = {}, seen = new Set(), members = [];
  const settled = (count) => () => {
    const all = Object.values(held).flat();
    return Object.values(held).filter((h) => h.length > 0).length === count && all.length === 6 && new Set(all).size === 6;
  };
  const join = async (name) => members.push(await member({ groupId, topic, onAssigned: (p) => { held[name] = [...p]; },
    each: ({ partition, message: m }) => seen.add(`${partition}/${m.value}`) }));
  await Promise.all([join('m0'), join('m1')]);
  await until(settled(2), 'two members');
  await join('m2');
  await until(settled(3), 'three members');
  await members.pop().disconnect();
  delete held.m2;
  await until(settled(2), 'two members again');
  const wanted = [];
  for (let partition = 0; partition < 6; ++partition)
    for (let i = 0; i < 10; ++i) wanted.push({ partition, value: String(i) });
  await send(topic, wanted);
  await until(() => seen.size === 60, 'every record read');
  for (const one of members) await one.disconnect();
}
async function groupResume() {
  const topic = await create(), groupId = fresh('group'), records = plain(20), first = [], second = [];
  await send(topic, records);
  let consumer = await member({ groupId, topic, each: async ({ message: m }, self) => {
    if (first.length === 7) return;
    first.push(m);
    await self.commitOffsets([{ topic, partition: 0, offset: String(Number(m.offset) + 1), metadata: 'what I did' }]);
  } });
  await until(() => first.length === 7, 'the first seven');
  await consumer.stop();
  await consumer.disconnect();
  const [committed] = (await admin.fetchOffsets({ groupId, topics: [topic] }))[0].partitions;
  same(['7', 'what I did'], [committed.offset, committed.metadata], 'committed');
  consumer = await member({ groupId, topic, each: ({ message: m }) => { second.push(m); } });
  await until(() => second.length === 13, 'the others');
  await consumer.disconnect();
  [...first, ...second].forEach((m, i) => same(shown(records[i]), shown(m), `record ${i}`));
}
async function adminTopics() {
  const topic = await create(3);
  same(false, await admin.createTopics({ topics: [{ topic, numPartitions: 3 }] }), 'created twice');
  await refused('INVALID_TOPIC_EXCEPTION', () => admin.createTopics({ topics: [{ topic: 'no/such name' }] }));
  await refused('INVALID_REPLICATION_FACTOR', () => admin.createTopics({ topics: [{ topic: fresh('t'), replicationFactor: 3 }] }));
  const { topics: [described] } = await admin.fetchTopicMetadata({ topics: [topic] });
  same(3, described.partitions.length, 'partitions');
  holds((await admin.listTopics()).includes(topic), 'listed');
  await admin.deleteTopics({ topics: [topic] });
  await until(async () => !(await admin.listTopics()).includes(topic), 'deleted');
}
async function adminPartitions() {
  const topic = await create(2);
  await admin.createPartitions({ topicPartitions: [{ topic, count: 5 }] });
  await until(async () => (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length === 5, '5 partitions');
  await refused('INVALID_PARTITIONS', () => admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] }));
}
async function adminConfigs() {
  const topic = await create(1, { 'retention.ms': '60000' });
  const config = async (name, of = topic) => {
    const { resources: [{ configEntries }] } = await admin.describeConfigs({ resources: [{ type: ConfigResourceTypes.TOPIC, name: of }] });
    return configEntries.find((c) => c.configName === name).configValue;
  };
  const alter = (name, value) => admin.alterConfigs({ validateOnly: false, resources: [
    { type: ConfigResourceTypes.TOPIC, name: topic, configEntries: [{ name, value }] }] });
  same('60000', await config('retention.ms'), 'as created');
  await alter('cleanup.policy', 'compact');
  await until(async () => (await config('cleanup.policy')) === 'compact', 'altered');
  same(await config('retention.ms', await create()), await config('retention.ms'), 'what is not named is reset');
  await refused('INVALID_CONFIG', () => alter('retention.ms', 'soon'));
}
async function adminDeleteRecords() {
  const topic = await create(), records = plain(10);
  await send(topic, records);
  await admin.fetchTopicOffsets(topic);  // or the client does not know the partition's leader
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '4' }] });
  const [whole] = await admin.fetchTopicOffsets(topic);
  same(['4', '10'], [whole.low, whole.high], 'bounds');
  await sameRecords(records.slice(4), topic);
}
async function adminGroups() {
  const topic = await create(), groupId = fresh('group'), found = [];
  await send(topic, plain(1));
  const consumer = await member({ groupId, topic, each: ({ message: m }) => { found.push(m); }, commits: true });
  await until(() => found.length === 1, 'a record');
  holds((await admin.listGroups()).groups.some((g) => g.groupId === groupId), 'listed');
  const { groups: [described] } = await admin.describeGroups([groupId]);
  same(['Stable', 1], [described.state, described.members.length], 'described');
  await refused('NON_EMPTY_GROUP', () => admin.deleteGroups([groupId]));
  await consumer.disconnect();
  await admin.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: '0' }] });
  const [committed] = (await admin.fetchOffsets({ groupId, topics: [topic] }))[0].partitions;
  same('0', committed.offset, 'offset set');
  await admin.deleteGroups([groupId]);
  await refused('GROUP_ID_NOT_FOUND', () => admin.deleteGroups([groupId]));
}

const scenarios = {
  metadata, produce_none: produce(CompressionTypes.None), produce_gzip: produce(CompressionTypes.GZIP),
  produce_snappy: produce(CompressionTypes.Snappy), produce_lz4: produce(CompressionTypes.LZ4),
  produce_zstd: produce(CompressionTypes.ZSTD), acks, consume_by_offset: byOffset, consume_by_timestamp: byTimestamp,
  idempotent, too_large: tooLarge, auto_create_on: autoCreateOn, auto_create_off: autoCreateOff,
  group_rebalance: groupRebalance, group_resume: groupResume, admin_topics: adminTopics,
  admin_partitions: adminPartitions, admin_configs: adminConfigs, admin_delete_records: adminDeleteRecords,
  admin_groups: adminGroups,
};

function useZstd() {
  return new Promise((resolve) => installed('zstd-codec').ZstdCodec.run((zstd) => {
    const simple = new zstd.Simple();
    CompressionCodecs[CompressionTypes.ZSTD] = () => ({
      compress: async (encoder) => Buffer.from(simple.compress(encoder.buffer)),
      decompress: async (bytes) => Buffer.from(simple.decompress(bytes)),
    });
    resolve();
  }));
}

(async () => {
  await useZstd();
  await admin.connect();
  let failed = false;
  for (const [name, run] of Object.entries(scenarios)) {
    if (only.length > 0 && !only.includes(name)) continue;
    let outcome = 'ok', why = '';
    try {
      await run();
    } catch (error) {
      [outcome, why, failed] = ['failed', `${error.name}: ${error.message}`.replace(/\s+/g, ' ').slice(0, 600), true];
      console.error(error);
    }
    console.log(`RESULT\t${name}\t${outcome}\t${why}`);
  }
  await admin.disconnect();
  process.exit(failed ? 1 : 0);
})();
