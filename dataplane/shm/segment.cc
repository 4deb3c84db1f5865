#include "dataplane/shm/segment.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <utility>

#include "dataplane/shm/failpoint.h"

namespace shm {
namespace {

namespace fs = std::filesystem;

template <class Page>
struct Traits;
template <>
struct Traits<KeysPage> {
  static constexpr PageKind kind = PageKind::keys;
  static constexpr mode_t mode = 0640;
};
template <>
struct Traits<ClockPage> {
  static constexpr PageKind kind = PageKind::clock;
  static constexpr mode_t mode = 0644;
};
template <>
struct Traits<SettingsPage> {
  static constexpr PageKind kind = PageKind::settings;
  static constexpr mode_t mode = 0644;
};
template <>
struct Traits<StatsPage> {
  static constexpr PageKind kind = PageKind::stats;
  static constexpr mode_t mode = 0644;
};

// A descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int number) noexcept : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  [[nodiscard]] int number() const noexcept { return number_; }
  [[nodiscard]] bool is_open() const noexcept { return number_ >= 0; }
  [[nodiscard]] int release() noexcept { return std::exchange(number_, -1); }

 private:
  int number_;
};

[[noreturn]] void fail(const fs::path& path, const std::string& what) {
  throw SegmentError(path.string() + ": " + what);
}

[[noreturn]] void fail_errno(const fs::path& path, const std::string& what) {
  fail(path, what + ": " + std::strerror(errno));
}

// Why a file of this status cannot be the page, as a clause; empty when it can be.
std::string fault_of_status(const struct stat& status, std::uint64_t bytes, uid_t owner, mode_t mode) {
  if (!S_ISREG(status.st_mode)) return "is not a regular file";
  if (status.st_uid != owner) {
    return "belongs to uid " + std::to_string(status.st_uid) + ", not to its writer, uid " +
           std::to_string(owner);
  }
  if ((status.st_mode & 07777) != mode) return "has the wrong mode";
  if (status.st_nlink != 1) return "has a second name (hard link)";
  if (static_cast<std::uint64_t>(status.st_size) != bytes) return "has the wrong size";
  return {};
}

std::string fault_of_file(int descriptor, std::uint64_t bytes, uid_t owner, mode_t mode) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) return "cannot be examined";
  return fault_of_status(status, bytes, owner, mode);
}

std::string fault_of_header(const PageHeader& header, PageKind kind, std::uint64_t bytes) {
  if (header.magic != page_magic) return "is no Noonmark page (wrong magic)";
  if (header.layout_version != page_layout_version) {
    return "has layout version " + std::to_string(header.layout_version) + ", this program speaks " +
           std::to_string(page_layout_version) + "; upgrade both sides";
  }
  if (header.kind != kind) return "is a page of another kind";
  if (header.bytes != bytes) return "has the wrong size in its header";
  return {};
}

template <class Page>
Page* map(int descriptor, int protection) {
  void* mapped = ::mmap(nullptr, sizeof(Page), protection, MAP_SHARED, descriptor, 0);
  return mapped == MAP_FAILED ? nullptr : static_cast<Page*>(mapped);
}

// Maps the file if it is a page that `owner` wrote. Returns nullptr and the reason otherwise.
template <class Page>
Page* map_valid(int descriptor, uid_t owner, int protection, std::string& fault) {
  fault = fault_of_file(descriptor, sizeof(Page), owner, Traits<Page>::mode);
  if (!fault.empty()) return nullptr;
  Page* page = map<Page>(descriptor, protection);
  if (page == nullptr) {
    fault = std::string("cannot be mapped: ") + std::strerror(errno);
    return nullptr;
  }
  fault = fault_of_header(page->header, Traits<Page>::kind, sizeof(Page));
  if (fault.empty()) return page;
  ::munmap(page, sizeof(Page));
  return nullptr;
}

// Keys neither reach the swap device nor a core dump.
template <class Page>
void keep_secret(Page* page, const fs::path& path) {
  if constexpr (Traits<Page>::kind == PageKind::keys) {
    if (::mlock(page, sizeof(Page)) != 0) {
      fail_errno(path, "cannot be locked into memory; raise RLIMIT_MEMLOCK (LimitMEMLOCK=) to 1 MiB");
    }
    if (::madvise(page, sizeof(Page), MADV_DONTDUMP) != 0)
      fail_errno(path, "cannot be kept out of core dumps");
  }
}

// A new file beside the old one, whole before it gets the name. `content`: what it holds; nullptr: nothing
// yet.
template <class Page>
Page* create(const fs::path& path, gid_t group, const Page* content = nullptr) {
  const fs::path fresh = path.string() + ".new";
  ::unlink(fresh.c_str());  // of a writer that died here; nobody else can have put it in our directory
  const Descriptor file(::open(fresh.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file.is_open()) fail_errno(fresh, "cannot be created; the directory must belong to this role's uid");
  // With its memory: a hole in the file would be SIGBUS for whoever touches it when the tmpfs is full.
  if (const int reason = ::posix_fallocate(file.number(), 0, sizeof(Page)); reason != 0) {
    ::unlink(fresh.c_str());
    fail(fresh, std::string("has no room (") + std::strerror(reason) + "); free some on this tmpfs");
  }
  if (Traits<Page>::kind == PageKind::keys && ::fchown(file.number(), static_cast<uid_t>(-1), group) != 0) {
    fail_errno(fresh,
               "cannot be given to group " + std::to_string(group) + "; the keeper must be a member of it");
  }
  Page* page = map<Page>(file.number(), PROT_READ | PROT_WRITE);
  if (page == nullptr) fail_errno(fresh, "cannot be mapped");
  // The file is all zeros, which is every page's "nothing published yet".
  if (content != nullptr) std::memcpy(static_cast<void*>(page), content, sizeof(Page));
  page->header = {page_magic, page_layout_version, Traits<Page>::kind, sizeof(Page)};
  failpoint::reach("page.made");
  if (::fchmod(file.number(), Traits<Page>::mode) != 0 || ::rename(fresh.c_str(), path.c_str()) != 0) {
    const int reason = errno;
    ::munmap(page, sizeof(Page));
    ::unlink(fresh.c_str());
    errno = reason;
    fail_errno(path, "cannot be put in place");
  }
  return page;
}

}  // namespace

