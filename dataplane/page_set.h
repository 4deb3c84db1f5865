// The pages a worker reads, as they are attached right now.
//
// A page whose writer made a new file is attached anew by the main thread (page_watch.h), which then hands
// every worker a new PageSet and keeps the old one mapped until the last worker has let go of it.
#pragma once

#include <atomic>

#include "dataplane/shm/pages.h"

namespace dataplane {

// Null: that page is not there yet.
struct PageSet {
  const shm::SettingsPage* settings = nullptr;
  const shm::KeysPage* keys = nullptr;
  const shm::ClockPage* clock = nullptr;
};

using CurrentPages = std::atomic<const PageSet*>;

}  // namespace dataplane
