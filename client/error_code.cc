#include "client/error_code.h"

namespace leat {
namespace {
thread_local const ErrorDetailScope* t_scope = nullptr;
}

class ErrorCategory final : public std::error_category {
 public:
  const char* name() const noexcept override { return "leat"; }
  std::string message(int value) const override {
    const auto code = static_cast<ErrorCode>(value);
    if (t_scope && t_scope->error_ == code) return t_scope->error_.message();
    return std::string(error_info(code).text);
  }
  std::error_condition default_error_condition(int value) const noexcept override {
    switch (static_cast<ErrorCode>(value)) {
      case ErrorCode::kTimedOut:
        return std::errc::timed_out;
      case ErrorCode::kUnreachable:
        return std::errc::host_unreachable;
      case ErrorCode::kDisconnected:
        return std::errc::connection_reset;
      case ErrorCode::kNoSpace:
        return std::errc::no_space_on_device;
      case ErrorCode::kAddressInUse:
        return std::errc::address_in_use;
      case ErrorCode::kNotAllowed:
        return std::errc::operation_not_permitted;
      default:
        return {value, *this};
    }
  }
};

const std::error_category& leat_category() noexcept {
  static const ErrorCategory category;
  return category;
}

std::error_code make_error_code(ErrorCode code) noexcept {
  return {static_cast<int>(code), leat_category()};
}

bool retryable(const std::error_code& error) noexcept {
  return error.category() == leat_category() &&
         error_info(static_cast<ErrorCode>(error.value())).retryable;
}

const std::string& error_detail() noexcept {
  static const std::string none;
  return t_scope ? t_scope->error_.detail : none;
}

ErrorDetailScope::ErrorDetailScope(Error error) : error_(std::move(error)), outer_(t_scope) {
  t_scope = this;
}

ErrorDetailScope::~ErrorDetailScope() {
  t_scope = outer_;
}

}  // namespace leat
