// leat: the command line of the broker.
#include "client/tool/program.h"

namespace leat::tool {
namespace {

void add_verbs(CLI::App& app, Context& context, Run& run) {
  add_topic(app, context, run);
  add_produce(app, context, run);
  add_consume(app, context, run);
  add_group(app, context, run);
  add_dlq(app, context, run);
  add_program(app, context, run, "outbox",
              "publish the outbox of a database, and look into it: relay, ls, retry");
  add_program(app, context, run, "saga", "look into sagas that run in a database: ls, show, retry");
  add_reset(app, context, run);
  add_snapshot(app, context, run);
  add_ping(app, context, run);
  add_completion(app, run);
}

}  // namespace
}  // namespace leat::tool

int main(int argc, char** argv) {
  return leat::tool::run_program(
      {"leat", "leat: produce to, consume from and look after a Leat broker",
       leat::tool::add_verbs},
      argc, argv);
}
