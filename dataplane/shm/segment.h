// Page files: create, attach, validate.
//
// Layout of the page directory (default /run/noonmark), made by the launcher or by systemd: one sub-directory
// per writer, owned by it, so that nobody else can create, rename or replace a file there.
//   keeper/keys  clock/clock  admin/settings  dataplane/stats
// The directory must be tmpfs: a key page on a disk would outlive its keys.
#pragma once

#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <sys/types.h>

#include "dataplane/shm/pages.h"

namespace shm {

// One sentence that tells the operator what is wrong with which file and what to do.
class SegmentError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

[[nodiscard]] std::filesystem::path page_path(const std::filesystem::path& directory, PageKind kind);

// A mapped page. Unmaps itself. A writer also holds a lock on its sub-directory, so that a second writer is
// refused for as long as the first lives, whatever became of the file between them.
template <class Page>
class Segment {
 public:
  Segment(Segment&&) noexcept;
  Segment& operator=(Segment&&) noexcept;
  ~Segment();

  [[nodiscard]] Page* operator->() const noexcept { return page_; }
  [[nodiscard]] Page& operator*() const noexcept { return *page_; }

  // Writer: opens the file if a valid one is there (goes on with its content), else makes a new one beside it
  // and swaps it in by rename. `group` may read the keys page; for the others it is ignored. A keys page is
  // locked into memory and kept out of core dumps. Throws SegmentError.
  [[nodiscard]] static Segment open_writable(const std::filesystem::path& directory, gid_t group);

  // Reader: validates type, owner (`writer`), mode, size, magic, layout version and kind. Throws
  // SegmentError.
  [[nodiscard]] static Segment attach(const std::filesystem::path& directory, uid_t writer);

 private:
  Segment(Page* page, int lock) noexcept : page_(page), lock_(lock) {}
  Page* page_ = nullptr;
  int lock_ = -1;  // descriptor of the locked sub-directory; readers have none
};

// Throws SegmentError unless `directory` is on a tmpfs.
void require_tmpfs(const std::filesystem::path& directory);

}  // namespace shm
