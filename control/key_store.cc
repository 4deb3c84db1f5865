#include "control/key_store.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <fstream>
#include <stdexcept>
#include <sys/stat.h>
#include <unistd.h>

#include "control/descriptor.h"
#include "dataplane/shm/failpoint.h"
#include "nts/check.h"

namespace control {
namespace {

constexpr std::array<char, 8> file_magic = {'N', 'M', 'K', 'E', 'Y', 'S', '\n', '\0'};
constexpr std::size_t hash_bytes = 32;
constexpr int aside_names_max = 9;

struct StoredHeader {
  std::array<char, 8> magic;
  std::uint32_t version;
  std::uint32_t count;
  std::uint64_t generation;
  std::uint32_t current_id;
  std::uint32_t reserved;
  std::uint64_t epoch_s;
  std::uint64_t boottime_s;
  std::array<std::uint8_t, 16> boot_id;
  std::uint64_t reserved_2;
};
static_assert(sizeof(StoredHeader) == 72);

struct StoredKey {
  std::uint32_t id;
  nts::KeyState state;
  std::uint64_t created_s;
  std::uint64_t superseded_epoch_s;
  std::array<std::uint8_t, nts::siv::key_bytes> key;
};
static_assert(sizeof(StoredKey) == 56);
static_assert(key_file_bytes_max ==
              sizeof(StoredHeader) + sizeof(StoredKey) * nts::ring_keys_max + hash_bytes);

void hash(std::span<const std::uint8_t> octets, std::uint8_t* out) {
  crypto_generichash(out, hash_bytes, octets.data(), octets.size(), nullptr, 0);
}

std::uint64_t boottime_now_s() {
  timespec now{};
  nts::check(::clock_gettime(CLOCK_BOOTTIME, &now) == 0);
  return static_cast<std::uint64_t>(now.tv_sec);
}

// All zeros when the kernel does not say: then no two boots are ever taken for one.
std::array<std::uint8_t, 16> read_boot_id() {
  std::array<std::uint8_t, 16> id{};
  std::string text;
  std::getline(std::ifstream("/proc/sys/kernel/random/boot_id"), text);
  std::size_t bytes = 0;
  if (sodium_hex2bin(id.data(), id.size(), text.data(), text.size(), "-", &bytes, nullptr) != 0 ||
      bytes != 16) {
    id.fill(0);
  }
  return id;
}

std::string fault_of_file(const struct stat& status) {
  if (!S_ISREG(status.st_mode)) return "it is no regular file";
  if (status.st_uid != ::geteuid()) return "it belongs to uid " + std::to_string(status.st_uid);
  if ((status.st_mode & 077) != 0) return "others could read or write it";
  if (status.st_nlink != 1) return "it has a second name (hard link)";
  if (status.st_size > static_cast<off_t>(key_file_bytes_max)) return "it is too long";
  return {};
}

LoadReport refuse(const std::filesystem::path& file, const std::string& fault) {
  for (int i = 1; i <= aside_names_max; ++i) {
    const std::string aside = file.native() + ".refused." + std::to_string(i);
    // Names that are taken are kept, but for the last: nine old files are enough to look at.
    const unsigned flags = i < aside_names_max ? RENAME_NOREPLACE : 0;
    if (::renameat2(AT_FDCWD, file.c_str(), AT_FDCWD, aside.c_str(), flags) == 0) {
      return {Loaded::refused, fault + "; it was kept as " + aside};
    }
    if (errno != EEXIST) break;
  }
  return {Loaded::refused, fault + "; it could not be moved aside (" + std::strerror(errno) + ")"};
}

std::string failed(const std::string& step) { return step + ": " + std::strerror(errno); }

}  // namespace

Epoch::Epoch() : base_boottime_s_(boottime_now_s()), boot_id_(read_boot_id()) {}

void Epoch::resume(const StoredRing& saved) {
  const std::uint64_t now = boottime_now_s();
  const bool is_same_boot =
      saved.boot_id == boot_id_ && saved.boot_id != std::array<std::uint8_t, 16>{} && saved.boottime_s <= now;
  base_epoch_s_ = saved.epoch_s + (is_same_boot ? now - saved.boottime_s : 0);
  base_boottime_s_ = now;
}

std::uint64_t Epoch::now_s() const { return base_epoch_s_ + (boottime_now_s() - base_boottime_s_); }

void Epoch::stamp(StoredRing& stored) const {
  stored.epoch_s = now_s();
  stored.boottime_s = boottime_now_s();
  stored.boot_id = boot_id_;
}

std::string fault_of_ring(const nts::KeyRing& ring) {
  if (!nts::is_valid(ring)) return "its key ids or states contradict each other";
  if (ring.current_id == 0) return "it names no current key";
  for (const nts::RingKey& key : ring.slots) {
    if (opens(key) && sodium_is_zero(key.key.data(), key.key.size()) != 0) return "it holds a key of zeros";
  }
  return {};
}

void encode_key_file(const StoredRing& stored, KeyFileImage& image) {
  nts::check(fault_of_ring(stored.ring).empty());
  StoredHeader header{file_magic,
                      key_file_version,
                      0,
                      stored.ring.generation,
                      stored.ring.current_id,
                      0,
                      stored.epoch_s,
                      stored.boottime_s,
                      stored.boot_id,
                      0};
  std::uint8_t* at = image.octets.data() + sizeof header;
  for (std::size_t slot = 0; slot < nts::ring_keys_max; ++slot) {
    const nts::RingKey& key = stored.ring.slots[slot];
    if (key.state == nts::KeyState::empty) continue;
    StoredKey entry{key.id, key.state, key.created_s, stored.superseded_epoch_s[slot], key.key};
    std::memcpy(at, &entry, sizeof entry);
    sodium_memzero(&entry, sizeof entry);
    at += sizeof entry;
    ++header.count;
  }
  std::memcpy(image.octets.data(), &header, sizeof header);
  const auto bytes = static_cast<std::size_t>(at - image.octets.data());
  hash({image.octets.data(), bytes}, at);
  image.bytes = bytes + hash_bytes;
}

std::string decode_key_file(std::span<const std::uint8_t> octets, StoredRing& stored) {
  StoredHeader header;
  if (octets.size() < sizeof header + hash_bytes) return "it is cut short";
  std::memcpy(&header, octets.data(), sizeof header);
  if (header.magic != file_magic) return "it is no key file";
  // The version is looked at before anything that a later one may lay out differently.
  if (header.version != key_file_version) {
    return "it has version " + std::to_string(header.version) + " and this program reads version " +
           std::to_string(key_file_version);
  }
  if (header.count > nts::ring_keys_max ||
      octets.size() != sizeof header + header.count * sizeof(StoredKey) + hash_bytes) {
    return "its length is not that of its " + std::to_string(header.count) + " keys";
  }
  std::array<std::uint8_t, hash_bytes> expected;
  hash(octets.first(octets.size() - hash_bytes), expected.data());
  if (std::memcmp(expected.data(), octets.data() + octets.size() - hash_bytes, hash_bytes) != 0) {
    return "its checksum is wrong";
  }
  if (header.count == 0) return "it holds no keys";
  Guarded<StoredRing> read;
  StoredRing& ring = *read;
  ring.ring.generation = header.generation;
  ring.ring.current_id = header.current_id;
  ring.epoch_s = header.epoch_s;
  ring.boottime_s = header.boottime_s;
  ring.boot_id = header.boot_id;
  Guarded<StoredKey> one;  // wiped also when the next one is refused
  for (std::uint32_t i = 0; i < header.count; ++i) {
    StoredKey& entry = *one;
    std::memcpy(&entry, octets.data() + sizeof header + i * sizeof entry, sizeof entry);
    const std::uint32_t slot = entry.id % nts::ring_keys_max;
    if (ring.ring.slots[slot].state != nts::KeyState::empty) return "two of its keys have one slot";
    if (entry.state == nts::KeyState::empty) return "one of its keys has no state";
    ring.ring.slots[slot] = {entry.id, entry.state, entry.created_s, entry.key};
    ring.superseded_epoch_s[slot] = entry.superseded_epoch_s;
  }
  if (const std::string fault = fault_of_ring(ring.ring); !fault.empty()) return fault;
  stored = ring;
  return {};
}

LoadReport load_key_file(const std::filesystem::path& file, StoredRing& stored) {
  // O_NONBLOCK: a FIFO in its place must not make us wait.
  const Descriptor descriptor(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!descriptor.is_open()) {
    if (errno == ENOENT || errno == ENOTDIR) return {Loaded::missing, {}};
    if (errno == ELOOP) return refuse(file, "it is a symbolic link");
    if (errno == ENXIO) return refuse(file, "it is no regular file");
    throw std::runtime_error(file.native() + " cannot be opened (" + std::strerror(errno) +
                             "); give the file and its directory to the keeper's uid " +
                             std::to_string(::geteuid()));
  }
  struct stat status {};
  if (::fstat(descriptor.get(), &status) != 0) {
    throw std::runtime_error(file.native() + " cannot be examined (" + std::strerror(errno) +
                             "); check the disk");
  }
  if (const std::string fault = fault_of_file(status); !fault.empty()) return refuse(file, fault);
  Guarded<KeyFileImage> image;
  while (image->bytes < image->octets.size()) {
    const ssize_t got =
        ::read(descriptor.get(), image->octets.data() + image->bytes, image->octets.size() - image->bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      throw std::runtime_error(file.native() + " cannot be read (" + std::strerror(errno) +
                               "); check the disk");
    }
    if (got == 0) break;
    image->bytes += static_cast<std::size_t>(got);
  }
  const std::string fault = decode_key_file({image->octets.data(), image->bytes}, stored);
  if (!fault.empty()) return refuse(file, fault);
  return {Loaded::ring, {}};
}

std::string save_key_file(const std::filesystem::path& file, const KeyFileImage& image) {
  const std::string fresh = file.native() + ".new";
  ::unlink(fresh.c_str());  // of a keeper that died here; nobody else writes in its directory
  Descriptor descriptor(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!descriptor.is_open()) return failed("cannot create " + fresh);
  shm::failpoint::reach("keeper.save_created");
  std::string fault;
  std::size_t written = 0;
  while (written < image.bytes && fault.empty()) {
    const ssize_t put = ::write(descriptor.get(), image.octets.data() + written, image.bytes - written);
    if (put > 0) written += static_cast<std::size_t>(put);
    if (put < 0 && errno != EINTR) fault = failed("cannot write " + fresh);
    if (put == 0) fault = "cannot write " + fresh + ": the disk takes no more";
  }
  shm::failpoint::reach("keeper.save_written");
  // A umask may have taken bits away, never added any: say exactly what it is.
  if (fault.empty() && ::fchmod(descriptor.get(), 0600) != 0)
    fault = failed("cannot set the mode of " + fresh);
  if (fault.empty() && ::fsync(descriptor.get()) != 0) fault = failed("cannot sync " + fresh);
  shm::failpoint::reach("keeper.save_synced");
  if (fault.empty() && ::rename(fresh.c_str(), file.c_str()) != 0)
    fault = failed("cannot replace " + file.native());
  if (!fault.empty()) {
    ::unlink(fresh.c_str());
    return fault;
  }
  shm::failpoint::reach("keeper.save_renamed");
  // Without this the rename itself may be forgotten in a power cut.
  const Descriptor directory(::open(file.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.is_open() || ::fsync(directory.get()) != 0) {
    return failed("cannot sync the directory of " + file.native());
  }
  return {};
}

}  // namespace control
