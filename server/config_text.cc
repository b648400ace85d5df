#include "server/config_text.h"

#include "server/config_topics.h"

namespace leat {
namespace {

constexpr std::string_view kIntroduction = R"(# Configuration

<!-- Written by `leatd --help-config` from the option table, server/options.cc; a test holds them equal. -->

Every option has one row here, one key in the configuration file and one flag:

```
leatd --config leat.toml --limits-topics 500
```

A flag goes before the file, the file before the defaults; `profile = "edge"` changes the defaults to
those of its column. `leatd --print-config` writes what is in force as a file to begin with, and says
what flags and file come to. Unknown keys, wrong types and values out of range are refused, with file,
line and column.

Sizes are text with a unit (`"64MiB"`; also KiB, GiB, TiB, and kB, MB, GB in thousands) or a number of
bytes; durations are text with a unit (`"500ms"`, `"10s"`, `"5m"`, `"1h"`). A flag takes the same
without quotes; `--insecure` and its like also take `=false`; `--listen` and `--topic` may be repeated.

## Topics
Topics that are there from the start stand in the file, each with the records it begins with:
```
[[topics]]
name = "orders"
partitions = 3
config = {"retention.ms" = 3600000, "leat.durability" = "interval", "leat.durability.interval.ms" = 100}
records = [{key = "42", value = "new", headers = {source = "seed"}}, {value = "to this one", partition = 2}]
```
All but the name may be left out. `config` takes what Kafka's clients may set ([kafka_settings.md](kafka_settings.md)). A topic
that is there already stays as it is, and gets no records.

## Memory
`memory` is one budget for what is held on behalf of clients, in sixteenths: 3 for the newest records,
those included that the disk is still behind with, and up to a half of one for what is read ahead of
those who go through older ones; 4 for RocksDB's memtables of records, 1 for its
other memtables; a half each for RocksDB's blocks and for the keys that are being compacted; 1 for the
journal's writes under way; 4 for connections together: frames that have begun to come, requests held
back, output that waits. One more each are `limits.checking_bytes` and, at the most, `limits.receive_bytes`. A frame is given room, whole,
before it is read; until there is room its socket is not read. The connections' share is never less than
two of the largest frames (`limits.frame_bytes`): lower that with the budget, as the edge profile does.
A request of a Kafka client, which may carry batches for many partitions, has half of that share.

Outside the budget lie the program itself, the threads' stacks, the one batch that is being decompressed
(`limits.decompressed_bytes`), and what grows with the number of topics, partitions, groups, producers
and connections, which have limits of their own. While output uses up half of the connections' share,
one that does not read gets nothing more, but one that has nothing waiting still gets an answer.
)";

std::string_view table_of(const Option& option) {
  const std::size_t dot = option.key.rfind('.');
  return dot == std::string_view::npos ? std::string_view() : option.key.substr(0, dot);
}

// A default may be a long list or hold a bar.
std::string code(const std::string& text) {
  return text.empty() ? "" : "`" + text + "`";
}

std::string row_of(const Option& option, const DaemonOptions& defaults, const DaemonOptions& edge) {
  const std::string value = toml_of(option, value_of(option, defaults));
  const std::string small = toml_of(option, value_of(option, edge));
  return "| " + code(std::string(option.key)) + " | " + code(flag_of(option)) + " | " +
         std::string(option.help) + " | " + code(value) + " | " +
         code(option.edge.empty() ? "" : small) + " | " + range_of(option) + " | " +
         code(std::string(option.kafka)) + " |\n";
}

}  // namespace

std::string config_toml(const DaemonOptions& options) {
  std::string text =
      "# leatd's options and what they are; a flag goes before this file.\n"
      "# docs/configuration.md says more.\n";
  std::string_view table;
  for (const Option& option : option_table()) {
    if (table_of(option) != table) {
      table = table_of(option);
      text += "\n[" + std::string(table) + "]\n";
    }
    const std::string range = range_of(option);
    text += "\n# " + std::string(option.help) + (range.empty() ? "" : " (" + range + ")") + "\n";
    text += std::string(option.key.substr(table.empty() ? 0 : table.size() + 1)) + " = " +
            toml_of(option, value_of(option, options)) + "\n";
  }
  // Those of flags stand in `topic` already.
  const std::span<const broker::TopicDeclaration> topics(options.server.topics);
  return text + topics_toml(topics.first(topics.size() - options.topics.size()));
}

std::string config_markdown() {
  constexpr std::string_view kHead =
      "\n| key | flag | what | default | edge | range | in Kafka "
      "|\n|---|---|---|---|---|---|---|\n";
  const DaemonOptions defaults = default_options("default"), edge = default_options("edge");
  std::string text(kIntroduction);
  text += kHead;
  std::string_view table;
  for (const Option& option : option_table()) {
    if (table_of(option) != table) {
      table = table_of(option);
      text += "\n## [" + std::string(table) + "]\n" + std::string(kHead);
    }
    text += row_of(option, defaults, edge);
  }
  return text;
}

}  // namespace leat
