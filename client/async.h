// How an operation of the client takes any Asio completion token: a callback, asio::use_future,
// asio::use_awaitable, asio::experimental::as_tuple of one, or what else Asio knows.
//
// The handler runs on its associated executor, else on the client's thread, where it must not
// block; never inside the function that started the operation. The executor has work until then.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <system_error>
#include <type_traits>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/dispatch.hpp>
#include <asio/error.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>

#include "client/completion.h"
#include "client/error_code.h"

namespace leat {

class Link;

namespace async {

asio::any_io_executor executor_of(Link& link);

template <class T>
struct Signature {
  using type = void(std::error_code, T);
};
template <>
struct Signature<void> {
  using type = void(std::error_code);
};

// Whether this thread is inside a function that starts an operation.
class Initiating {
 public:
  Initiating() { ++depth(); }
  ~Initiating() { --depth(); }
  static bool here() { return depth() > 0; }

 private:
  static int& depth();
};

// What a handler runs within. For results of which a handler is to know more than it is given.
template <class T>
struct Surroundings {
  explicit Surroundings(const Result<T>&) {}
  ~Surroundings() {}  // so that nobody takes it for unused
};

// Hands a result to the handler, once.
template <class T, class Handler>
class Delivery {
 public:
  using Executor = asio::associated_executor_t<Handler, asio::any_io_executor>;
  using Cancelled = std::shared_ptr<std::atomic<bool>>;

  Delivery(Handler handler, const asio::any_io_executor& fallback, Cancelled cancelled)
      : handler_(std::move(handler)),
        executor_(asio::get_associated_executor(handler_, fallback)),
        cancelled_(std::move(cancelled)) {
    // The client's own thread lives as long as the client.
    if constexpr (std::is_same_v<Executor, asio::any_io_executor>)
      if (executor_ == fallback) return;
    work_.emplace(executor_);
  }

  void operator()(Result<T> result) {
    const Executor executor = executor_;
    // Whatever the handler does, its io_context is not gone before it was handed over: posting
    // still touches it when the handler runs already.
    const auto handing_over = work_;
    auto run = [self = std::move(*this), result = std::move(result)]() mutable {
      self.finish(std::move(result));
    };
    if (Initiating::here())
      asio::post(executor, std::move(run));
    else
      asio::dispatch(executor, std::move(run));
  }

 private:
  void finish(Result<T> result) {
    if (auto slot = asio::get_associated_cancellation_slot(handler_);
        cancelled_ && slot.is_connected())
      slot.clear();
    auto handler = std::move(handler_);
    work_.reset();
    std::error_code error;
    if (!result) error = result.error().code;
    if (!result && cancelled_ && *cancelled_ && result.error() == ErrorCode::kClosed)
      error = asio::error::operation_aborted;
    const Surroundings<T> surroundings(result);
    std::optional<ErrorDetailScope> scope;
    if (!result) scope.emplace(std::move(result.error()));
    if constexpr (std::is_void_v<T>)
      std::move(handler)(error);
    else
      std::move(handler)(error, result ? std::move(*result) : T());
  }

  Handler handler_;
  Executor executor_;
  std::optional<asio::executor_work_guard<Executor>> work_;
  Cancelled cancelled_;
};

// Starts an operation: `start` gets the Completion<T> and, behind it, `arguments`. Handlers without
// an executor run on `fallback`.
template <class T, class Token, class Start, class... Arguments>
auto initiate_on(asio::any_io_executor fallback, Token&& token, Start start,
                 Arguments&&... arguments) {
  return asio::async_initiate<Token, typename Signature<T>::type>(
      [fallback = std::move(fallback), start = std::move(start)](auto&& handler,
                                                                 auto&&... given) mutable {
        using Handler = std::decay_t<decltype(handler)>;
        const Initiating here;
        start(Completion<T>(Delivery<T, Handler>(std::move(handler), fallback, nullptr)),
              std::forward<decltype(given)>(given)...);
      },
      token, std::forward<Arguments>(arguments)...);
}
template <class T, class Token, class Start, class... Arguments>
auto initiate(Link& link, Token&& token, Start start, Arguments&&... arguments) {
  return initiate_on<T>(executor_of(link), std::forward<Token>(token), std::move(start),
                        std::forward<Arguments>(arguments)...);
}

// The same for what can be cancelled through the handler's slot: `start` gets a function that takes
// how to cancel, to be called before anything can complete.
template <class T, class Token, class Start>
auto initiate_cancellable(Link& link, Token&& token, Start start) {
  return asio::async_initiate<Token, typename Signature<T>::type>(
      [fallback = executor_of(link), start = std::move(start)](auto&& handler) mutable {
        using Handler = std::decay_t<decltype(handler)>;
        const Initiating here;
        auto slot = asio::get_associated_cancellation_slot(handler);
        auto cancelled = std::make_shared<std::atomic<bool>>(false);
        auto done = Completion<T>(Delivery<T, Handler>(std::move(handler), fallback, cancelled));
        start(std::move(done), [slot, cancelled](auto cancel) mutable {
          if (!slot.is_connected()) return;
          slot.assign([cancelled, cancel](asio::cancellation_type kind) {
            if (kind == asio::cancellation_type::none) return;
            *cancelled = true;
            cancel();
          });
        });
      },
      token);
}

}  // namespace async
}  // namespace leat
