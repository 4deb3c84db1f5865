#include "control/sandbox.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <netinet/in.h>
#include <seccomp.h>
#include <span>
#include <string>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include <cap-ng.h>

namespace control {
namespace {

[[noreturn]] void fail(const std::string& step, int error) {
  throw SandboxError("cannot enter the sandbox (" + step + ": " + std::strerror(error) +
                     "); see what the container or kernel this runs in forbids");
}

// No role needs these, whoever it is. A name that this machine's libseccomp does not know is skipped: the
// kernel it was made for does not have the call.
constexpr const char* denied_to_all[] = {
    // Other programs, and other processes' memory.
    "execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_getfd",
    "kcmp", "userfaultfd", "personality",
    // The kernel itself.
    "bpf", "perf_event_open", "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load",
    "reboot", "iopl", "ioperm", "syslog", "acct", "swapon", "swapoff", "quotactl", "lookup_dcookie", "keyctl",
    "add_key", "request_key",
    // The tree of files.
    "mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount",
    "fspick", "mount_setattr", "name_to_handle_at", "open_by_handle_at", "mknod", "mknodat",
    // Namespaces and names.
    "unshare", "setns", "sethostname", "setdomainname",
    // Rings that open sockets where this filter does not see it.
    "io_uring_setup", "io_uring_enter", "io_uring_register",
    // The clock. It is the machine's, and read only.
    "clock_settime", "settimeofday", "stime"};

// adjtimex also reads; without CAP_SYS_TIME it does nothing else.
constexpr const char* denied_to_all_but_clock[] = {"adjtimex", "clock_adjtime"};

// Who only asks is asked nothing: its ports are those that the kernel picks, and nobody connects to it.
constexpr const char* denied_to_upstream[] = {"bind", "listen", "accept", "accept4"};

// The one thing for which the clock role meets a network: TCP to gpsd, which it has to be able to open anew.
bool asks_gpsd(const Config& config) {
  return config.clock.source == ClockSource::gnss && config.gnss.gpsd.has_value();
}

// The families of sockets a role may open, in ascending order.
std::vector<unsigned> socket_families_of(Role role, const Config& config) {
  switch (role) {
    case Role::keeper:
      return {AF_UNIX};
    case Role::clock:
      if (!asks_gpsd(config)) return {AF_UNIX};
      return {AF_UNIX, config.gnss.gpsd->is_ipv6() ? unsigned{AF_INET6} : unsigned{AF_INET}};
    case Role::admin:
      return {AF_UNIX, AF_NETLINK};
    case Role::ke:
    case Role::upstream:
    case Role::dataplane:
      break;
  }
  return {AF_UNIX, AF_INET, AF_INET6};
}

class Filter {
 public:
  Filter() : context_(seccomp_init(SCMP_ACT_ALLOW), seccomp_release) {
    if (!context_) fail("seccomp", ENOMEM);
  }

  void deny(std::span<const char* const> names) {
    for (const char* name : names) {
      const int call = seccomp_syscall_resolve_name(name);
      if (call == __NR_SCMP_ERROR) continue;
      add(seccomp_rule_add_array(context_.get(), SCMP_ACT_ERRNO(EPERM), call, 0, nullptr), name);
    }
  }

  // One rule a family: libseccomp takes one comparison an argument in each rule.
  void allow_sockets_of(const std::vector<unsigned>& families) {
    for (unsigned family = 0; family < families.back(); ++family) {
      if (std::find(families.begin(), families.end(), family) == families.end())
        deny_socket(SCMP_CMP_EQ, family);
    }
    deny_socket(SCMP_CMP_GT, families.back());
  }

  // Of these families TCP connections only: no datagram, no raw packet, no other kind of stream.
  void allow_connections_only_of(const std::vector<unsigned>& families) {
    constexpr unsigned kinds = 0xf;  // what is no flag of the kind
    for (const unsigned family : families) {
      if (family == AF_UNIX) continue;
      for (const unsigned kind : {SOCK_DGRAM, SOCK_RAW, SOCK_RDM, SOCK_SEQPACKET, SOCK_DCCP, SOCK_PACKET}) {
        const scmp_arg_cmp arguments[] = {{0, SCMP_CMP_EQ, family, 0}, {1, SCMP_CMP_MASKED_EQ, kinds, kind}};
        add(seccomp_rule_add_array(context_.get(), SCMP_ACT_ERRNO(EACCES), SCMP_SYS(socket), 2, arguments),
            "socket");
      }
      for (std::uint64_t protocol = 1; protocol < IPPROTO_TCP; ++protocol)
        deny_protocol(family, SCMP_CMP_EQ, protocol);
      deny_protocol(family, SCMP_CMP_GT, IPPROTO_TCP);
    }
  }

