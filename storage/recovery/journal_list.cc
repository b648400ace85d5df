// The journal's list of segments, made anew.
#include <algorithm>

#include "storage/recovery/journal_recovery.h"

namespace leat::storage {
namespace {

// A segment by the groups it holds.
struct Held {
  Manifest::Segment segment;
  std::uint64_t journal_id = 0, incarnation = 0;
  JournalPosition first, last;  // first > last: a marker alone
};

// Follows the groups from the segment's beginning, those that continue one another.
Result<Held> look_into(FileIo& io, const std::string& path, std::uint64_t number) {
  auto file = io.open(path, {});
  if (!file) return fail(file.error());
  const auto size = (*file)->size();
  if (!size) return fail(size.error());
  Held held{.segment = {number, *size}};
  std::byte block[kBlockBytes];
  for (std::uint64_t at = 0; at + kBlockBytes <= *size;) {
    if (auto read = (*file)->read(at, block); !read) return fail(read.error());
    // The id stands in the header; which journal it is shows when all segments are known.
    const auto header = read_group_header(block, load_le<std::uint64_t>(block + 48));
    if (!header ||
        (at > 0 && (header->journal_id != held.journal_id || header->first != held.last + 1)))
      break;
    if (at == 0) held.first = header->first;
    held.journal_id = header->journal_id;
    held.incarnation = std::max(held.incarnation, header->incarnation);
    held.last = JournalPosition(header->next().value - 1);
    at += header->group_bytes();
  }
  return held;
}

}  // namespace

// Segments that were recycled and not used again hold old groups: what counts is the newest run of
// segments that continue one another.
Result<Manifest> rebuild_manifest(FileIo& io, const std::string& directory) {
  auto names = io.list(directory);
  if (!names) return fail(names.error());
  std::vector<Held> held;
  for (const std::string& name : *names) {
    if (!name.ends_with(".seg")) continue;
    auto found = look_into(io, directory + "/" + name, std::strtoull(name.c_str(), nullptr, 10));
    if (!found) return fail(found.error());
    if (found->journal_id != 0) held.push_back(*found);
  }
  Manifest manifest;
  if (held.empty()) return manifest;
  std::ranges::sort(held, {}, [](const Held& a) { return std::pair(a.last, a.incarnation); });
  manifest.journal_id = held.back().journal_id;
  auto first = std::prev(held.end());
  while (first != held.begin() && std::prev(first)->last + 1 == first->first &&
         std::prev(first)->journal_id == manifest.journal_id)
    --first;
  for (; first != held.end(); ++first) {
    manifest.segments.push_back(first->segment);
    manifest.incarnation = std::max(manifest.incarnation, first->incarnation);
  }
  return manifest;
}

}  // namespace leat::storage
