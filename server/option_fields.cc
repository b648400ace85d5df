// Options and the fields they set.
#include <variant>

#include "protocol/base/assert.h"
#include "server/options.h"

namespace leat {
namespace {

template <class... Case>
struct Overloaded : Case... {
  using Case::operator()...;
};
template <class... Case>
Overloaded(Case...) -> Overloaded<Case...>;

}  // namespace

OptionValue value_of(const Option& option, const DaemonOptions& options) {
  DaemonOptions copy = options;  // the table leads to fields that can be changed
  const OptionField field = option.field(copy);
  return std::visit(
      Overloaded{
          [](const bool* value) -> OptionValue { return *value; },
          [](const std::string* value) -> OptionValue { return *value; },
          [](const std::vector<std::string>* value) -> OptionValue { return *value; },
          [](const Duration* value) -> OptionValue {
            return std::chrono::duration_cast<std::chrono::milliseconds>(*value).count();
          },
          [](const std::chrono::milliseconds* value) -> OptionValue {
            return std::int64_t{value->count()};
          },
          [](const auto* number) -> OptionValue { return static_cast<std::int64_t>(*number); }},
      field);
}

void set_value(const Option& option, const OptionValue& value, DaemonOptions& options) {
  std::visit(Overloaded{[&](bool* field) { *field = std::get<bool>(value); },
                        [&](std::string* field) { *field = std::get<std::string>(value); },
                        [&](std::vector<std::string>* field) { *field = std::get<3>(value); },
                        [&](Duration* field) {
                          *field = std::chrono::milliseconds(std::get<std::int64_t>(value));
                        },
                        [&](std::chrono::milliseconds* field) {
                          *field = std::chrono::milliseconds(std::get<std::int64_t>(value));
                        },
                        [&](auto* number) {
                          *number = static_cast<std::remove_pointer_t<decltype(number)>>(
                              std::get<std::int64_t>(value));
                        }},
             option.field(options));
}

DaemonOptions default_options(std::string_view profile) {
  DaemonOptions options;
  options.profile = profile;
  if (profile != "edge") return options;
  for (const Option& option : option_table()) {
    if (option.edge.empty()) continue;
    const auto value = parse_value(option, option.edge);
    LEAT_ASSERT(value);
    set_value(option, *value, options);
  }
  return options;
}

}  // namespace leat
