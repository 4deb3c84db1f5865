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

// The page's memory is gone under its writer: touching it would be SIGBUS. Only a new writer makes a new
// page.
class CutPageError : public SegmentError {
 public:
  using SegmentError::SegmentError;
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

  // Writer: when the file was deleted, another stands in its place, or its owner, mode or names keep readers
  // away, makes it anew with what the page holds, and returns true. The page stays at its address: whoever
  // writes to it, in whichever thread, needs not know; what other threads write during these microseconds may
  // be missing in the new file until they write it again. For readers it is another file
  // (dataplane/page_watch.h). Throws SegmentError; CutPageError when the file was cut short, and what the
  // page held is lost with it.
  bool put_back();

  // Reader: validates type, owner (`writer`), mode, size, magic, layout version and kind. Throws
  // SegmentError.
  [[nodiscard]] static Segment attach(const std::filesystem::path& directory, uid_t writer);

 private:
  void remember_file() noexcept;
  Segment(Page* page, int lock) noexcept : page_(page), lock_(lock) {}
  Page* page_ = nullptr;
  int lock_ = -1;  // descriptor of the locked sub-directory; readers have none
  // A writer's own, for put_back.
  std::filesystem::path path_;
  gid_t group_ = 0;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

// Throws SegmentError unless `directory` is on a tmpfs.
void require_tmpfs(const std::filesystem::path& directory);

}  // namespace shm
