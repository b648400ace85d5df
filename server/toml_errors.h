// What is wrong in a TOML file, and where.
#pragma once

#include <string>
#include <string_view>

#include <toml++/toml.h>

#include "protocol/base/result.h"

namespace leat {

inline tl::unexpected<Error> wrong(const std::string& name, const toml::source_position& at,
                                   const std::string& what) {
  return fail(ErrorCode::kUsage,
              name + ":" + std::to_string(at.line) + ":" + std::to_string(at.column) + ": " + what);
}

inline std::string_view name_of(toml::node_type type) {
  switch (type) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "a list";
    case toml::node_type::string:
      return "text";
    case toml::node_type::integer:
      return "a whole number";
    case toml::node_type::floating_point:
      return "a number with a fraction";
    case toml::node_type::boolean:
      return "true or false";
    default:
      return "a date or time";
  }
}

}  // namespace leat
