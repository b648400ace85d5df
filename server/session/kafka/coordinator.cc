// Who looks after a group: we do, for there is nobody else.
#include "server/session/kafka/handlers.h"

namespace leat::session {
namespace {

using kafka::KafkaError;

constexpr std::int8_t kGroup = 0, kTransaction = 1;

// Of anything else than a group there is no coordinator, and will not be later: the error is not
// one that clients try again.
template <class Answer>
void fill(std::int8_t key_type, const KafkaFacts& facts, Answer& answer) {
  if (key_type == kGroup) {
    answer.node_id = KafkaFacts::kNodeId;
    answer.host = facts.host;
    answer.port = facts.port;
    return;
  }
  answer.node_id = -1;
  answer.port = -1;
  answer.error_code =
      key_type == kTransaction ? KafkaError::kUnsupportedVersion : KafkaError::kInvalidRequest;
  answer.error_message = key_type == kTransaction ? "transactions are not supported"
                                                  : "groups alone have a coordinator";
}

}  // namespace

void carry_out(const kafka::FindCoordinatorRequest& request,
               Exchange<kafka::FindCoordinatorResponse>& exchange) {
  if (exchange.version() < 4) return fill(request.key_type, exchange.facts(), exchange.response);
  for (const std::string_view key : request.coordinator_keys) {
    auto& answer = exchange.response.coordinators.emplace_back();
    answer.key = exchange.keep(std::string(key));
    fill(request.key_type, exchange.facts(), answer);
  }
}

}  // namespace leat::session
