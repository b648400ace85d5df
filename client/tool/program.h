// What the programs of the command line share: leat, and those that `leat VERB` runs because they
// need libraries that leat itself shall not (rule 16).
#pragma once

#include "client/tool/tool.h"

namespace leat::tool {

struct Program {
  const char* name;         // "leat"
  const char* description;  // one line
  void (*add_verbs)(CLI::App& app, Context& context, Run& run);
};

// main(): parses, runs, and gives the exit code.
int run_program(const Program& program, int argc, char** argv);

// A verb that is a program of its own, leat-NAME beside this one or where PATH leads.
void add_program(CLI::App& app, Context& context, Run& run, const std::string& name,
                 const std::string& description);

}  // namespace leat::tool
