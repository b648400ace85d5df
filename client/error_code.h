// The one table of errors as std::error_code, in a category of its own.
//
//   if (ec == ErrorCode::kUnknownTopic) ...
//   if (retryable(ec)) ...                  // the same request may succeed later
//   if (ec == std::errc::timed_out) ...     // where the standard has a word for it
#pragma once

#include <string>
#include <system_error>

#include "protocol/base/error.h"

template <>
struct std::is_error_code_enum<leat::ErrorCode> : std::true_type {};

namespace leat {

// Named "leat"; values are the table's numbers.
const std::error_category& leat_category() noexcept;
std::error_code make_error_code(ErrorCode code) noexcept;
bool retryable(const std::error_code& error) noexcept;

// A code says what kind of failure it was, an Error also what was found and what to do about it.
// While a completion handler runs that was given a failure, and so until the next suspension of a
// coroutine that a failure resumed, this is the failure's detail; empty otherwise. message() of the
// same code then includes it, and with it what() of the exceptions that use_awaitable and
// use_future throw. This thread.
const std::string& error_detail() noexcept;

// For whoever calls handlers: what error_detail() gives until its end.
class ErrorDetailScope {
 public:
  explicit ErrorDetailScope(Error error);
  ~ErrorDetailScope();
  ErrorDetailScope(const ErrorDetailScope&) = delete;
  ErrorDetailScope& operator=(const ErrorDetailScope&) = delete;

 private:
  Error error_;
  const ErrorDetailScope* outer_;
  friend class ErrorCategory;
  friend const std::string& error_detail() noexcept;
};

}  // namespace leat
