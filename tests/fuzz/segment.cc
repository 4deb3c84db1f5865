// A page file with anything in it and any length: attached only when header, size and kind are right, and a
// restarted writer goes on with it or makes a new one.
#include "dataplane/shm/segment.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fuzz/target.h"

namespace fuzz {
namespace {

using Page = shm::ClockPage;

// A page directory on a tmpfs, removed at the end. A fuzzer ends without one: who runs it names a folder in
// NOONMARK_FUZZ_TMPFS and removes that.
class PageDirectory {
 public:
  PageDirectory() {
    const char* folder = std::getenv("NOONMARK_FUZZ_TMPFS");
    std::string form = std::string(folder == nullptr ? "/dev/shm" : folder) + "/noonmark-fuzz-XXXXXX";
    require(::mkdtemp(form.data()) != nullptr, "a directory on /dev/shm");
    path_ = form;
    std::filesystem::create_directory(path_ / "clock");
  }
  PageDirectory(const PageDirectory&) = delete;
  PageDirectory& operator=(const PageDirectory&) = delete;
  ~PageDirectory() { std::filesystem::remove_all(path_); }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

bool attaches(const std::filesystem::path& directory) {
  try {
    const auto page = shm::Segment<Page>::attach(directory, ::geteuid());
    require(page->header.magic == shm::page_magic && page->header.kind == shm::PageKind::clock &&
                page->header.bytes == sizeof(Page) && page->header.layout_version == shm::page_layout_version,
            "only a page of ours is attached");
    return true;
  } catch (const shm::SegmentError&) {
    return false;
  }
}

void run(Input input) {
  static const PageDirectory directory;
  Reader reader(input);
  const std::size_t more = reader.octet();
  const std::size_t bytes = sizeof(Page) + more - std::min<std::size_t>(reader.octet(), sizeof(Page));
  Octets image(sizeof(Page) + 255, 0);
  const shm::PageHeader header{shm::page_magic, shm::page_layout_version, shm::PageKind::clock, sizeof(Page)};
  std::memcpy(image.data(), &header, sizeof header);
  patch(image, reader);
  const std::filesystem::path path = shm::page_path(directory.path(), shm::PageKind::clock);
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  require(file >= 0 && ::fchmod(file, 0644) == 0 &&
              ::write(file, image.data(), bytes) == static_cast<ssize_t>(bytes),
          "a file to try");
  ::close(file);

  const bool was_good = attaches(directory.path());
  require(!was_good || bytes == sizeof(Page), "only a page of the right size is attached");
  const auto writer = shm::Segment<Page>::open_writable(directory.path(), ::getegid());
  require(attaches(directory.path()), "after a writer has opened it, the page is good");
  const bool is_kept = std::memcmp(&*writer, image.data(), sizeof(Page)) == 0;
  require(!was_good || is_kept, "a writer goes on with a good page");
}

std::vector<Octets> seeds() {
  const auto at = [](std::uint8_t more, std::uint8_t fewer, std::size_t offset, const Octets& octets) {
    Octets made = {more, fewer};
    const Octets one = patch_of(offset, octets);
    made.insert(made.end(), one.begin(), one.end());
    return made;
  };
  return {{0, 0},
          {1, 0},
          {0, 200},
          at(0, 0, 0, {1}),
          at(0, 0, 8, {2}),
          at(0, 0, 12, {1}),
          at(0, 0, 16, {9}),
          at(0, 0, 24, {3, 1})};
}

const Registration registration({"segment", run, seeds});

}  // namespace
}  // namespace fuzz
