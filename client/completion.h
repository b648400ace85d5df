// A function that is called once, or never, and need not be copyable.
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

#include "protocol/base/result.h"

namespace leat {

template <class Argument>
class OnceFunction {
 public:
  OnceFunction() = default;
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, OnceFunction>)
      OnceFunction(F&& f)  // NOLINT: as with std::function
      : call_(std::make_unique<Bound<std::decay_t<F>>>(std::forward<F>(f))) {}

  explicit operator bool() const { return call_ != nullptr; }
  void operator()(Argument argument) {
    const auto call = std::move(call_);  // gone before the next call could come
    call->run(std::move(argument));
  }

 private:
  struct Call {
    virtual ~Call() = default;
    virtual void run(Argument argument) = 0;
  };
  template <class F>
  struct Bound final : Call {
    explicit Bound(F f) : function(std::move(f)) {}
    void run(Argument argument) override { function(std::move(argument)); }
    F function;
  };
  std::unique_ptr<Call> call_;
};

// Takes what an operation came to.
template <class T = void>
using Completion = OnceFunction<Result<T>>;

}  // namespace leat
