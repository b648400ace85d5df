// franz-go against a broker; see ../README.md for what a line of its output means.
//
//	go run . BOOTSTRAP BOOTSTRAP_WITHOUT_AUTOMATIC_CREATION [SCENARIO...]
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	hang           = 60 * time.Second
	firstTimestamp = int64(1_700_000_000_000)
)

var (
	bootstrap, noAuto string
	admin             *kadm.Client
)

// ---- what is expected ----

type failure string

func must(err error) {
	if err != nil {
		panic(failure(err.Error()))
	}
}
func holds(condition bool, what string, args ...any) {
	if !condition {
		panic(failure(fmt.Sprintf(what, args...)))
	}
}
func same[T comparable](expected, found T, what string) {
	holds(expected == found, "%s: expected %v, found %v", what, expected, found)
}
func refused(wanted, err error) {
	holds(errors.Is(err, wanted), "expected %v, found %v", wanted, err)
}
func until(condition func() bool, what string) {
	for deadline := time.Now().Add(hang); !condition(); time.Sleep(20 * time.Millisecond) {
		holds(time.Now().Before(deadline), "not within %v: %s", hang, what)
	}
}
func within() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	time.AfterFunc(hang, cancel)
	return ctx
}
func fresh(what string) string { return what + "-" + rand.Text() }

// ---- what is sent and read back ----

func record(topic string, index int, key, value []byte, headers ...kgo.RecordHeader) *kgo.Record {
	return &kgo.Record{Topic: topic, Partition: 0, Key: key, Value: value, Headers: headers,
		Timestamp: time.UnixMilli(firstTimestamp + int64(index)*1000)}
}

func odd(topic string) []*kgo.Record {
	everyByte, noise := make([]byte, 256), make([]byte, 100_000)
	for i := range everyByte {
		everyByte[i] = byte(i)
	}
	rand.Read(noise)
	header := func(key string, value []byte) kgo.RecordHeader { return kgo.RecordHeader{Key: key, Value: value} }
	records := []*kgo.Record{
		record(topic, 0, []byte("key"), []byte("value")),
		record(topic, 1, nil, []byte("no key")),
		record(topic, 2, []byte{}, []byte("an empty key")),
		record(topic, 3, []byte("tombstone"), nil),
		record(topic, 4, []byte("empty value"), []byte{}),
		record(topic, 5, everyByte, everyByte, header("binary", everyByte)),
		record(topic, 6, []byte("headers"), []byte("value"), header("a", []byte("1")), header("a", []byte("2")),
			header("empty", []byte{}), header("none", nil)),
		record(topic, 7, []byte("large, to be compressed"), bytes.Repeat([]byte("x"), 200_000)),
		record(topic, 8, []byte("large, not to be compressed"), noise),
		record(topic, 9, []byte("ключ"), []byte("значение"), header("заголовок", []byte("да"))),
	}
	return records
}
func plain(topic string, count int) (records []*kgo.Record) {
	for i := range count {
		records = append(records, record(topic, i, fmt.Appendf(nil, "key%d", i), fmt.Appendf(nil, "value%d", i)))
	}
	return
}

// As it can be compared; nil is not empty.
func shown(records []*kgo.Record) string {
	var text strings.Builder
	show := func(b []byte) {
		if b == nil {
			text.WriteString("nil ")
		} else {
			fmt.Fprintf(&text, "%x ", b)
		}
	}
	for _, r := range records {
		show(r.Key)
		show(r.Value)
		for _, h := range r.Headers {
			text.WriteString(h.Key + ":")
			show(h.Value)
		}
		fmt.Fprintf(&text, "@%d\n", r.Timestamp.UnixMilli())
	}
	return text.String()
}
func sameRecords(expected, found []*kgo.Record) {
	holds(shown(expected) == shown(found), "records differ: expected %.300s, found %.300s", shown(expected), shown(found))
}

// ---- clients ----

func client(options ...kgo.Opt) *kgo.Client {
	made, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(bootstrap)}, options...)...)
	must(err)
	return made
}
func create(partitions int32, configs map[string]*string) string {
	topic := fresh("topic")
	_, err := admin.CreateTopic(within(), partitions, 1, configs, topic)
	must(err)
	untilPartitions(topic, int(partitions))
	return topic
}

