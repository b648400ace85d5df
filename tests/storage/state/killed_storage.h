// A storage that a test kills, as SIGKILL would.
#pragma once

#include <filesystem>

#include "tests/storage/disk_storage_fixture.h"

namespace leat::storage {

class KilledStorageTest : public DiskStorageTest {
 protected:
  // Leaves what a SIGKILL would leave now, which is what a snapshot is: nothing of RocksDB's
  // memtables, all of the journal.
  void stop_without_a_roll() {
    namespace fs = std::filesystem;
    settle();
    events.snapshot.reset();
    ASSERT_TRUE(storage->snapshot("killed"));
    poll_until([this] { return events.snapshot.has_value(); });
    ASSERT_TRUE(*events.snapshot);
    storage.reset();
    fs::rename(**events.snapshot, directory / "killed");
    fs::remove_all(directory / "data");
    fs::rename(directory / "killed", directory / "data");
  }
  void kill() {
    stop_without_a_roll();
    open();
  }
};

}  // namespace leat::storage
