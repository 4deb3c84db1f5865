// Reading the prefixes of section [access].
#pragma once

#include "control/config_value.h"

namespace control {

// Reads "192.0.2.0/24", "2001:db8::/32" or a single address; refuses bits behind the prefix, which are mostly
// a wrong length.
[[nodiscard]] shm::AccessRule read_access_rule(const ConfigValue& value, shm::Access access);

// Refuses a prefix that two of the lists decide differently, and more rules than the page holds. `file`
// stands in the message.
void require_access_agrees(const Config::Access& access, const std::string& file);

}  // namespace control
