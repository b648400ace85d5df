#include "client/tool/record_format.h"

#include <cstdio>

#include "protocol/names.h"

namespace leat::tool {
namespace {

constexpr std::string_view kPlaceholders = "tpokvhTa%";
constexpr std::string_view kEscapes = "ntr\\0";

void append_bytes(std::string& out, const std::optional<Bytes>& bytes) {
  if (bytes) out += as_text(*bytes);
}

void append_headers(std::string& out, const RecordHeaders& headers) {
  bool first = true;
  for (const RecordHeader& header : headers) {
    if (!std::exchange(first, false)) out += ',';
    out.append(header.key).append("=");
    append_bytes(out, header.value);
  }
}

void append_placeholder(std::string& out, char what, std::string_view topic,
                        const ConsumedRecord& record) {
  switch (what) {
    case 't':
      out += topic;
      break;
    case 'p':
      out += std::to_string(record.partition.value);
      break;
    case 'o':
      out += std::to_string(record.offset.value);
      break;
    case 'k':
      append_bytes(out, record.key);
      break;
    case 'v':
      append_bytes(out, record.value);
      break;
    case 'h':
      append_headers(out, record.headers);
      break;
    case 'T':
      out += std::to_string(record.timestamp_ms);
      break;
    case 'a':
      out += std::to_string(record.attempts);
      break;
    default:
      out += what;
      break;
  }
}

char unescaped(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 't':
      return '\t';
    case 'r':
      return '\r';
    case '0':
      return '\0';
    default:
      return c;
  }
}

}  // namespace

void append_string(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out.append(1, '\\').append(1, c);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char code[8];
      std::snprintf(code, sizeof code, "\\u%04x", c);
      out += code;
    } else {
      out += c;
    }
  }
  out += '"';
}

void append_value(std::string& out, const std::optional<Bytes>& bytes) {
  if (!bytes) {
    out += "null";
  } else if (is_utf8(as_text(*bytes))) {
    append_string(out, as_text(*bytes));
  } else {
    out += "{\"hex\":\"";
    for (const std::byte b : *bytes) {
      char code[4];
      std::snprintf(code, sizeof code, "%02x", static_cast<unsigned>(b));
      out += code;
    }
    out += "\"}";
  }
}

Result<> check_format(std::string_view format) {
  for (std::size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%' && format[i] != '\\') continue;
    const std::string_view known = format[i] == '%' ? kPlaceholders : kEscapes;
    if (i + 1 == format.size() || known.find(format[i + 1]) == std::string_view::npos)
      return fail(ErrorCode::kUsage, "'" + std::string(format.substr(i, 2)) +
                                         "' in --format is unknown; known are %t %p %o %k %v %h %T "
                                         "%a %% \\n \\t \\r \\\\ \\0");
    ++i;
  }
  return {};
}

void append_formatted(std::string& out, std::string_view format, std::string_view topic,
                      const ConsumedRecord& record) {
  for (std::size_t i = 0; i < format.size(); ++i) {
    if (format[i] == '%')
      append_placeholder(out, format[++i], topic, record);
    else if (format[i] == '\\')
      out += unescaped(format[++i]);
    else
      out += format[i];
  }
}

void append_json(std::string& out, std::string_view topic, const ConsumedRecord& record) {
  out += "{\"topic\":";
  append_string(out, topic);
  out += ",\"partition\":" + std::to_string(record.partition.value);
  out += ",\"offset\":" + std::to_string(record.offset.value);
  out += ",\"timestamp_ms\":" + std::to_string(record.timestamp_ms);
  out += ",\"key\":";
  append_value(out, record.key);
  out += ",\"value\":";
  append_value(out, record.value);
  out += ",\"headers\":[";
  bool first = true;
  for (const RecordHeader& header : record.headers) {
    if (!std::exchange(first, false)) out += ',';
    out += "[";
    append_value(out, as_bytes(header.key));
    out += ',';
    append_value(out, header.value);
    out += ']';
  }
  out += "]}\n";
}

}  // namespace leat::tool
