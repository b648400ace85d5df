// The parts of the hot path by themselves.
#include <benchmark/benchmark.h>

#include "protocol/base/crc32c.h"
#include "protocol/base/random.h"
#include "protocol/native/codec.h"
#include "protocol/record_batch.h"
#include "protocol/record_extras.h"

namespace leat {
namespace {

std::vector<std::byte> random_bytes(std::size_t size) {
  Random random(1);
  std::vector<std::byte> bytes(size);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random.next());
  return bytes;
}

std::vector<std::byte> batch_of(std::size_t records, std::size_t value_bytes) {
  const auto value = random_bytes(value_bytes);
  RecordBatchBuilder builder;
  for (std::size_t i = 0; i < records; ++i) builder.append({as_bytes("key"), Bytes(value), {}}, 1);
  return builder.take();
}

template <std::uint32_t (*Crc)(Bytes, std::uint32_t)>
void crc(benchmark::State& state) {
  const auto bytes = random_bytes(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(Crc(bytes, 0));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(crc<crc32c>)->Name("crc32c/instruction")->Arg(64)->Arg(65536);
BENCHMARK(crc<crc32c_table>)->Name("crc32c/table")->Arg(64)->Arg(65536);

void build(benchmark::State& state) {
  const auto value = random_bytes(static_cast<std::size_t>(state.range(0)));
  RecordBatchBuilder builder;
  for (auto _ : state) {
    builder.clear();
    for (int i = 0; i < 100; ++i) builder.append({as_bytes("key"), Bytes(value), {}}, 1);
    benchmark::DoNotOptimize(builder.finish().data());
  }
  state.SetItemsProcessed(state.iterations() * 100);
}
BENCHMARK(build)->Name("batch/build")->Arg(100)->Arg(1024);

constexpr RecordExtras kDelayed{.deliver_at_ms = 1'700'000'000'000};

void build_delayed(benchmark::State& state) {
  const auto value = random_bytes(100);
  RecordBatchBuilder builder;
  for (auto _ : state) {
    builder.clear();
    for (int i = 0; i < 100; ++i)
      builder.append({{}, Bytes(value), {}, ExtraHeaders(kDelayed).headers()}, 1);
    benchmark::DoNotOptimize(builder.finish().data());
  }
  state.SetItemsProcessed(state.iterations() * 100);
}
BENCHMARK(build_delayed)->Name("batch/build/delayed");

void validate(benchmark::State& state) {
  const auto bytes = batch_of(100, static_cast<std::size_t>(state.range(0)));
  for (auto _ : state)
    benchmark::DoNotOptimize(RecordBatchView::parse(bytes)->validate().has_value());
  state.SetItemsProcessed(state.iterations() * 100);
}
BENCHMARK(validate)->Name("batch/validate")->Arg(100)->Arg(1024);

void validate_delayed(benchmark::State& state) {
  const auto value = random_bytes(100);
  RecordBatchBuilder builder;
  for (int i = 0; i < 100; ++i)
    builder.append({{}, Bytes(value), {}, ExtraHeaders(kDelayed).headers()}, 1);
  const Bytes bytes = builder.finish();
  bool timed = false;
  const auto visit = [&](std::int32_t, const RecordHeaders& headers) {
    RecordExtras extras;
    timed = (read_extras(headers, extras) && extras.timed()) || timed;
  };
  for (auto _ : state)
    benchmark::DoNotOptimize(
        RecordBatchView::parse(bytes)->validate(kMaxDecompressedBytes, false, visit).has_value());
  benchmark::DoNotOptimize(timed);
  state.SetItemsProcessed(state.iterations() * 100);
}
BENCHMARK(validate_delayed)->Name("batch/validate/delayed");

// A batch whose values are half noise, so that the codec finds something and not everything.
std::vector<std::byte> compressed_batch(Compression type) {
  RecordBatchBuilder builder;
  auto value = random_bytes(1'024);
  std::fill(value.begin() + 512, value.end(), std::byte{'z'});
  for (int i = 0; i < 100; ++i) builder.append({as_bytes("key"), Bytes(value), {}}, 1);
  return builder.take(type);
}

void validate_compressed(benchmark::State& state) {
  const auto bytes = compressed_batch(static_cast<Compression>(state.range(0)));
  for (auto _ : state)
    benchmark::DoNotOptimize(RecordBatchView::parse(bytes)->validate().has_value());
  state.SetLabel(std::string(name_of(static_cast<Compression>(state.range(0)))));
  state.SetItemsProcessed(state.iterations() * 100);
}
BENCHMARK(validate_compressed)->Name("batch/validate/compressed")->DenseRange(0, 4);

void iterate(benchmark::State& state) {
  const auto bytes = batch_of(100, 100);
  for (auto _ : state)
    for (const RecordView& record : *RecordBatchView::parse(bytes))
      benchmark::DoNotOptimize(record.value->data());
  state.SetItemsProcessed(state.iterations() * 100);
}
BENCHMARK(iterate)->Name("batch/iterate");

void codec(benchmark::State& state) {
  const auto batch = batch_of(10, 100);
  const native::Request request = native::Produce{TopicId{}, PartitionIndex(0), batch};
  std::vector<std::byte> frame;
  native::AlignedEnvelope aligned;
  CorrelationId correlation;
  for (auto _ : state) {
    frame.clear();
    native::encode(CorrelationId(1), request, frame);
    const auto view = native::parse_frame(frame, {});
    benchmark::DoNotOptimize(native::decode_request(**view, aligned, correlation).has_value());
  }
}
BENCHMARK(codec)->Name("frame/encode and decode a produce");

}  // namespace
}  // namespace leat

BENCHMARK_MAIN();
