// Whether this is still the process that made an object: its threads do not come along through a
// fork, and what they hold may be locked for ever (rule 13).
#pragma once

#include <unistd.h>

#include "protocol/base/result.h"

namespace leat {

class OwnProcess {
 public:
  bool here() const { return ::getpid() == pid_; }
  // Error: kNotAllowed.
  Result<> check() const {
    if (here()) return {};
    return fail(ErrorCode::kNotAllowed,
                "used in a child of the process that opened it; open another one there");
  }

 private:
  pid_t pid_ = ::getpid();
};

}  // namespace leat
