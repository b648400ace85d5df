// Where a broker listens, as people write it, and what Kafka clients are told.
#include "server/listen_url.h"

#include <gtest/gtest.h>

#include "server/cluster_id.h"

namespace leat {
namespace {

TEST(ListenUrl, NamesProtocolHostAndPort) {
  const auto native = parse_listen_url("leat://[::1]");
  ASSERT_TRUE(native);
  EXPECT_EQ(native->protocol, Protocol::kNative);
  EXPECT_EQ(native->address.host, "::1");
  EXPECT_EQ(native->address.port, 5328);
  const auto kafka = parse_listen_url("kafka://localhost");
  ASSERT_TRUE(kafka);
  EXPECT_EQ(kafka->protocol, Protocol::kKafka);
  EXPECT_EQ(kafka->address.port, 9092);
  EXPECT_EQ(kafka->advertised_host, "");
  EXPECT_EQ(listen_url(kafka->protocol, kafka->address), "kafka://localhost:9092");
  EXPECT_EQ(parse_listen_url("unix:///run/leat")->address.unix_path, "/run/leat");
}

TEST(ListenUrl, SaysWhatKafkaClientsAreTold) {
  const auto url = parse_listen_url("kafka://0.0.0.0:19092?advertised=leat.example:29092");
  ASSERT_TRUE(url);
  EXPECT_TRUE(is_wildcard(url->address));
  EXPECT_FALSE(is_loopback(url->address));
  EXPECT_EQ(url->address.port, 19092);
  EXPECT_EQ(url->advertised_host, "leat.example");
  EXPECT_EQ(url->advertised_port, 29092);
  EXPECT_EQ(parse_listen_url("kafka://0.0.0.0?advertised=[::1]")->advertised_host, "::1");
  EXPECT_EQ(parse_listen_url("kafka://0.0.0.0?advertised=leat")->advertised_port, 0);
}

TEST(ListenUrl, WhatIsNoneIsRefusedSayingHowToWriteOne) {
  for (const char* bad :
       {"", "http://x", "kafka:/x", "kafka://", "kafka://:9092", "kafka://h:99999", "kafka://h:x",
        "kafka://h/path", "kafka://h?advertised=", "kafka://h?advertise=x:1", "kafka://h?x",
        "kafka://h?advertised=a:1&b=2", "leat://h?advertised=x:1", "unix://relative"}) {
    const auto url = parse_listen_url(bad);
    ASSERT_FALSE(url) << bad;
    EXPECT_EQ(url.error().code, ErrorCode::kInvalidAddress) << bad;
    EXPECT_NE(url.error().detail.find("kafka://HOST:PORT"), std::string::npos) << bad;
  }
}

TEST(ClusterId, BelongsToTheDirectoryAndLooksAsKafkas) {
  EXPECT_EQ(cluster_id("/data/a"), cluster_id("/data/b/../a"));
  EXPECT_NE(cluster_id("/data/a"), cluster_id("/data/b"));
  EXPECT_EQ(cluster_id("/data/a").size(), 22u);
  EXPECT_EQ(cluster_id("/data/a").find_first_of("+/="), std::string::npos);
}

}  // namespace
}  // namespace leat