// A Kafka broker answers from a view of the cluster that is a moment behind.
func untilPartitions(topic string, count int) {
	until(func() bool {
		listed, err := admin.ListTopics(within())
		must(err)
		return len(listed[topic].Partitions) == count
	}, fmt.Sprintf("%d partitions of %s", count, topic))
}
func text(s string) *string { return &s }

func send(records []*kgo.Record, options ...kgo.Opt) error {
	producer := client(append([]kgo.Opt{kgo.RecordPartitioner(kgo.ManualPartitioner())}, options...)...)
	defer producer.Close()
	return producer.ProduceSync(within(), records...).FirstErr()
}
func take(consumer *kgo.Client, count int) (found []*kgo.Record) {
	for len(found) < count {
		fetches := consumer.PollRecords(within(), count-len(found))
		must(fetches.Err())
		found = append(found, fetches.Records()...)
	}
	return
}
func read(topic string, count int, from kgo.Offset, options ...kgo.Opt) []*kgo.Record {
	consumer := client(append(options, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: from}}))...)
	defer consumer.Close()
	return take(consumer, count)
}

// ---- scenarios ----

func metadata() {
	found, err := admin.BrokerMetadata(within())
	must(err)
	same(1, len(found.Brokers), "brokers")
	same(bootstrap, fmt.Sprintf("%s:%d", found.Brokers[0].Host, found.Brokers[0].Port), "address")
	holds(found.Cluster != "", "no cluster id")
}
func produce(codec kgo.CompressionCodec) func() {
	return func() {
		topic := create(1, nil)
		records := odd(topic)
		must(send(records, kgo.ProducerBatchCompression(codec)))
		sameRecords(records, read(topic, len(records), kgo.NewOffset().AtStart()))
	}
}

func acks() {
	for _, level := range []kgo.Acks{kgo.NoAck(), kgo.LeaderAck(), kgo.AllISRAcks()} {
		topic := create(1, nil)
		records := plain(topic, 100)
		must(send(records, kgo.RequiredAcks(level), kgo.DisableIdempotentWrite()))
		sameRecords(records, read(topic, 100, kgo.NewOffset().AtStart()))
	}
}
func byOffset() {
	topic := create(1, nil)
	records := plain(topic, 100)
	must(send(records))
	sameRecords(records[37:], read(topic, 63, kgo.NewOffset().At(37)))
	sameRecords(records[90:], read(topic, 10, kgo.NewOffset().AtEnd().Relative(-10)))
}
func byTimestamp() {
	topic := create(1, nil)
	records := plain(topic, 100)
	must(send(records))
	sameRecords(records[60:], read(topic, 40, kgo.NewOffset().AfterMilli(records[60].Timestamp.UnixMilli()-999)))
}
func idempotent() {
	topic := create(1, nil)
	records := plain(topic, 2000)
	must(send(records, kgo.ProducerBatchMaxBytes(4096)))
	same(int64(1999), records[1999].Offset, "the last offset")
	sameRecords(records, read(topic, 2000, kgo.NewOffset().AtStart()))
}
func tooLarge() {
	topic := create(1, nil)
	refused(kerr.MessageTooLarge, send([]*kgo.Record{record(topic, 0, nil, make([]byte, 2_000_000))}))
	topic = create(1, map[string]*string{"max.message.bytes": text("2000")})
	refused(kerr.MessageTooLarge, send([]*kgo.Record{record(topic, 0, nil, bytes.Repeat([]byte("x"), 3000))},
		kgo.ProducerBatchCompression(kgo.NoCompression())))
	must(send(plain(topic, 1)))
}
func autoCreateOn() {
	topic := fresh("auto")
	records := plain(topic, 1)
	must(send(records, kgo.AllowAutoTopicCreation()))
	sameRecords(records, read(topic, 1, kgo.NewOffset().AtStart()))
}
func autoCreateOff() {
	records := plain(fresh("auto"), 1)
	refused(kerr.UnknownTopicOrPartition, send(records, kgo.AllowAutoTopicCreation(), kgo.SeedBrokers(noAuto),
		kgo.UnknownTopicRetries(1)))
}

