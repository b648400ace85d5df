// The verbs of `leat saga`.
#pragma once

#include <string>
#include <vector>

#include "client/patterns/saga/saga_store.h"
#include "client/tool/tool.h"

namespace leat::tool {

void add_saga_ls(CLI::App& app, Run& run);
void add_saga_show(CLI::App& app, Run& run);
void add_saga_retry(CLI::App& app, Run& run);

// One of each, as a line with tabs in it and as JSON.
std::string saga_line(const patterns::SagaRow& row);
std::string saga_json(const patterns::SagaRow& row);
std::string saga_event_line(const patterns::SagaEvent& event);
std::string saga_event_json(const patterns::SagaEvent& event);
// With its data, for `show`.
std::string saga_text(const patterns::SagaRow& row);
std::string saga_json_with_data(const patterns::SagaRow& row,
                                const std::vector<patterns::SagaEvent>& history);

}  // namespace leat::tool
