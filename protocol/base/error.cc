#include "protocol/base/error.h"

namespace leat {
namespace {

constexpr ErrorInfo kOkInfo{ErrorCode::kOk, "Ok", 0, 0, false, "ok"};

constexpr ErrorInfo kTable[] = {
#define LEAT_ERROR_ROW(name, number, kafka, exit_status, retryable, text) \
  {ErrorCode::name, std::string_view(#name).substr(1), kafka, exit_status, retryable, text},
    LEAT_ERRORS(LEAT_ERROR_ROW)
#undef LEAT_ERROR_ROW
};

constexpr bool numbered_by_row() {
  for (std::size_t i = 0; i < std::size(kTable); ++i)
    if (static_cast<std::size_t>(kTable[i].code) != i + 1) return false;
  return true;
}
static_assert(numbered_by_row(), "error numbers are dense, so that a look-up is an index");

}  // namespace

const ErrorInfo& error_info(ErrorCode code) {
  const auto number = static_cast<std::size_t>(code);
  if (number == 0) return kOkInfo;
  return number <= std::size(kTable) ? kTable[number - 1] : kTable[0];
}

std::string Error::message() const {
  std::string text(error_info(code).text);
  if (!detail.empty()) text.append(": ").append(detail);
  return text;
}

}  // namespace leat