  void load() const {
    if (const int code = seccomp_load(context_.get()); code != 0) fail("seccomp", -code);
  }

 private:
  void deny_socket(scmp_compare comparison, unsigned family) {
    const scmp_arg_cmp first_argument{0, comparison, family, 0};
    for (const char* name : {"socket", "socketpair"}) {
      add(seccomp_rule_add_array(context_.get(), SCMP_ACT_ERRNO(EACCES), seccomp_syscall_resolve_name(name),
                                 1, &first_argument),
          name);
    }
  }

  void deny_protocol(unsigned family, scmp_compare comparison, std::uint64_t protocol) {
    const scmp_arg_cmp arguments[] = {{0, SCMP_CMP_EQ, family, 0}, {2, comparison, protocol, 0}};
    add(seccomp_rule_add_array(context_.get(), SCMP_ACT_ERRNO(EACCES), SCMP_SYS(socket), 2, arguments),
        "socket");
  }

  static void add(int code, const char* name) {
    if (code != 0) fail(std::string("seccomp rule for ") + name, -code);
  }

  std::unique_ptr<void, void (*)(scmp_filter_ctx)> context_;
};

void drop_capabilities(bool keeps_low_port) {
  capng_get_caps_process();
  const bool may_drop_bounds = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) != 0;
  capng_clear(CAPNG_SELECT_ALL);
  if (keeps_low_port) {
    constexpr auto sets = static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED);
    capng_update(CAPNG_ADD, sets, CAP_NET_BIND_SERVICE);
  }
  // The bounding set counts at execve only, which is denied below; who started us has emptied it anyway.
  if (may_drop_bounds && capng_apply(CAPNG_SELECT_BOUNDS) != 0) fail("bounding set", errno);
  if (capng_apply(CAPNG_SELECT_CAPS) != 0) fail("capabilities", errno);
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) fail("ambient capabilities", errno);
}

bool has_low_port_capability() {
  capng_get_caps_process();
  return capng_have_capability(CAPNG_PERMITTED, CAP_NET_BIND_SERVICE) != 0;
}

}  // namespace

void require_identity(Role role) {
  const Identity& identity = identity_of(role);
  uid_t real_uid = 0, uid = 0, saved_uid = 0;
  gid_t real_gid = 0, gid = 0, saved_gid = 0;
  ::getresuid(&real_uid, &uid, &saved_uid);
  ::getresgid(&real_gid, &gid, &saved_gid);
  const bool is_right = real_uid == identity.uid && uid == identity.uid && saved_uid == identity.uid &&
                        real_gid == identity.gid && gid == identity.gid && saved_gid == identity.gid;
  if (is_right) return;
  throw SandboxError("this role runs as user " + std::to_string(identity.uid) + " and group " +
                     std::to_string(identity.gid) + " only, and this is user " + std::to_string(uid) +
                     " and group " + std::to_string(gid) +
                     "; start it by `noonmark run` or by its systemd unit");
}

void enter_sandbox(Role role, const Config& config) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail("no_new_privs", errno);
  const rlimit none{0, 0};
  if (::setrlimit(RLIMIT_CORE, &none) != 0) fail("core dumps", errno);
  const bool holds_secrets = role == Role::keeper || role == Role::ke;
  if (holds_secrets && ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) fail("dumpable", errno);
  drop_capabilities(role == Role::ke && config.nts_ke.port < unprivileged_port_min &&
                    has_low_port_capability());

  Filter filter;
  filter.deny(denied_to_all);
  if (role != Role::clock) filter.deny(denied_to_all_but_clock);
  if (role == Role::upstream) filter.deny(denied_to_upstream);
  const std::vector<unsigned> families = socket_families_of(role, config);
  filter.allow_sockets_of(families);
  if (role == Role::clock) filter.allow_connections_only_of(families);
  filter.load();
}

}  // namespace control
