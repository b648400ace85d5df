// leat-outbox, which `leat outbox` runs.
#include "client/tool/outbox/outbox.h"
#include "client/tool/program.h"

namespace leat::tool {
namespace {

void add_verbs(CLI::App& app, Context& context, Run& run) {
  add_relay(app, context, run);
  add_outbox_ls(app, run);
  add_outbox_retry(app, run);
}

}  // namespace
}  // namespace leat::tool

int main(int argc, char** argv) {
  return leat::tool::run_program(
      {"leat outbox", "leat outbox: publish the outbox of a database, and look into it",
       leat::tool::add_verbs},
      argc, argv);
}
