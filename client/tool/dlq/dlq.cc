#include <algorithm>
#include <cstdio>
#include <map>
#include <tuple>

#include "client/tool/color.h"
#include "client/tool/dlq/letter_reader.h"
#include "client/tool/dlq/redrive.h"
#include "client/tool/record_format.h"

namespace leat::tool {
namespace {

constexpr std::uint64_t kMostLookedAt = 100'000;  // records, by one ls or show
constexpr std::string_view kSuffix = ".dlq";      // of the broker's own choice of a name

struct DlqArguments {
  std::vector<std::string> topics;  // of ls
  RedriveOptions redrive;           // what show and redrive are told alike is here, too
  std::string place, rate, format, output;
  bool all = false, json = false;
};

// ---- ls ----

using Kind = std::tuple<std::string, std::string, std::string>;  // source, group, reason

struct Tally {
  std::string topic;
  std::uint64_t records = 0, looked_at = 0;
  std::map<Kind, std::uint64_t> by;
  bool cut() const { return looked_at < records; }
};

// Counts, as long as `most` lets it.
Result<Tally> tally(blocking::Client& client, const std::string& topic, std::uint64_t& most,
                    std::chrono::milliseconds timeout) {
  auto letters = LetterReader::open(client, topic, LetterReader::What::kOpen, timeout);
  if (!letters) return fail(letters.error());
  Tally tally{topic, (*letters)->expected(), 0, {}};
  while (most > 0) {
    auto records = (*letters)->next();
    if (!records) return fail(records.error());
    if (records->empty()) break;
    for (const ConsumedRecord& record : records->first(std::min(records->size(), most))) {
      const DeadLetter letter = dead_letter(record);
      ++tally.by[Kind(letter.topic, letter.group, letter.reason)];
      ++tally.looked_at;
      --most;
    }
  }
  return tally;
}

void append_tally(std::string& out, const Tally& tally) {
  out += "{\"topic\":";
  append_string(out, tally.topic);
  out += ",\"records\":" + std::to_string(tally.records) +
         ",\"looked_at\":" + std::to_string(tally.looked_at) + ",\"by\":[";
  bool first = true;
  for (const auto& [kind, records] : tally.by) {
    const auto& [source, group, reason] = kind;
    out += std::exchange(first, false) ? "{\"reason\":" : ",{\"reason\":";
    append_value(out, as_bytes(reason));
    out += ",\"group\":";
    append_value(out, as_bytes(group));
    out += ",\"source\":";
    append_value(out, as_bytes(source));
    out += ",\"records\":" + std::to_string(records) + "}";
  }
  out += "]}";
}

void print(const Tally& tally) {
  std::printf("%s\t%llu records\n", colored(stdout, Color::kBold, tally.topic).c_str(),
              static_cast<unsigned long long>(tally.records));
  for (const auto& [kind, records] : tally.by) {
    const auto& [source, group, reason] = kind;
    std::printf("  %s\t%s\t%s\t%llu records\n", as_column(source).c_str(), as_column(group).c_str(),
                as_column(reason).c_str(), static_cast<unsigned long long>(records));
  }
}

Result<std::vector<std::string>> topics_of_letters(blocking::Client& client,
                                                   std::vector<std::string> given) {
  auto topics = client.list_topics();
  if (!topics) return fail(topics.error());
  for (const TopicDescription& topic : *topics)
    if (topic.name.ends_with(kSuffix) && std::ranges::find(given, topic.name) == given.end())
      given.push_back(topic.name);
  std::ranges::sort(given);
  return given;
}

int list(const Context& context, const DlqArguments& arguments) {
  auto client = context.connect();
  if (!client) return failed("dlq ls", client.error());
  auto topics = topics_of_letters(*client, arguments.topics);
  if (!topics) return failed("dlq ls", topics.error());
  std::string all = "[";
  std::uint64_t most = kMostLookedAt;
  bool cut = false;
  for (const std::string& topic : *topics) {
    auto told = tally(*client, topic, most, context.timeout);
    if (!told) return failed("dlq ls", told.error());
    if (interrupted()) return interrupted();
    cut = cut || told->cut();
    if (all.size() > 1) all += ",";
    arguments.json ? append_tally(all, *told) : print(*told);
  }
  if (arguments.json) print_json("dead_letters", all + "]");
  if (cut) {
    std::fflush(stdout);
    std::fprintf(stderr,
                 "leat: not all records were looked at (%llu at most, and none that another leat "
                 "dlq has at the moment)\n",
                 static_cast<unsigned long long>(kMostLookedAt));
  }
  return 0;
}

// ---- show ----

class Showing {
 public:
  explicit Showing(const DlqArguments& arguments) : arguments_(arguments) {}

  Result<> run(LetterReader& letters) {
    while (!finished()) {
      auto records = letters.next();
      if (!records) return fail(records.error());
      if (records->empty()) return {};
      for (const ConsumedRecord& record : *records)
        if (!finished()) show(record);
      std::fwrite(out_.data(), 1, out_.size(), stdout);
      out_.clear();
      if (!flush_output()) return output_failed_ = true, Result<>();
    }
    return {};
  }
  bool output_failed() const { return output_failed_; }
  bool cut() const { return looked_at_ >= kMostLookedAt; }

