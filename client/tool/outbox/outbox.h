// The verbs of `leat outbox`.
#pragma once

#include "client/tool/tool.h"

namespace leat::tool {

void add_relay(CLI::App& app, Context& context, Run& run);
void add_outbox_ls(CLI::App& app, Run& run);
void add_outbox_retry(CLI::App& app, Run& run);

}  // namespace leat::tool
