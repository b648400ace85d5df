// Topics that are there from the start, and the way back to them.
#include "server/broker/broker.h"
#include "server/broker/partitions.h"

namespace leat::broker {

Result<> Broker::declare(std::vector<TopicDeclaration> topics, Now now) {
  if (auto ok = check_declarations(topics); !ok) return ok;
  declared_ = std::move(topics);
  return make_declared(now);
}

Result<> Broker::make_declared(Now now) {
  constexpr RequestId kNobody{};  // is told what becomes of the records
  for (const TopicDeclaration& declared : declared_) {
    if (storage_.find_topic(declared.name)) continue;
    auto batches = seed_batches(declared, now.wall, options_.batch_bytes);
    if (!batches) return fail(batches.error());
    auto topic = make_topic({declared.name, declared.partitions, false, declared.config}, now);
    if (!topic)
      return fail(topic.error().code,
                  "topic " + quoted(declared.name) + ": " + topic.error().detail);
    const TopicId id = (*topic)->id;
    for (const SeedBatch& batch : *batches)
      produces_.produce(kNobody, id, batch.partition, batch.bytes, now);
  }
  return {};
}

void Broker::reset(const RequestId& id, Now now) {
  if (!options_.allow_reset)
    return reply(id, Error(ErrorCode::kNotAllowed,
                           "this broker is not emptied by clients; leatd --dev or allow_reset "
                           "makes one that is"));
  for (const storage::Topic* topic : storage_.topics())
    if (auto ok = remove_topic(*topic); !ok) return reply(id, ok.error());
  auto ok = make_declared(now);
  tell_topics_changed(now);
  if (ok) ok = groups_.remove_empty();
  reply(id, ok ? Reply(BrokerReset{}) : Reply(ok.error()));
}

}  // namespace leat::broker
