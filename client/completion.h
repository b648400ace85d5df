// A function that is called once, or never, and need not be copyable.
#pragma once

#include <cstddef>
#include <new>
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
      OnceFunction(F&& f) {  // NOLINT: as with std::function
    using Kind = Bound<std::decay_t<F>>;
    if constexpr (kFits<Kind>)
      call_ = ::new (place_) Kind(std::forward<F>(f));
    else
      call_ = new Kind(std::forward<F>(f));
  }
  OnceFunction(OnceFunction&& other) noexcept { take(other); }
  OnceFunction& operator=(OnceFunction&& other) noexcept {
    if (this == &other) return *this;
    reset();
    take(other);
    return *this;
  }
  ~OnceFunction() { reset(); }

  explicit operator bool() const { return call_ != nullptr; }
  void operator()(Argument argument) {
    OnceFunction once = std::move(*this);  // gone before the next call could come
    once.call_->run(std::move(argument));
  }

 private:
  struct Call {
    virtual ~Call() = default;
    virtual void run(Argument argument) = 0;
    virtual Call* move_to(void* place) = 0;  // of what lies in place
  };
  template <class F>
  struct Bound final : Call {
    explicit Bound(F f) : function(std::move(f)) {}
    void run(Argument argument) override { function(std::move(argument)); }
    Call* move_to(void* place) override {
      if constexpr (kFits<Bound>) return ::new (place) Bound(std::move(*this));
      return this;
    }
    F function;
  };
  // Small ones need no memory of their own.
  static constexpr std::size_t kPlaceBytes = 4 * sizeof(void*);
  template <class Kind>
  static constexpr bool kFits =
      sizeof(Kind) <= kPlaceBytes &&
      alignof(Kind) <= alignof(void*) && std::is_nothrow_move_constructible_v<Kind>;

  bool is_in_place() const { return static_cast<const void*>(call_) == place_; }
  void take(OnceFunction& other) {
    if (!other.call_) return;
    const bool moves = other.is_in_place();
    call_ = moves ? other.call_->move_to(place_) : std::exchange(other.call_, nullptr);
    if (moves) other.reset();
  }
  void reset() {
    if (!call_) return;
    Call* const call = std::exchange(call_, nullptr);
    if (static_cast<void*>(call) == place_)
      call->~Call();
    else
      delete call;
  }

  Call* call_ = nullptr;
  alignas(void*) std::byte place_[kPlaceBytes];
};

// Takes what an operation came to.
template <class T = void>
using Completion = OnceFunction<Result<T>>;

}  // namespace leat
