// Classic groups under members that come, go, stop, restart and repeat themselves at random, seeded
// (LEAT_SEED replays one run), held to what must be true of any of them:
// - a generation has one leader, one protocol and one list of members, whoever is told of it;
// - each of its members is given exactly what its leader sent, and nobody else anything;
// - a commit is taken of members of the present generation alone, and of none while it is given
// out;
// - nobody waits for ever.
#include <cstdlib>

#include "tests/server/classic/classic_fixture.h"

namespace leat::broker {
namespace {

using namespace std::chrono_literals;
using enum ErrorCode;

constexpr BrokerOptions kSix{.groups = 3, .members_per_group = 6};

class RandomClassicGroups : public ClassicFixture {
 protected:
  RandomClassicGroups() : ClassicFixture(kSix) {}

  // A client, as it knows itself.
  struct Client {
    std::optional<std::string> instance;
    std::string member;  // empty: it has to join as new
    std::int32_t generation = -1;
    bool leads = false, synced = false;
    std::string protocol;
    std::vector<std::string> members;  // told to the leader
    std::optional<std::uint64_t> join, sync;
    MonotonicTime asked;
    std::vector<ClassicProtocol> protocols;
  };
  struct Generation {
    std::string leader, protocol;
    std::set<std::string> told;               // its members that were told of it
    std::set<std::string> members;            // as the leader was told
    std::map<std::string, std::string> sent;  // by the leader
    bool given = false;
  };

  void forget(Client& client) {
    client = Client{.instance = client.instance, .protocols = client.protocols};
  }

  void ask_join(Client& client) {
    client.join = join({.member = client.member,
                        .instance = client.instance,
                        .protocols = client.protocols,
                        .session = 6'000ms,
                        .rebalance = 10'000ms,
                        .comes_again = random.below(2) == 0,
                        .may_skip = random.below(2) == 0});
    client.asked = now;
    client.synced = false;
  }

  void ask_sync(Client& client) {
    Assignments assignments;
    Generation& generation = generations.at(client.generation);
    const bool leads = client.leads && !client.members.empty();
    if (leads) {
      ++sequence;
      for (const std::string& member : client.members)
        if (random.below(8) != 0)
          assignments.emplace_back(member, member + "#" + std::to_string(sequence));
      assignments.emplace_back("nobody", "x");
    }
    const ClassicGroup& g = group();
    // Only the first that counts does.
    const bool counts = leads && g.generation() == client.generation &&
                        g.state() == ClassicState::kCompleting && g.leader() == client.member &&
                        !generation.given;
    if (counts) {
      generation.sent = {assignments.begin(), assignments.end()};
      generation.given = true;
    }
    client.sync = sync(client.member, client.generation, assignments, client.instance);
    client.asked = now;
  }

  void take_join(Client& client) {
    const std::uint64_t request = *std::exchange(client.join, std::nullopt);
    if (const auto* given = got<ClassicIdGiven>(request)) {
      client.member = given->member;
      return;
    }
    if (const auto* error = got<Error>(request)) {
      ASSERT_TRUE(error->code == kUnknownMember || error->code == kFencedInstance ||
                  error->code == kGroupFull || error->code == kRebalanceInProgress ||
                  error->code == kInconsistentGroup)
          << error->message();
      if (error->code != kRebalanceInProgress) forget(client);
      return;
    }
    const ClassicJoined& told = joined(request);
    client.member = told.member;
    client.generation = told.generation;
    client.protocol = told.protocol;
    client.leads = told.leader == told.member;
    client.members.clear();
    for (const auto& member : told.members) client.members.push_back(member.id);
    if (told.skip_assignment) client.members.clear();
    Generation& generation = generations[told.generation];
    if (generation.protocol.empty()) generation.protocol = told.protocol;
    ASSERT_EQ(generation.protocol, told.protocol);
    ASSERT_TRUE(std::ranges::any_of(client.protocols, [&](const ClassicProtocol& protocol) {
      return protocol.name == told.protocol;
    }));
    // A static member is told of another leader than itself where it may not skip the assignment.
    if (!client.instance) {
      if (generation.leader.empty()) generation.leader = told.leader;
    }
    if (client.leads && !told.skip_assignment) {
      const std::set<std::string> members(client.members.begin(), client.members.end());
      ASSERT_TRUE(members.contains(told.member));
      if (generation.members.empty()) generation.members = members;
      ASSERT_EQ(generation.members, members) << "two leaders, or two lists, in one generation";
    }
    generation.told.insert(told.member);
  }

  void take_sync(Client& client) {
    const std::uint64_t request = *std::exchange(client.sync, std::nullopt);
    if (const auto* error = got<Error>(request)) {
      if (error->code == kUnknownMember || error->code == kFencedInstance) forget(client);
      if (error->code == kIllegalGeneration || error->code == kRebalanceInProgress)
        client.generation = -1;
      return;
    }
    const auto* synced = got<ClassicSynced>(request);
    ASSERT_TRUE(synced);
    client.synced = true;
    const Generation& generation = generations.at(client.generation);
    ASSERT_TRUE(generation.given);
    ASSERT_EQ(synced->protocol, generation.protocol);
    // A static member that restarted in a stable group goes on with what its old id was given.
    const auto known = renamed.find({client.generation, client.member});
    const std::string mine = known == renamed.end() ? client.member : known->second;
    const auto sent = generation.sent.find(mine);
    ASSERT_EQ(synced->assignment, sent == generation.sent.end() ? "" : sent->second);
  }

