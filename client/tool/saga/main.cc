// leat-saga, which `leat saga` runs.
#include "client/tool/program.h"
#include "client/tool/saga/saga.h"

namespace leat::tool {
namespace {

void add_verbs(CLI::App& app, Context&, Run& run) {
  add_saga_ls(app, run);
  add_saga_show(app, run);
  add_saga_retry(app, run);
}

}  // namespace
}  // namespace leat::tool

int main(int argc, char** argv) {
  return leat::tool::run_program(
      {"leat saga", "leat saga: look into sagas that run in a database", leat::tool::add_verbs},
      argc, argv);
}