 private:
  bool finished() const {
    const std::uint64_t count = arguments_.redrive.count;
    return cut() || (count > 0 && shown_ >= count);
  }

  void show(const ConsumedRecord& record) {
    ++looked_at_;
    const DeadLetter letter = dead_letter(record);
    if (!arguments_.redrive.filter.matches(record, letter)) return;
    ++shown_;
    if (arguments_.output == "json")
      return append_letter_json(out_, arguments_.redrive.topic, record, letter);
    append_front(out_, record, letter);
    append_formatted(out_, arguments_.format, arguments_.redrive.topic, record);
  }

  const DlqArguments& arguments_;
  std::string out_;
  std::uint64_t looked_at_ = 0, shown_ = 0;
  bool output_failed_ = false;
};

int show(const Context& context, const DlqArguments& arguments) {
  if (auto ok = check_format(arguments.format); !ok) return usage_failed(ok.error().detail);
  auto client = context.connect();
  if (!client) return failed("dlq show", client.error());
  const auto what = arguments.all ? LetterReader::What::kAll : LetterReader::What::kOpen;
  auto letters = LetterReader::open(*client, arguments.redrive.topic, what, context.timeout);
  if (!letters) return failed("dlq show", letters.error());
  Showing showing(arguments);
  if (auto ok = showing.run(**letters); !ok) return failed("dlq show", ok.error());
  if (showing.output_failed()) return 1;
  if (showing.cut())
    std::fprintf(stderr, "leat: the first %llu records were looked at, and no more\n",
                 static_cast<unsigned long long>(kMostLookedAt));
  if ((*letters)->with_others() > 0)
    std::fprintf(stderr, "leat: %llu more are with another leat dlq at the moment\n",
                 static_cast<unsigned long long>((*letters)->with_others()));
  return interrupted();
}

// ---- what they are told ----

// With the place and the rate read.
template <class Verb>
int told(const Context& context, DlqArguments arguments, Verb verb) {
  if (!arguments.place.empty()) {
    auto place = parse_place(arguments.place);
    if (!place) return usage_failed(place.error().detail);
    arguments.redrive.filter.place = *place;
    arguments.redrive.count = 1;
  }
  if (!arguments.rate.empty()) {
    auto rate = parse_rate(arguments.rate);
    if (!rate) return usage_failed(rate.error().detail);
    arguments.redrive.rate = *rate;
  }
  return verb(context, arguments);
}

void add_filter(CLI::App& verb, DlqArguments& arguments) {
  LetterFilter& filter = arguments.redrive.filter;
  verb.add_option("TOPIC", arguments.redrive.topic, "of dead letters")->required();
  verb.add_option("-n,--count", arguments.redrive.count, "at most so many records");
  verb.add_option("--reason", filter.reason, "those whose reason contains it");
  verb.add_option("-g,--group", filter.group, "those that this group gave up");
  verb.add_option("--source", filter.source, "those that came from this topic");
  verb.add_option("--key", filter.key, "those with this key");
  verb.add_option("--offset", arguments.place, "the one at PARTITION/OFFSET, such as 0/17");
}

}  // namespace

void add_dlq(CLI::App& app, Context& context, Run& run) {
  auto* dlq = app.add_subcommand("dlq", "dead letters: list them, show them, send them back");
  dlq->require_subcommand(1);
  auto arguments = std::make_shared<DlqArguments>();
  arguments->format = "%k\\t%v\\n";
  const auto runs = [&run, &context, arguments](CLI::App* verb, auto what) {
    verb->callback([&run, &context, arguments, what] {
      run = [=, &context] { return told(context, *arguments, what); };
    });
  };
  auto* list_verb = dlq->add_subcommand(
      "ls", "topics of dead letters, and what was not redriven: source, group, reason");
  list_verb->add_option("--topic", arguments->topics, "besides those whose names end in .dlq")
      ->allow_extra_args(false);
  list_verb->add_flag("--json", arguments->json, "for scripts");
  runs(list_verb, list);
  auto* show_verb = dlq->add_subcommand(
      "show",
      "records that were not redriven: place, time of death, where it was, group, attempts, reason "
      "and the record");
  add_filter(*show_verb, *arguments);
  show_verb->add_flag("--all", arguments->all, "redriven ones, too");
  show_verb->add_option("--format", arguments->format,
                        "of the record, as for leat consume (default: '%k\\t%v\\n')");
  show_verb->add_option("-o,--output", arguments->output, "json: an object a line")
      ->check(CLI::IsMember({"json"}));
  runs(show_verb, show);
  auto* redrive_verb = dlq->add_subcommand(
      "redrive", "send records back to the topics they came from, as they were");
  add_filter(*redrive_verb, *arguments);
  redrive_verb->add_option("--rate", arguments->rate, "at most so many a second, e.g. 100/s");
  redrive_verb->add_flag("--dry-run", arguments->redrive.dry_run, "only say what would be sent");
  redrive_verb->add_flag("--yes", arguments->redrive.yes, "do not ask");
  runs(redrive_verb, [](const Context& where, const DlqArguments& given) {
    return redrive(where, given.redrive);
  });
}

}  // namespace leat::tool