type holdings struct {
	sync.Mutex
	held map[string]map[int32]bool
	read map[string]bool
}

func (h *holdings) settled(members int) bool {
	h.Lock()
	defer h.Unlock()
	all, holding := map[int32]int{}, 0
	for _, partitions := range h.held {
		for p := range partitions {
			all[p]++
		}
		if len(partitions) > 0 {
			holding++
		}
	}
	for _, owners := range all {
		if owners != 1 {
			return false
		}
	}
	return holding == members && len(all) == 6
}

func member(name, topic, group string, balancer kgo.GroupBalancer, h *holdings) (leave func()) {
	change := func(held bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			h.Lock()
			defer h.Unlock()
			if h.held[name] == nil {
				h.held[name] = map[int32]bool{}
			}
			for _, p := range partitions[topic] {
				if held {
					h.held[name][p] = true
				} else {
					delete(h.held[name], p)
				}
			}
		}
	}
	consumer := client(kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.Balancers(balancer),
		kgo.HeartbeatInterval(200*time.Millisecond), kgo.SessionTimeout(6*time.Second), kgo.ClientID(name),
		kgo.OnPartitionsAssigned(change(true)), kgo.OnPartitionsRevoked(change(false)), kgo.OnPartitionsLost(change(false)))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			for _, r := range consumer.PollFetches(ctx).Records() {
				h.Lock()
				h.read[fmt.Sprintf("%d/%s", r.Partition, r.Value)] = true
				h.Unlock()
			}
		}
	}()
	return func() {
		cancel()
		<-done
		consumer.Close()
		h.Lock()
		delete(h.held, name)
		h.Unlock()
	}
}
func groupRebalance() {
	for _, balancer := range []kgo.GroupBalancer{kgo.RangeBalancer(), kgo.CooperativeStickyBalancer()} {
		topic, group := create(6, nil), fresh("group")
		h := &holdings{held: map[string]map[int32]bool{}, read: map[string]bool{}}
		first := member("m0", topic, group, balancer, h)
		second := member("m1", topic, group, balancer, h)
		until(func() bool { return h.settled(2) }, "two members")
		third := member("m2", topic, group, balancer, h)
		until(func() bool { return h.settled(3) }, "three members")
		first()
		until(func() bool { return h.settled(2) }, "two members again")
		var records []*kgo.Record
		for p := range int32(6) {
			for i := range 10 {
				records = append(records, &kgo.Record{Topic: topic, Partition: p, Value: fmt.Appendf(nil, "%d", i)})
			}
		}
		must(send(records))
		until(func() bool { h.Lock(); defer h.Unlock(); return len(h.read) == 60 }, "every record read")
		second()
		third()
	}
}
func groupResume() {
	topic, group := create(1, nil), fresh("group")
	records := plain(topic, 20)
	must(send(records))
	join := func() *kgo.Client {
		return client(kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	}
	consumer := join()
	found := take(consumer, 7)
	sameRecords(records[:7], found)
	must(consumer.CommitRecords(within(), found...))
	consumer.Close()
	consumer = join()
	sameRecords(records[7:], take(consumer, 13))
	consumer.Close()
}
func staticMember() {
	topic, group := create(1, nil), fresh("group")
	records := plain(topic, 2)
	must(send(records))
	for round := range 2 {
		consumer := client(kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
			kgo.InstanceID("one"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		found := take(consumer, 1)
		sameRecords(records[round:round+1], found)
		must(consumer.CommitRecords(within(), found...))
		consumer.Close()
	}
}

func adminTopics() {
	topic := create(3, nil)
	_, err := admin.CreateTopic(within(), 3, 1, nil, topic)
	refused(kerr.TopicAlreadyExists, err)
	_, err = admin.CreateTopic(within(), 1, 1, nil, "no/such name")
	refused(kerr.InvalidTopicException, err)
	_, err = admin.CreateTopic(within(), 1, 3, nil, fresh("t"))
	refused(kerr.InvalidReplicationFactor, err)
	_, err = admin.CreateTopic(within(), 0, 1, nil, fresh("t"))
	refused(kerr.InvalidPartitions, err)
	byDefault := fresh("default")
	_, err = admin.CreateTopic(within(), -1, -1, nil, byDefault)
	must(err)
	untilPartitions(byDefault, 1)
	_, err = admin.DeleteTopic(within(), topic)
	must(err)
	untilPartitions(topic, 0)
	_, err = admin.DeleteTopic(within(), topic)
	refused(kerr.UnknownTopicOrPartition, err)
}
func adminPartitions() {
	topic := create(2, nil)
	done, err := admin.UpdatePartitions(within(), 5, topic)
	must(err)
	must(done.Error())
	untilPartitions(topic, 5)
	done, err = admin.UpdatePartitions(within(), 3, topic)
	must(err)
	refused(kerr.InvalidPartitions, done[topic].Err)
}
func config(topic, name string) string {
	found, err := admin.DescribeTopicConfigs(within(), topic)
	must(err)
	of, err := found.On(topic, nil)
	must(err)
	for _, c := range of.Configs {
		if c.Key == name {
			return c.MaybeValue()
		}
	}
	panic(failure("no config " + name))
}
func adminConfigs() {
	topic := create(1, map[string]*string{"retention.ms": text("60000")})
	same("60000", config(topic, "retention.ms"), "as created")
	alter := func(name, value string) error {
		done, err := admin.AlterTopicConfigs(within(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: name, Value: &value}}, topic)
		must(err)
		of, err := done.On(topic, nil)
		must(err)
		return of.Err
	}
	must(alter("max.message.bytes", "2000"))
	same("60000", config(topic, "retention.ms"), "what is not altered")
	refused(kerr.InvalidConfig, alter("retention.ms", "soon"))
	_, err := admin.AlterTopicConfigsState(within(), []kadm.AlterConfig{{Name: "cleanup.policy", Value: text("compact")}}, topic)
	must(err)
	same("compact", config(topic, "cleanup.policy"), "set as a whole")
	same(config(create(1, nil), "retention.ms"), config(topic, "retention.ms"), "what is not named is reset")
	broker, err := admin.DescribeBrokerConfigs(within(), 1)
	must(err)
	holds(len(broker) == 1 && len(broker[0].Configs) > 0, "no configs of the broker")
}
func adminDeleteRecords() {
	topic := create(1, nil)
	records := plain(topic, 10)
	must(send(records))
	remove := func(before int64) kadm.DeleteRecordsResponse {
		offsets := kadm.Offsets{}
		offsets.AddOffset(topic, 0, before, -1)
		done, err := admin.DeleteRecords(within(), offsets)
		must(err)
		of, _ := done.Lookup(topic, 0)
		return of
	}
	done := remove(4)
	must(done.Err)
	same(int64(4), done.LowWatermark, "low watermark")
	sameRecords(records[4:], read(topic, 6, kgo.NewOffset().AtStart()))
	refused(kerr.OffsetOutOfRange, remove(1000).Err)
}
func adminOffsets() {
	topic := create(1, nil)
	must(send(plain(topic, 10)))
	offset := func(list func(context.Context, ...string) (kadm.ListedOffsets, error)) int64 {
		found, err := list(within(), topic)
		must(err)
		of, _ := found.Lookup(topic, 0)
		must(of.Err)
		return of.Offset
	}
	same(int64(0), offset(admin.ListStartOffsets), "start")
	same(int64(10), offset(admin.ListEndOffsets), "end")
	same(int64(9), offset(admin.ListMaxTimestampOffsets), "max timestamp")
}

// Readers that fell behind a truncation ask where an epoch ended.
func leaderEpoch() {
	topic := create(1, nil)
	must(send(plain(topic, 10)))
	found, err := admin.ListEndOffsets(within(), topic)
	must(err)
	of, _ := found.Lookup(topic, 0)
	var request kadm.OffsetForLeaderEpochRequest
	request.Add(topic, 0, of.LeaderEpoch)
	ends, err := admin.OffsetForLeaderEpoch(within(), request)
	must(err)
	end := ends[topic][0]
	must(end.Err)
	same(int64(10), end.EndOffset, "the end of the epoch")
}
func adminGroups() {
	topic, group := create(1, nil), fresh("group")
	must(send(plain(topic, 1)))
	consumer := client(kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.Balancers(kgo.RangeBalancer()))
	must(consumer.CommitRecords(within(), take(consumer, 1)...))
	listed, err := admin.ListGroups(within())
	must(err)
	same("Stable", listed[group].State, "state")
	described, err := admin.DescribeGroups(within(), group)
	must(err)
	same(1, len(described[group].Members), "members")
	same("range", described[group].Protocol, "assignor")
	_, err = admin.DeleteGroup(within(), group)
	refused(kerr.NonEmptyGroup, err)
	lags, err := admin.Lag(within(), group)
	must(err)
	holds(lags[group].Lag.Total() == 0, "lag %v", lags[group].Lag)
	consumer.Close()
	offsets, err := admin.FetchOffsets(within(), group)
	must(err)
	committed, _ := offsets.Lookup(topic, 0)
	same(int64(1), committed.At, "committed")
	moved := kadm.Offsets{}
	moved.AddOffset(topic, 0, 0, -1)
	must(admin.CommitAllOffsets(within(), group, moved))
	removed, err := admin.DeleteOffsets(within(), group, kadm.TopicsSet{topic: {0: {}}})
	must(err)
	must(removed.Error())
	_, err = admin.DeleteGroup(within(), group)
	must(err)
	_, err = admin.DeleteGroup(within(), group)
	refused(kerr.GroupIDNotFound, err)
}
func adminCluster() {
	topic := create(1, nil)
	must(send(plain(topic, 100)))
	found, err := admin.DescribeAllLogDirs(within(), nil)
	must(err)
	size := int64(0)
	found.Each(func(d kadm.DescribedLogDir) { size += d.Topics.Size() })
	holds(size > 0, "no size")
}

func main() {
	bootstrap, noAuto = os.Args[1], os.Args[2]
	admin = kadm.NewClient(client(kgo.MetadataMinAge(50 * time.Millisecond))) // it answers from a cache of that age
	scenarios := []struct {
		name string
		run  func()
	}{
		{"metadata", metadata},
		{"produce_none", produce(kgo.NoCompression())}, {"produce_gzip", produce(kgo.GzipCompression())},
		{"produce_snappy", produce(kgo.SnappyCompression())}, {"produce_lz4", produce(kgo.Lz4Compression())},
		{"produce_zstd", produce(kgo.ZstdCompression())},
		{"acks", acks}, {"consume_by_offset", byOffset}, {"consume_by_timestamp", byTimestamp},
		{"idempotent", idempotent}, {"too_large", tooLarge},
		{"auto_create_on", autoCreateOn}, {"auto_create_off", autoCreateOff},
		{"group_rebalance", groupRebalance}, {"group_resume", groupResume}, {"static_member", staticMember},
		{"admin_topics", adminTopics}, {"admin_partitions", adminPartitions}, {"admin_configs", adminConfigs},
		{"admin_delete_records", adminDeleteRecords}, {"admin_offsets", adminOffsets},
		{"leader_epoch", leaderEpoch}, {"admin_groups", adminGroups}, {"admin_cluster", adminCluster},
	}
	failed := false
	for _, scenario := range scenarios {
		if len(os.Args) > 3 && !slices.Contains(os.Args[3:], scenario.name) {
			continue
		}
		outcome, why := "ok", ""
		func() {
			defer func() {
				if problem := recover(); problem != nil {
					outcome, why, failed = "failed", strings.Join(strings.Fields(fmt.Sprint(problem)), " "), true
				}
			}()
			scenario.run()
		}()
		fmt.Printf("RESULT\t%s\t%s\t%.600s\n", scenario.name, outcome, why)
	}
	if failed {
		os.Exit(1)
	}
}
