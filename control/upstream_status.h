// What the clock role knows of the upstreams, as a report for programs (admin_protocol.h) and as people read
// it.
//
// Everything in a reply was written by another process and much of it by strangers: indices are clamped,
// enumerations checked, text is printable ASCII. Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "control/config.h"
#include "control/messages.h"

namespace control {

// `reply` may be null: the clock role gave none. Then and for servers it has not heard of, hosts are all
// there is.
[[nodiscard]] nlohmann::json upstream_report(const Config& config, const UpstreamListReply* reply);

// The "upstream" of status.
[[nodiscard]] nlohmann::json upstream_summary(const Config& config, const UpstreamListReply* reply);

// A line for each server, with the signs that `chronyc sources` has: * we would follow it, + it agrees,
// x it contradicts the majority, ? nothing is known of it; and = it agrees and is a witness only.
[[nodiscard]] std::string upstreams_text(const nlohmann::json& report);

// Whether the upstreams agree on a time. False when the report does not say.
[[nodiscard]] bool has_agreement(const nlohmann::json& report);

}  // namespace control
