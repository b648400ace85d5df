// The option table as people read it.
#pragma once

#include <string>

#include "server/options.h"

namespace leat {

// A configuration file that says what `options` are, each behind a comment.
std::string config_toml(const DaemonOptions& options);

// docs/configuration.md.
std::string config_markdown();

}  // namespace leat
