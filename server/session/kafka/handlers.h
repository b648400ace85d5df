// How each request of Kafka's protocol is carried out: one function for each, which makes the
// broker's calls it takes and fills in the response. Which file has it, server/README.md says. What
// `request` views is there only during the call. One thread.
#pragma once

#include "protocol/kafka/messages/bootstrap.h"
#include "protocol/kafka/messages/config_changes.h"
#include "protocol/kafka/messages/config_views.h"
#include "protocol/kafka/messages/coordinators.h"
#include "protocol/kafka/messages/fetch.h"
#include "protocol/kafka/messages/group_admin.h"
#include "protocol/kafka/messages/log_offsets.h"
#include "protocol/kafka/messages/membership.h"
#include "protocol/kafka/messages/metadata.h"
#include "protocol/kafka/messages/offset_commits.h"
#include "protocol/kafka/messages/offset_fetch.h"
#include "protocol/kafka/messages/partition_admin.h"
#include "protocol/kafka/messages/produce.h"
#include "protocol/kafka/messages/topic_admin.h"
#include "protocol/kafka/messages/topic_views.h"
#include "server/session/kafka/exchange.h"

namespace leat::session {

template <class Response>
using ExchangeOf = Exchange<Response>&;

void carry_out(const kafka::ApiVersionsRequest&, ExchangeOf<kafka::ApiVersionsResponse>);
void carry_out(const kafka::MetadataRequest&, ExchangeOf<kafka::MetadataResponse>);
void carry_out(const kafka::ProduceRequest&, ExchangeOf<kafka::ProduceResponse>);
void carry_out(const kafka::FetchRequest&, ExchangeOf<kafka::FetchResponse>);
void carry_out(const kafka::ListOffsetsRequest&, ExchangeOf<kafka::ListOffsetsResponse>);
void carry_out(const kafka::OffsetForLeaderEpochRequest&,
               ExchangeOf<kafka::OffsetForLeaderEpochResponse>);
void carry_out(const kafka::InitProducerIdRequest&, ExchangeOf<kafka::InitProducerIdResponse>);
void carry_out(const kafka::CreateTopicsRequest&, ExchangeOf<kafka::CreateTopicsResponse>);
void carry_out(const kafka::DeleteTopicsRequest&, ExchangeOf<kafka::DeleteTopicsResponse>);
void carry_out(const kafka::CreatePartitionsRequest&, ExchangeOf<kafka::CreatePartitionsResponse>);
void carry_out(const kafka::DeleteRecordsRequest&, ExchangeOf<kafka::DeleteRecordsResponse>);
void carry_out(const kafka::DescribeConfigsRequest&, ExchangeOf<kafka::DescribeConfigsResponse>);
void carry_out(const kafka::AlterConfigsRequest&, ExchangeOf<kafka::AlterConfigsResponse>);
void carry_out(const kafka::IncrementalAlterConfigsRequest&,
               ExchangeOf<kafka::IncrementalAlterConfigsResponse>);
void carry_out(const kafka::DescribeClusterRequest&, ExchangeOf<kafka::DescribeClusterResponse>);
void carry_out(const kafka::DescribeLogDirsRequest&, ExchangeOf<kafka::DescribeLogDirsResponse>);
void carry_out(const kafka::DescribeTopicPartitionsRequest&,
               ExchangeOf<kafka::DescribeTopicPartitionsResponse>);
void carry_out(const kafka::OffsetCommitRequest&, ExchangeOf<kafka::OffsetCommitResponse>);
void carry_out(const kafka::OffsetFetchRequest&, ExchangeOf<kafka::OffsetFetchResponse>);
void carry_out(const kafka::FindCoordinatorRequest&, ExchangeOf<kafka::FindCoordinatorResponse>);
void carry_out(const kafka::JoinGroupRequest&, ExchangeOf<kafka::JoinGroupResponse>);
void carry_out(const kafka::HeartbeatRequest&, ExchangeOf<kafka::HeartbeatResponse>);
void carry_out(const kafka::LeaveGroupRequest&, ExchangeOf<kafka::LeaveGroupResponse>);
void carry_out(const kafka::SyncGroupRequest&, ExchangeOf<kafka::SyncGroupResponse>);
void carry_out(const kafka::DescribeGroupsRequest&, ExchangeOf<kafka::DescribeGroupsResponse>);
void carry_out(const kafka::ListGroupsRequest&, ExchangeOf<kafka::ListGroupsResponse>);
void carry_out(const kafka::DeleteGroupsRequest&, ExchangeOf<kafka::DeleteGroupsResponse>);
void carry_out(const kafka::OffsetDeleteRequest&, ExchangeOf<kafka::OffsetDeleteResponse>);

// Whether the broker can take a request now; false: later, and what was sent behind it as well.
template <class Request>
bool takes(broker::Broker&, const Request&, std::int16_t) {
  return true;
}
bool takes(broker::Broker& broker, const kafka::ProduceRequest& request, std::int16_t version);

}  // namespace leat::session
