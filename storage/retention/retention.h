// What retention says, decided purely: from what a partition holds to where its log should start.
#pragma once

#include "protocol/base/clock.h"
#include "protocol/topic_config.h"
#include "storage/retention/extents.h"

namespace leat::storage {

// The first offset to keep: whole extents, oldest first, that lie beyond any limit go, up to `end`
// (what is not yet durable stays). `log_start` when there is nothing to forget.
Offset first_kept(const Extents& extents, Offset log_start, Offset end, const Retention& retention,
                  WallTime now);

}  // namespace leat::storage
