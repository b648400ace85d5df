#include "bench/closed_loop.h"

#include <algorithm>
#include <deque>

#include "protocol/base/random.h"
#include "protocol/record_batch.h"

namespace leat::bench {

std::vector<std::byte> batch_of(std::size_t bytes) {
  Random random(1);
  std::vector<std::byte> value(bytes);
  for (std::byte& b : value) b = static_cast<std::byte>(random.next());
  for (std::size_t length = bytes;; --length) {
    RecordBatchBuilder builder;
    builder.append({.key = {}, .value = Bytes(value).first(length)}, 1);
    if (builder.size() <= bytes) return builder.take();
  }
}

Ran run(AckedLog& log, const Load& load) {
  const auto batch = batch_of(load.batch_bytes);
  const auto began = Clock::now();
  std::vector<Clock::time_point> since(load.clients, began);
  std::deque<std::uint32_t> ready;
  for (std::uint32_t client = 0; client < load.clients; ++client) ready.push_back(client);
  std::vector<float> latencies;
  latencies.reserve(load.batches);
  std::vector<std::uint32_t> acked;
  std::uint64_t sent = 0;
  while (latencies.size() < load.batches) {
    while (!ready.empty() && sent < load.batches &&
           log.append(ready.front(), static_cast<std::uint32_t>(sent % load.partitions), batch)) {
      ready.pop_front();
      ++sent;
    }
    acked.clear();
    log.wait(acked);
    const auto now = Clock::now();
    for (const std::uint32_t client : acked) {
      latencies.push_back(std::chrono::duration<float, std::milli>(now - since[client]).count());
      since[client] = now;
      ready.push_back(client);
    }
  }
  Ran ran{.seconds = seconds_since(began)};
  const auto middle = latencies.begin() + static_cast<std::ptrdiff_t>(latencies.size() / 2);
  std::ranges::nth_element(latencies, middle);
  ran.median_ms = *middle;
  ran.worst_ms = *std::ranges::max_element(latencies);
  return ran;
}

}  // namespace leat::bench
