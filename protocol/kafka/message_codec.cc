#include "protocol/kafka/message_codec.h"

#include <string>

namespace leat::kafka {
namespace {

std::string name_of(const ApiInfo& api, std::int16_t version) {
  return std::string(api.name) + " " + std::to_string(version);
}

}  // namespace

Error unsupported_version(const ApiInfo& api, std::int16_t version) {
  return {ErrorCode::kUnsupportedVersion, name_of(api, version) + " (" +
                                              std::to_string(api.lowest) + " to " +
                                              std::to_string(api.highest) + " are supported)"};
}

Error in_message(const ApiInfo& api, std::int16_t version, Error error) {
  error.detail.insert(0, name_of(api, version) + ": ");
  return error;
}

}  // namespace leat::kafka