fs::path page_path(const fs::path& directory, PageKind kind) {
  switch (kind) {
    case PageKind::keys:
      return directory / "keeper" / "keys";
    case PageKind::clock:
      return directory / "clock" / "clock";
    case PageKind::settings:
      return directory / "admin" / "settings";
    case PageKind::stats:
      return directory / "dataplane" / "stats";
  }
  throw SegmentError("no such page kind");
}

void require_tmpfs(const fs::path& directory) {
  struct statfs status {};
  if (::statfs(directory.c_str(), &status) != 0) fail_errno(directory, "cannot be examined");
  if (status.f_type != TMPFS_MAGIC) {
    fail(directory, "is not on a tmpfs, and pages must never reach a disk; use /run or /dev/shm");
  }
}

template <class Page>
Segment<Page>::Segment(Segment&& other) noexcept
    : page_(std::exchange(other.page_, nullptr)),
      lock_(std::exchange(other.lock_, -1)),
      path_(std::move(other.path_)),
      group_(other.group_),
      device_(other.device_),
      inode_(other.inode_) {}

template <class Page>
Segment<Page>& Segment<Page>::operator=(Segment&& other) noexcept {
  std::swap(page_, other.page_);
  std::swap(lock_, other.lock_);
  std::swap(path_, other.path_);
  std::swap(group_, other.group_);
  std::swap(device_, other.device_);
  std::swap(inode_, other.inode_);
  return *this;
}

template <class Page>
Segment<Page>::~Segment() {
  if (page_ != nullptr) ::munmap(page_, sizeof(Page));
  if (lock_ >= 0) ::close(lock_);
}

template <class Page>
Segment<Page> Segment<Page>::open_writable(const fs::path& directory, gid_t group) {
  const fs::path path = page_path(directory, Traits<Page>::kind);
  require_tmpfs(directory);
  Descriptor lock(::open(path.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!lock.is_open()) fail_errno(path.parent_path(), "cannot be opened; `noonmark run` or systemd makes it");
  if (::flock(lock.number(), LOCK_EX | LOCK_NB) != 0) {
    fail(path, "already has a writer; stop the other process of this role first");
  }
  Page* page = nullptr;
  std::string fault;
  const Descriptor old(::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (old.is_open()) page = map_valid<Page>(old.number(), ::geteuid(), PROT_READ | PROT_WRITE, fault);
  if (page == nullptr) page = create<Page>(path, group);
  Segment segment(page, lock.release());
  keep_secret(page, path);
  segment.path_ = path;
  segment.group_ = group;
  segment.remember_file();
  return segment;
}

template <class Page>
void Segment<Page>::remember_file() noexcept {
  struct stat status {};
  if (::lstat(path_.c_str(), &status) != 0) return;  // gone already: the next put_back finds that out
  device_ = status.st_dev;
  inode_ = status.st_ino;
}

template <class Page>
bool Segment<Page>::put_back() {
  struct stat status {};
  if (::lstat(path_.c_str(), &status) == 0 && status.st_dev == device_ && status.st_ino == inode_) {
    if (static_cast<std::uint64_t>(status.st_size) < sizeof(Page)) {
      throw CutPageError(path_.string() + ": was cut short, and what it held is lost; ending, so that the " +
                         "next start makes it anew");
    }
    const bool is_for_group = Traits<Page>::kind != PageKind::keys || status.st_gid == group_;
    if (is_for_group && fault_of_status(status, sizeof(Page), ::geteuid(), Traits<Page>::mode).empty())
      return false;
  }
  Page* fresh = create<Page>(path_, group_, page_);
  // The new file's memory takes the old one's place, at once for every thread.
  if (::mremap(fresh, sizeof(Page), sizeof(Page), MREMAP_MAYMOVE | MREMAP_FIXED, page_) == MAP_FAILED) {
    const int reason = errno;
    ::munmap(fresh, sizeof(Page));
    errno = reason;
    fail_errno(path_, "cannot be mapped anew");
  }
  remember_file();  // not before: a file that we do not write to is as good as none, and made again next time
  keep_secret(page_, path_);
  return true;
}

template <class Page>
Segment<Page> Segment<Page>::attach(const fs::path& directory, uid_t writer) {
  const fs::path path = page_path(directory, Traits<Page>::kind);
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (!file.is_open()) fail_errno(path, "cannot be opened; is its writer running?");
  std::string fault;
  Page* page = map_valid<Page>(file.number(), writer, PROT_READ, fault);
  if (page == nullptr) fail(path, fault);
  Segment segment(page, -1);
  keep_secret(page, path);
  return segment;
}

template class Segment<KeysPage>;
template class Segment<ClockPage>;
template class Segment<SettingsPage>;
template class Segment<StatsPage>;

}  // namespace shm
