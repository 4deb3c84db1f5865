#include "dataplane/page_watch.h"

#include <sys/stat.h>
#include <utility>

#include "dataplane/shm/failpoint.h"

namespace dataplane {
namespace {

// Workers let go within a millisecond. If they do not, no more pages are swapped under them.
constexpr std::size_t replaced_max = 4;

}  // namespace

PageWatch::PageWatch(std::filesystem::path directory, const Writers& writers)
    : directory_(std::move(directory)),
      writers_(writers),
      set_(std::make_unique<PageSet>()),
      current_(set_.get()) {}

template <class Page>
bool PageWatch::look_at(Watched<Page>& watched, shm::PageKind kind, uid_t writer,
                        std::optional<shm::Segment<Page>>& replaced) {
  const std::filesystem::path path = shm::page_path(directory_, kind);
  struct stat found {};
  if (stat(path.c_str(), &found) != 0) {
    if (!watched.segment) watched.trouble = "there is no page " + path.string() + " yet";
    return false;
  }
  const bool is_attached = watched.segment && found.st_ino == watched.inode && found.st_dev == watched.device;
  if (is_attached) return false;
  try {
    // Looked at before it is attached: a file swapped in between differs at the next look.
    shm::Segment<Page> segment = shm::Segment<Page>::attach(directory_, writer);
    replaced = std::exchange(watched.segment, std::nullopt);
    watched.segment = std::move(segment);
    shm::failpoint::reach("dataplane.page_attached");
  } catch (const shm::SegmentError& error) {
    watched.trouble = error.what();
    return false;
  }
  watched.device = found.st_dev;
  watched.inode = found.st_ino;
  watched.trouble.clear();
  return true;
}

bool PageWatch::look() {
  if (replaced_.size() >= replaced_max) return false;
  Replaced old;
  bool is_changed = look_at(keys_, shm::PageKind::keys, writers_.keeper, old.keys);
  is_changed |= look_at(clock_, shm::PageKind::clock, writers_.clock, old.clock);
  is_changed |= look_at(settings_, shm::PageKind::settings, writers_.admin, old.settings);
  if (!is_changed) return false;

  auto set = std::make_unique<PageSet>();
  if (keys_.segment) set->keys = &**keys_.segment;
  if (clock_.segment) set->clock = &**clock_.segment;
  if (settings_.segment) set->settings = &**settings_.segment;
  current_.store(set.get(), std::memory_order_release);
  shm::failpoint::reach("dataplane.pages_swapped");
  old.set = std::exchange(set_, std::move(set));
  replaced_.push_back(std::move(old));
  return true;
}

std::vector<std::string> PageWatch::troubles() const {
  std::vector<std::string> sentences;
  for (const std::string* trouble : {&settings_.trouble, &keys_.trouble, &clock_.trouble}) {
    if (!trouble->empty()) sentences.push_back(*trouble);
  }
  return sentences;
}

}  // namespace dataplane
