// `leat reset`: a broker for development as it was at its start, between two tests.
#include <cstdio>

#include "client/tool/tool.h"

namespace leat::tool {
namespace {

int reset(const Context& context, bool yes) {
  if (!yes && !confirmed("Delete all topics of " + context.broker + "?")) return 1;
  auto client = context.connect();
  if (!client) return failed("reset", client.error());
  if (auto ok = client->reset(); !ok) return failed("reset", ok.error());
  return 0;
}

}  // namespace

void add_reset(CLI::App& app, Context& context, Run& run) {
  auto* verb = app.add_subcommand(
      "reset",
      "delete all topics, and groups without members, of a broker that allows it (leatd --dev); "
      "declared topics are there anew");
  auto yes = std::make_shared<bool>(false);
  verb->add_flag("--yes", *yes, "do not ask");
  verb->callback([&, yes] { run = [&context, yes] { return reset(context, *yes); }; });
}

}  // namespace leat::tool
