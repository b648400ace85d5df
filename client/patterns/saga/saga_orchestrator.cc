#include "client/patterns/saga/saga_orchestrator.h"

#include <charconv>

#include "client/context/message_context.h"
#include "protocol/names.h"
#include "protocol/reserved_headers.h"

namespace leat::patterns {
namespace {

Timestamp wall_clock() {
  return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

// What every record of a saga carries. Borrows.
std::vector<RecordHeader> headers_of(const SagaRow& row) {
  std::vector<RecordHeader> headers = {
      {reserved_headers::kCorrelationId, bytes(row.state.id)},
      {reserved_headers::kSaga, bytes(row.definition)},
  };
  const auto add = [&](std::string_view name, const std::string& value) {
    if (!value.empty()) headers.push_back({name, bytes(value)});
  };
  add(reserved_headers::kFlowId, row.flow);
  // The outbox knows better where a record is handled that is part of a trace.
  if (const SharedContext context = MessageScope::current(); context && context->trace)
    return headers;
  add(reserved_headers::kTraceParent, row.traceparent);
  add(reserved_headers::kTraceState, row.tracestate);
  return headers;
}

void keep_context(SagaRow& row) {
  const SharedContext context = MessageScope::current();
  if (!context) return;
  const std::string& flow = context->correlation_id;
  // Others chose it; not every database takes every text.
  if (flow != row.state.id && is_utf8(flow) && flow.find('\0') == flow.npos) row.flow = flow;
  if (!context->trace) return;
  row.traceparent = format_traceparent(*context->trace);
  row.tracestate = context->trace_state;
}

// To whoever runs the saga then, at its deadline.
Result<> add_timer(Outbox& outbox, const SagaRow& row) {
  OutboxEvent event{.aggregate_type = row.reply_to,
                    .aggregate_id = row.state.id,
                    .type = "SagaTimer",
                    .payload = Bytes(),
                    .headers = headers_of(row)};
  const std::string version = std::to_string(row.version);
  event.headers.push_back({reserved_headers::kSagaTimer, bytes(version)});
  if (row.deadline > row.updated) event.deliver_at = row.deadline;
  auto added = outbox.add(event);
  if (!added) return fail(added.error());
  return {};
}

// Zero, which no saga has: none that can be read.
std::int64_t version_in(std::string_view text) {
  std::int64_t version = 0;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, version);
  return read.ec == std::errc() && read.ptr == end ? version : 0;
}

}  // namespace

SagaOrchestrator::SagaOrchestrator(SagaStore store, Outbox outbox, Now now)
    : store_(store), outbox_(outbox), now_(now ? std::move(now) : Now(wall_clock)) {}

Result<SagaOrchestrator> SagaOrchestrator::open(Database& database, Outbox outbox,
                                                std::vector<SagaDefinition> definitions, Now now) {
  std::map<std::string, SagaDefinition, std::less<>> named;
  for (SagaDefinition& definition : definitions) {
    if (auto ok = check(definition); !ok) return fail(ok.error());
    std::string name = definition.name;
    if (!named.emplace(name, std::move(definition)).second)
      return fail(ErrorCode::kInvalidConfig, "there are two sagas '" + name + "'");
  }
  auto store = SagaStore::open(database);
  if (!store) return fail(store.error());
  SagaOrchestrator sagas(*store, outbox, std::move(now));
  sagas.definitions_ = std::move(named);
  return sagas;
}

Result<bool> SagaOrchestrator::start(std::string_view definition, std::string_view id,
                                     std::string_view data) {
  if (!store_.database().in_transaction())
    return fail(ErrorCode::kInvalidRequest,
                "start() belongs into the transaction that writes the business row: begin() first");
  if (auto ok = check_saga_id(id); !ok) return fail(ok.error());
  const auto found = definitions_.find(definition);
  if (found == definitions_.end())
    return fail(ErrorCode::kInvalidRequest,
                "there is no saga '" + std::string(definition) + "' among the definitions");
  auto decision = SagaLogic(found->second, now_()).begin(id, data);
  if (!decision) return fail(decision.error());
  keep_context(decision->row);
  auto inserted = store_.insert(decision->row, decision->event);
  if (!inserted) return fail(inserted.error());
  if (!*inserted) {
    auto there = store_.find(id);
    if (!there) return fail(there.error());
    if (*there && (*there)->definition != definition)
      return fail(ErrorCode::kInvalidRequest, "'" + std::string(id) + "' is the id of a saga '" +
                                                  (*there)->definition +
                                                  "': ids are those of all sagas of a database");
    return false;
  }
  ++counts_.started;
  if (auto ok = send_command(*decision); !ok) return fail(ok.error());
  if (auto ok = add_timer(outbox_, decision->row); !ok) return fail(ok.error());
  return true;
}

Result<> SagaOrchestrator::on_reply(const ConsumedRecord& record) {
  if (!store_.database().in_transaction())
    return fail(ErrorCode::kInvalidRequest,
                "on_reply() belongs into the transaction of an inbox: consume_once() makes one");
  const auto about = saga_address(record);
  if (!about || !check_saga_id(about->saga)) return ++counts_.foreign, Result<>();
  auto row = store_.find(about->saga);
  if (!row) return fail(row.error());
  if (!*row || (*row)->definition != about->definition) return ++counts_.foreign, Result<>();
  if (has_ended((*row)->status)) return ++counts_.ignored, Result<>();
  const auto definition = definition_of(**row);
  if (!definition) return fail(definition.error());
  auto decision = decide(std::move(**row), *about, record);
  if (!decision) return fail(decision.error());
  if (!*decision) return ++counts_.ignored, Result<>();
  ++counts_.changed;
  return carry_out(**definition, **decision);
}

Result<const SagaDefinition*> SagaOrchestrator::definition_of(const SagaRow& row) const {
  const auto found = definitions_.find(row.definition);
  if (found != definitions_.end()) return &found->second;
  return fail(ErrorCode::kInvalidConfig,
              "saga '" + row.state.id + "' is one of '" + row.definition +
                  "', which is not among the definitions: keep those whose sagas are under way");
}

Result<MaybeSagaDecision> SagaOrchestrator::decide(SagaRow row, const SagaAddress& about,
                                                   const ConsumedRecord& record) {
  const SagaLogic logic(definitions_.find(row.definition)->second, now_());
  if (const auto version = header_text(record, reserved_headers::kSagaTimer))
    return logic.timer(std::move(row), version_in(*version));
  const auto outcome = header_text(record, reserved_headers::kSagaReply);
  if (about.step.empty() || (outcome != "ok" && outcome != "failed")) return MaybeSagaDecision();
  return logic.replied(std::move(row), about,
                       outcome == "ok" ? SagaOutcome::kOk : SagaOutcome::kFailed,
                       record.value.value_or(Bytes()));
}

// The row first: its lock keeps others from adding to the outbox what belongs behind this.
Result<> SagaOrchestrator::carry_out(const SagaDefinition& definition,
                                     const SagaDecision& decision) {
  if (auto ok = store_.change(decision.row, decision.event); !ok) return ok;
  if (decision.send)
    if (auto ok = send_command(decision); !ok) return ok;
  if (has_ended(decision.row.status)) return ended(definition, decision.row);
  return add_timer(outbox_, decision.row);
}

Result<> SagaOrchestrator::send_command(const SagaDecision& decision) {
  const SagaRow& row = decision.row;
  const bool undo = row.status == SagaStatus::kCompensating;
  const SagaCommand command =
      (undo ? decision.send->compensation : decision.send->command)(row.state);
  const std::string type =
      !command.type.empty() ? command.type : row.state.step + (undo ? ".undo" : "");
  const std::string step = saga_step_text(row.state.step, row.state.attempt, undo);
  OutboxEvent event{.aggregate_type = command.aggregate_type,
                    .aggregate_id = command.key.empty() ? row.state.id : command.key,
                    .type = type,
                    .payload = bytes(command.payload),
                    .headers = headers_of(row)};
  event.headers.push_back({reserved_headers::kSagaStep, bytes(step)});
  event.headers.push_back({reserved_headers::kReplyTo, bytes(row.reply_to)});
  for (const auto& [name, value] : command.headers) event.headers.push_back({name, bytes(value)});
  auto added = outbox_.add(event);
  if (!added)
    return fail(added.error().code,
                "saga '" + row.state.id + "', " + step + ": " + added.error().detail);
  return {};
}

Result<> SagaOrchestrator::ended(const SagaDefinition& definition, const SagaRow& row) {
  ++(row.status == SagaStatus::kCompleted     ? counts_.completed
     : row.status == SagaStatus::kCompensated ? counts_.compensated
                                              : counts_.failed);
  if (!definition.on_end) return {};
  return definition.on_end(store_.database(), row.state, row.status);
}

Result<SagaRow> retry_saga(SagaStore& store, Outbox& outbox, std::string_view id, Timestamp now) {
  auto tx = Transaction::begin(store.database());
  if (!tx) return fail(tx.error());
  auto row = store.find(id);
  if (!row) return fail(row.error());
  if (!*row) return fail(ErrorCode::kNotFound, "saga '" + std::string(id) + "'");
  auto decision = retried(std::move(**row), now);
  if (!decision) return fail(decision.error());
  if (auto ok = store.change(decision->row, decision->event); !ok) return fail(ok.error());
  if (auto ok = add_timer(outbox, decision->row); !ok) return fail(ok.error());
  if (auto ok = tx->commit(); !ok) return fail(ok.error());
  return decision->row;
}

}  // namespace leat::patterns
