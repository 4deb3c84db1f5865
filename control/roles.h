// Who is who: the roles and their uids. The one table; launcher, sockets and tests agree with it.
//
// Fixed numbers, because pages and sockets are checked by uid (SO_PEERCRED, page owner) and a number survives
// a chroot, a container and a network namespace.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <sys/types.h>

namespace control {

enum class Role : std::uint8_t { keeper, ke, clock, upstream, admin, dataplane };

struct Identity {
  Role role;
  std::string_view name;
  uid_t uid;
  gid_t gid;
};

inline constexpr std::array<Identity, 6> identities = {{
    {Role::keeper, "keeper", 62101, 62101},
    {Role::ke, "ke", 62102, 62102},
    {Role::clock, "clock", 62103, 62103},
    {Role::upstream, "upstream", 62104, 62104},
    {Role::admin, "admin", 62105, 62105},
    {Role::dataplane, "dataplane", 62106, 62106},
}};

[[nodiscard]] constexpr const Identity& identity_of(Role role) noexcept {
  return identities[static_cast<std::size_t>(role)];
}

}  // namespace control
