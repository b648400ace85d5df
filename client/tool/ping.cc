#include <cstdio>

#include "client/tool/tool.h"

namespace leat::tool {
namespace {

int ping(const Context& context) {
  auto client = context.connect();
  if (!client) return failed("ping", client.error());
  auto time = client->ping();
  if (!time) return failed("ping", time.error());
  std::printf("%s answers in %.3f ms\n", context.broker.c_str(),
              std::chrono::duration<double, std::milli>(*time).count());
  return 0;
}

}  // namespace

void add_ping(CLI::App& app, Context& context, Run& run) {
  app.add_subcommand("ping", "see whether the broker answers")->callback([&] {
    run = [&context] { return ping(context); };
  });
}

}  // namespace leat::tool
