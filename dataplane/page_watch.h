// Finds the pages, and finds them again: the main thread's eye on the page directory.
//
// A page may be missing at start, and its writer may replace the file later (a new layout, swapped by
// rename). Every look compares the file's inode with the one attached; another one is validated and attached,
// and the old mapping is kept until no worker reads it. A page that is gone, or refused, changes nothing: we
// go on with the one we have.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

#include "dataplane/page_set.h"
#include "dataplane/shm/segment.h"

namespace dataplane {

// Who must own each page's file.
struct Writers {
  uid_t keeper = 0;
  uid_t clock = 0;
  uid_t admin = 0;
};

class PageWatch {
 public:
  PageWatch(std::filesystem::path directory, const Writers& writers);

  // Attaches what is new. Returns true when current() changed.
  bool look();

  // Lets go of mappings that were replaced. The caller vouches that every reader has moved to current().
  void forget_replaced() { replaced_.clear(); }
  [[nodiscard]] bool has_replaced() const noexcept { return !replaced_.empty(); }

  // For the workers. Lives as long as the watch; the set it names lives until forget_replaced().
  [[nodiscard]] const CurrentPages& current() const noexcept { return current_; }
  [[nodiscard]] const PageSet& pages() const noexcept { return *set_; }

  // Why pages are not attached, one sentence each: for the operator.
  [[nodiscard]] std::vector<std::string> troubles() const;

 private:
  template <class Page>
  struct Watched {
    std::optional<shm::Segment<Page>> segment;
    dev_t device = 0;
    ino_t inode = 0;
    std::string trouble;
  };
  // What workers may still read after a change.
  struct Replaced {
    std::unique_ptr<PageSet> set;
    std::optional<shm::Segment<shm::KeysPage>> keys;
    std::optional<shm::Segment<shm::ClockPage>> clock;
    std::optional<shm::Segment<shm::SettingsPage>> settings;
  };
  template <class Page>
  bool look_at(Watched<Page>& watched, shm::PageKind kind, uid_t writer,
               std::optional<shm::Segment<Page>>& replaced);

  std::filesystem::path directory_;
  Writers writers_;
  Watched<shm::KeysPage> keys_;
  Watched<shm::ClockPage> clock_;
  Watched<shm::SettingsPage> settings_;
  std::unique_ptr<PageSet> set_;
  CurrentPages current_;
  std::vector<Replaced> replaced_;
};

}  // namespace dataplane