  void check_commit(Client& client) {
    const ClassicGroup* g = broker.classic_groups().find("g");
    const bool is_static = client.instance.has_value();
    const auto member =
        g ? g->members().find(client.member) : ClassicGroup::Members::const_iterator();
    const bool in = g && member != g->members().end();
    // Some come late, of a generation that is over by then.
    const bool late = client.generation > 1 && random.below(4) == 0;
    const std::int32_t generation = client.generation - (late ? 1 : 0);
    const ErrorCode code = commit(client.member, generation, Offset(sequence), client.instance);
    if (code == kOk) {
      const bool simple = generation < 0 && (!g || g->members().empty());
      ASSERT_TRUE(simple || (in && g->generation() == generation));
      ASSERT_TRUE(simple || g->state() != ClassicState::kCompleting);
      ASSERT_TRUE(simple || generations.at(generation).told.contains(client.member));
    } else if (in && g->generation() == generation) {
      ASSERT_EQ(code, kRebalanceInProgress);
      ASSERT_EQ(g->state(), ClassicState::kCompleting);
    } else if (code == kFencedInstance) {
      ASSERT_TRUE(is_static);
    }
  }

  void act(Client& client) {
    if (client.join || client.sync) {
      if (random.below(20) == 0) {  // its connection is lost: it asks again, or starts anew
        client.join.reset();
        client.sync.reset();
        if (random.below(2) == 0) forget(client);
      }
      return;
    }
    if (random.below(25) == 0) return forget(client);  // it restarts
    if (random.below(40) == 0 && !client.member.empty()) {
      std::vector<ClassicLeaver> leavers{{client.member, view(client.instance)}};
      if (client.instance && random.below(2) == 0) leavers[0].member = "";
      leave(leavers);
      return forget(client);
    }
    if (client.member.empty() || client.generation < 0) {
      const std::string old =
          client.instance && client.member.empty() ? of_instance(*client.instance) : "";
      const bool was_stable =
          broker.classic_groups().find("g") && group().state() == ClassicState::kStable;
      ask_join(client);
      if (!old.empty() && was_stable && answered(*client.join) &&
          got<ClassicJoined>(*client.join) && group().state() == ClassicState::kStable) {
        const ClassicJoined& told = joined(*client.join);
        const auto known = renamed.find({told.generation, old});
        const std::string first = known == renamed.end() ? old : known->second;
        renamed[{told.generation, told.member}] = first;
      }
      return;
    }
    if (!client.synced) return ask_sync(client);
    switch (random.below(4)) {
      case 0:
        return check_commit(client);
      case 1:
        if (client.leads && random.below(4) == 0) {
          std::ranges::reverse(client.protocols);
          client.generation = -1;
        }
        return;
      default:
        switch (heartbeat(client.member, client.generation, client.instance)) {
          case kOk:
            return;
          case kRebalanceInProgress:
          case kIllegalGeneration:
            client.generation = -1;
            return;
          default:
            return forget(client);
        }
    }
  }
  std::string of_instance(const std::string& instance) {
    const ClassicGroup* g = broker.classic_groups().find("g");
    if (!g) return "";
    for (const auto& [id, member] : g->members())
      if (member.instance == instance) return id;
    return "";
  }

  void take(Client& client) {
    if (client.join && answered(*client.join)) take_join(client);
    if (client.sync && answered(*client.sync)) take_sync(client);
    // 10 s for the others to join, and as much for the leader to assign, and nobody new in between
    // is let in: a member that asked is answered by then.
    if (client.join || client.sync) {
      ASSERT_LT(now - client.asked, 40s) << "waits for ever";
    }
  }

  void run(std::uint64_t seed) {
    random = Random(seed);
    SCOPED_TRACE("LEAT_SEED=" + std::to_string(seed));
    std::vector<Client> clients(7);
    for (std::size_t i = 0; i < clients.size(); ++i) {
      if (i % 3 == 0) clients[i].instance = "i" + std::to_string(i);
      clients[i].protocols = {{"x", "x" + std::to_string(i)}, {"y", "y" + std::to_string(i)}};
      if (random.below(2) == 0) std::ranges::reverse(clients[i].protocols);
    }
    std::int32_t newest = 0;
    for (int step = 0; step < 1'500 && !HasFatalFailure(); ++step) {
      act(clients[random.below(clients.size())]);
      if (random.below(6) == 0) {
        now += std::chrono::milliseconds(random.below(900));
        if (random.below(200) == 0) now += 1h;  // the machine stood still
        broker.on_time(at());
        for (Client& client : clients)
          if (now - client.asked > 1h - 1s) client.asked = now;
      }
      for (Client& client : clients) take(client);
      if (const ClassicGroup* g = broker.classic_groups().find("g")) {
        ASSERT_GE(g->generation(), newest);
        newest = g->generation();
        // Who joins is counted; others may still be there, until it is known that they do not.
        ASSERT_LE(g->members().size(), 2 * kSix.members_per_group);
        ASSERT_TRUE(g->members().empty() || g->members().contains(g->leader()));
      }
      sink.replies.clear();  // all of them are taken
    }
  }
  Random random{0};
  std::map<std::int32_t, Generation> generations;
  // Static members, by generation: to the id that was assigned to.
  std::map<std::pair<std::int32_t, std::string>, std::string> renamed;
  std::int64_t sequence = 0;
};

class Seeds : public RandomClassicGroups, public ::testing::WithParamInterface<std::uint64_t> {};

TEST_P(Seeds, HoldWhatClassicGroupsPromise) {
  create();
  const char* chosen = std::getenv("LEAT_SEED");
  run(chosen ? std::strtoull(chosen, nullptr, 10) : GetParam());
}

INSTANTIATE_TEST_SUITE_P(Some, Seeds, ::testing::Range(std::uint64_t{1}, std::uint64_t{61}));

}  // namespace
}  // namespace leat::broker
