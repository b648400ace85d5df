// How `leat consume` writes a record.
#pragma once

#include <string>
#include <string_view>

#include "client/config.h"
#include "protocol/base/result.h"

namespace leat::tool {

// %t topic, %p partition, %o offset, %k key, %v value, %h headers (k=v,k=v), %T timestamp in ms,
// %a the attempt to deliver it to a shared group, from 1, %% a percent sign; \n, \t, \r, \\ and \0
// as in C. Null keys and values are empty. Error: kUsage, with what is wrong.
Result<> check_format(std::string_view format);
void append_formatted(std::string& out, std::string_view format, std::string_view topic,
                      const ConsumedRecord& record);

// A JSON string. `text` is UTF-8.
void append_string(std::string& out, std::string_view text);

// A JSON string; {"hex":"…"} of what is not UTF-8; null is null.
void append_value(std::string& out, const std::optional<Bytes>& bytes);

// One JSON object and a newline.
void append_json(std::string& out, std::string_view topic, const ConsumedRecord& record);

}  // namespace leat::tool
