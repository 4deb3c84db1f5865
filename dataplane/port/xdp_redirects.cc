#include "dataplane/port/xdp_redirects.h"

#include <algorithm>
#include <array>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <net/if.h>
#include <set>
#include <sys/mman.h>
#include <unistd.h>

#include "dataplane/ntp_redirect_object.h"
#include "dataplane/port/port.h"

namespace dataplane {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view pairs_map_name = "noonmark_pairs";
constexpr std::string_view program_name = "noonmark_ntp";
constexpr std::string_view attaching = "attaching";  // in the record until there is a number

// struct served_pair of xdp/ntp_redirect.bpf.c.
struct ServedPair {
  std::array<std::uint8_t, 16> address{};
  std::uint16_t port = 0;    // network order
  std::uint16_t family = 0;  // 4 or 6
  friend auto operator<=>(const ServedPair&, const ServedPair&) = default;
};
static_assert(sizeof(ServedPair) == 20);

// 0 when none is attached.
std::uint32_t attached_program(const std::string& interface) {
  std::uint32_t id = 0;
  const int error = bpf_xdp_query_id(static_cast<int>(if_nametoindex(interface.c_str())), 0, &id);
  if (error != 0) {
    throw PortError("interface " + interface + " does not say whether it has an XDP program: " +
                    std::strerror(-error) + "; give the dataplane CAP_NET_ADMIN");
  }
  return id;
}

// Empty when this process may not know it (CAP_SYS_ADMIN).
std::string name_of_program(std::uint32_t id) {
  const int program = bpf_prog_get_fd_by_id(id);
  if (program < 0) return {};
  bpf_prog_info info{};
  std::uint32_t bytes = sizeof info;
  const bool is_known = bpf_obj_get_info_by_fd(program, &info, &bytes) == 0;
  ::close(program);
  return is_known ? info.name : "";
}

// For people: the number, and the name or where to find it.
std::string description_of_program(std::uint32_t id) {
  const std::string number = std::to_string(id);
  const std::string name = name_of_program(id);
  if (name.empty()) return "number " + number + " (`bpftool prog show id " + number + "` names it)";
  return "number " + number + ", named " + name +
         (name == program_name ? " (of another Noonmark, or of one whose page directory is gone)" : "");
}

bool is_ours(std::uint32_t id, const fs::path& record) {
  std::ifstream file(record);
  std::string word;
  file >> word;
  if (word != attaching) return word == std::to_string(id);
  const std::string name = name_of_program(id);
  return name.empty() || name == program_name;
}

// The maps of served pairs that this process holds: the driver keeps them open as long as their program.
std::vector<int> own_pair_maps() {
  std::vector<int> maps;
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    std::error_code error;
    if (fs::read_symlink(entry.path(), error) != "anon_inode:bpf-map") continue;
    const int map = std::stoi(entry.path().filename());
    bpf_map_info info{};
    std::uint32_t bytes = sizeof info;
    if (bpf_obj_get_info_by_fd(map, &info, &bytes) == 0 && pairs_map_name == info.name) maps.push_back(map);
  }
  return maps;
}

std::set<ServedPair> pairs_in(int map) {
  std::set<ServedPair> pairs;
  ServedPair pair;
  for (const ServedPair* previous = nullptr; bpf_map_get_next_key(map, previous, &pair) == 0;
       previous = &pair) {
    pairs.insert(pair);
  }
  return pairs;
}

std::string failure(const ServedPair& pair, const char* what) {
  return std::string("the XDP program does not ") + what + " an IPv" + std::to_string(pair.family) +
         " address: " + std::strerror(errno);
}

}  // namespace

std::string xdp_object_path() {
  static const int file = [] {
    const int made = ::memfd_create("ntp_redirect", MFD_CLOEXEC);
    const auto bytes = static_cast<ssize_t>(sizeof ntp_redirect_object);
    if (made < 0 || ::write(made, ntp_redirect_object, sizeof ntp_redirect_object) != bytes) {
      throw PortError(std::string("no memory for the XDP program: ") + std::strerror(errno) + "; free some");
    }
    return made;
  }();
  return "/proc/self/fd/" + std::to_string(file);
}

// The driver detaches what it attached when its port closes. A port that failed half way may not have been
// closed: then the record stays, for the next start.
XdpRedirects::~XdpRedirects() {
  for (const std::string& interface : interfaces_) {
    std::uint32_t id = 0;
    const int error = bpf_xdp_query_id(static_cast<int>(if_nametoindex(interface.c_str())), 0, &id);
    std::error_code gone;
    if (error != 0 || id == 0) fs::remove(record_of(interface), gone);
  }
}

void XdpRedirects::write_record(const std::string& interface, const std::string& what) const {
  const fs::path record = record_of(interface);
  std::ofstream file(record, std::ios::trunc);
  file << what << '\n';
  file.close();
  if (!file) throw PortError(record.native() + " cannot be written; see that the page directory has room");
}

fs::path XdpRedirects::record_of(const std::string& interface) const {
  return directory_ / ("xdp-program-" + interface);
}

void XdpRedirects::make_room(const std::string& interface) {
  if (const std::uint32_t id = attached_program(interface); id != 0) detach(interface, id);
  write_record(interface, std::string(attaching));
  interfaces_.push_back(interface);
}

void XdpRedirects::detach(const std::string& interface, std::uint32_t id) const {
  if (!is_ours(id, record_of(interface))) {
    throw PortError("interface " + interface + " has an XDP program that is not ours, " +
                    description_of_program(id) + "; detach it (`ip link set dev " + interface +
                    " xdp off`) or use af_packet:" + interface);
  }
  bpf_xdp_attach_opts options{};
  options.sz = sizeof options;
  const int error = bpf_xdp_detach(static_cast<int>(if_nametoindex(interface.c_str())), 0, &options);
  if (error != 0) {
    throw PortError("interface " + interface + " keeps the XDP program of a killed run: " +
                    std::strerror(-error) + "; detach it with `ip link set dev " + interface + " xdp off`");
  }
}

void XdpRedirects::adopt(const std::string& interface) {
  write_record(interface, std::to_string(attached_program(interface)));
  maps_ = own_pair_maps();
  if (maps_.size() != interfaces_.size()) {
    throw PortError("the XDP program of interface " + interface +
                    " has no map of ours; libbpf and the driver do not fit each other");
  }
}

std::vector<std::string> XdpRedirects::follow(std::span<const shm::Address> addresses, std::uint16_t port) {
  std::set<ServedPair> wanted;
  for (const shm::Address& address : addresses) {
    ServedPair pair;
    std::copy_n(address.octets, address.family == 4 ? 4 : 16, pair.address.begin());
    pair.port = __builtin_bswap16(port);
    pair.family = address.family;
    wanted.insert(pair);
  }
  std::vector<std::string> failures;
  for (const int map : maps_) {
    const std::set<ServedPair> present = pairs_in(map);
    // First those that are gone: there is room for all that can be wanted, but not for two lists of them.
    for (const ServedPair& pair : present) {
      if (!wanted.contains(pair) && bpf_map_delete_elem(map, &pair) != 0)
        failures.push_back(failure(pair, "give up"));
    }
    constexpr std::uint32_t is_served = 1;
    for (const ServedPair& pair : wanted) {
      if (!present.contains(pair) && bpf_map_update_elem(map, &pair, &is_served, BPF_ANY) != 0) {
        failures.push_back(failure(pair, "take"));
      }
    }
  }
  return failures;
}

}  // namespace dataplane
