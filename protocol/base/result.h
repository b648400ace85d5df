// A value or an Error. Peers, disks and users fail through Result; our own bugs hit LEAT_ASSERT.
//
//   Result<Offset> offset = parse_offset(text);
//   if (!offset) return fail(offset.error());
#pragma once

#include <utility>

#include <tl/expected.hpp>

#include "protocol/base/error.h"

namespace leat {

template <class T = void>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
  Result(tl::expected<T, Error> other) : tl::expected<T, Error>(std::move(other)) {}
};

// return fail(ErrorCode::kUnknownTopic, "'orders'");
inline tl::unexpected<Error> fail(ErrorCode code, std::string detail = {}) {
  return tl::unexpected<Error>(Error(code, std::move(detail)));
}
inline tl::unexpected<Error> fail(Error error) {
  return tl::unexpected<Error>(std::move(error));
}

}  // namespace leat
