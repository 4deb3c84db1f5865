#include "control/oscillator_file.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <sodium.h>
#include <span>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include "control/descriptor.h"
#include "control/file_check.h"

namespace control {
namespace {

using hwclock::OscillatorMemory;

// A process that was away for a while, and a machine that was: a crystal that cooled down comes back within a
// few parts per million, and one that stayed on moved with the temperature alone.
constexpr double same_boot_sigma_ppb = 20.0;
constexpr double other_boot_sigma_ppb = 2'000.0;

// The kernel's name of this boot; zeros when it gives none, and those are no boot twice.
OscillatorMemory::Identity this_boot() {
  OscillatorMemory::Identity id{};
  std::string text;
  std::getline(std::ifstream("/proc/sys/kernel/random/boot_id"), text);
  std::size_t bytes = 0;
  if (sodium_hex2bin(id.data(), id.size(), text.data(), text.size(), "-", &bytes, nullptr) != 0 ||
      bytes != id.size()) {
    id.fill(0);
  }
  return id;
}

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name")) return line;
  }
  return {};
}

// Hashed, because a machine-id is nobody else's business (machine-id(5)).
OscillatorMemory::Identity this_machine() {
  std::string text;
  std::getline(std::ifstream("/etc/machine-id"), text);
  text = "noonmark oscillator\n" + text + "\n" + processor_name();
  OscillatorMemory::Identity id{};
  static_assert(OscillatorMemory::identity_bytes >= crypto_generichash_BYTES_MIN);
  crypto_generichash(id.data(), id.size(), reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                     nullptr, 0);
  return id;
}

std::string failed(const std::string& step) { return step + ": " + std::strerror(errno); }

std::string fault_of_file(const std::filesystem::path& file) {
  struct stat status {};
  if (::lstat(file.c_str(), &status) != 0) return failed("it cannot be looked at");
  if (!S_ISREG(status.st_mode)) return "it is no regular file";
  if (status.st_uid != ::geteuid() && status.st_uid != 0)
    return "it belongs to uid " + std::to_string(status.st_uid);
  if ((status.st_mode & 022) != 0) return "others could write it";
  return {};
}

std::string write_all(const Descriptor& file, std::span<const std::uint8_t> octets) {
  while (!octets.empty()) {
    const ssize_t put = ::write(file.get(), octets.data(), octets.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return failed("it cannot be written");
    if (put == 0) return "the disk takes no more";
    octets = octets.subspan(static_cast<std::size_t>(put));
  }
  return {};
}

}  // namespace

RecalledOscillator recall_oscillator(const std::filesystem::path& file) {
  RecalledOscillator recalled;
  struct stat status {};
  if (::lstat(file.c_str(), &status) != 0 && (errno == ENOENT || errno == ENOTDIR)) return recalled;
  recalled.fault = fault_of_file(file);
  if (!recalled.fault.empty()) return recalled;
  auto memory = std::make_unique<OscillatorMemory>();
  try {
    const std::string text = read_checked_file(file, hwclock::memory_bytes_max);
    recalled.fault =
        hwclock::decode_memory({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}, *memory);
  } catch (const FileError& error) {
    recalled.fault = error.what();
  }
  if (recalled.fault.empty() && memory->machine != this_machine())
    recalled.fault = "it is of another machine's oscillator";
  if (!recalled.fault.empty()) return recalled;
  const OscillatorMemory::Identity boot = this_boot();
  const bool is_same_boot = memory->boot == boot && boot != OscillatorMemory::Identity{};
  recalled.restart_sigma_ppb = is_same_boot ? same_boot_sigma_ppb : other_boot_sigma_ppb;
  recalled.memory = std::move(memory);
  return recalled;
}

std::string save_oscillator(const std::filesystem::path& file, OscillatorMemory& memory) {
  memory.machine = this_machine();
  memory.boot = this_boot();
  const std::string fresh = file.native() + ".new";
  ::unlink(fresh.c_str());  // of a role that died here; nobody else writes in its directory
  const Descriptor out(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!out.is_open()) return failed(fresh + " cannot be made");
  std::string fault = write_all(out, hwclock::encode_memory(memory));
  if (fault.empty() && ::fsync(out.get()) != 0) fault = failed("it cannot be synced");
  if (fault.empty() && ::rename(fresh.c_str(), file.c_str()) != 0) fault = failed("it cannot be replaced");
  if (!fault.empty()) ::unlink(fresh.c_str());
  return fault;
}

}  // namespace control
