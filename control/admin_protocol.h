// The operator's socket, admin/socket in the page directory: SOCK_SEQPACKET, one JSON object per packet.
//
// Request:  {"command": "status" | "counters" | "keys" | "ports" | "clock" | "upstreams" | "rotate" |
//            "reload"} or
//           {"command": "drain" | "undrain", "cpu": n}
// Reply:    {"ok": true, "result": ...} or
//           {"ok": false, "code": text, "error": "one sentence that says what to do"}
//           where code is "bad_request", "not_allowed", "busy", "too_long" or "failed"
// A request is at most request_bytes_max octets, a reply at most reply_bytes_max. Anyone may read; "rotate",
// "reload", "drain" and "undrain" take root or the admin uid (SO_PEERCRED). A client sends its next request
// within client_deadline_ms or is closed; at most clients_max are served at once, and the last
// places_for_operators of them are for root and the admin uid, so that no other user can lock the operator
// out. The rest of the machine never notices a bad one.
//
// Results, field by field (numbers unless shown otherwise; null where the number cannot be known). A part
// that cannot be had says "running": false and may lack the rest.
//   status    {"server": name, "version": "0.1.0", "ntp_port", "addresses": ["10.123.0.1", ...],
//              "dataplane": {"running": bool, "pid", "uptime_s", "tier": name, "instruction_sets": text,
//                            "aeads": [{"aead": number, "name": text, "tier": name, "instruction_sets":
//                            text}], "cores": [{"cpu", "state": "in service" | "drained", "queues": that it
//                            polls,
//                                       "received_packets", "sent_packets", "heartbeat_age_ms",
//                                       "acknowledged_keys"}], "ports": [text]},
//              "clock": {"running": bool, "synchronised": bool, "state": "local" | "locked" | ...,
//                        "source": text, "stratum", "leap", "reference_id": text, "root_delay_us",
//                        "root_dispersion_us", "valid_for_s", "age_ms"},
//              "keys": {"running": bool, "generation", "current_id", "accepting", "rotation_pending": bool,
//                       "alarm": text or ""},
//              "nts_ke": {"port", "workers": [{"worker", "running": bool, each field of KeCounters}]},
//              "upstream": {"sources": as configured, "agreeing"}}
//             stratum and leap are those that clients are told now; "running" of the clock is the role, and a
//             dead one's last state is shown for as long as it is served.
//   counters  {"dataplane": {"running": bool, "received_packets", "received_octets", "sent_packets",
//                            "sent_octets", "cookies_issued", "bursts", "kernel_sent_packets",
//                            "kernel_sent_octets", "kernel_unsent_packets", "frame": {verdict: n},
//                            "nts": {verdict: n}, "verdicts": sum of both, "cores": [{"cpu", the same}]},
//              "nts_ke": {"running": bool, "workers_answering", each field of KeCounters, summed}}
//             kernel_*: what the kernel sent through twins, in no other number.
//             of a dataplane that has ended: its last ones.
//   ports     {"running": bool, "ports": [{"device": text, "driver": text, "interface": text or null,
//                "twin": text or null, "mac": "aa:bb:...", "mtu", "queues",
//                "queues_max": {"receive", "transmit"}, "link": {"up": bool, "mbps": n or null},
//                "features": {name: "used" | "offered" | "none"}}]}
//             names: port_feature_names of dataplane/shm/port_report.h.
//   keys      {"generation", "current_id", "rotation_pending": bool, "alarm": text,
//              "keys": [{"id", "state": "accepting" | "current" | "retired", "created_unix_s"}]}
//   clock     the "clock" of status, and "sentence": what it is doing and why no better, or "".
//             With source "gnss": "gnss": {"satellites", "tai_minus_utc_s", "pulses", "samples", "doubted",
//             "unplaced", "malformed", "messages", "dropped_messages", "rollovers_repaired", "openings",
//             "outliers", "phc_steps", "phc_unread", "dropped_edges",
//             "last_offset_ns", "frequency_ppb", "drift_ppb_day", "white_ns", "walk_ppb", "pulse_sigma_ns"}
//   upstreams {"running": bool (the upstream role), "upstreams": [{"host": text, "address": text, "nts":
//   bool,
//              "phase": "looking_up" | "agreeing" | "measuring" | "unsynchronised" | "stopped" | "loop" |
//              "failed", "verdict": "unusable" | "falseticker" | "witness" | "member" | "leader",
//              "authenticated": bool, "reach", "poll", "cookies", "stratum", "leap", "reference_id": text,
//              "age_s", "offset_ns", "delay_ns", "dispersion_ns", "jitter_ns", "distance_ns", "text": what is
//              wrong or ""}]}
//             in the order of the file. offset_ns is theirs minus ours, distance_ns how far it may be from
//             the truth (RFC 5905's root distance); from "stratum" to "distance_ns" null without
//             measurements.
//   rotate    {"new_key_id", "text": what happens next}
//   drain, undrain  {"cpu", "state": "in service" | "drained", "text": what is so now}
//             answered once the dataplane has done it. It stands in the settings page under that dataplane's
//             instance id: it survives a reload and the admin's restart, and the next dataplane knows
//             nothing of it.
//   reload    {"revision": of the settings page, "changed": [key], "at_restart": [key], "silent": [role]}
//             keys as in the file, "[server] addresses"; "at_restart" are those that differ from what runs
//             and wait for a restart, "silent" the roles that did not answer: they read the files when they
//             start. When anything is wrong with the new configuration: "failed", with the first fault, and
//             whoever found it goes on as before.
#pragma once

#include <cstddef>
#include <cstdint>

namespace control {

inline constexpr std::size_t request_bytes_max = 4096;
inline constexpr std::size_t reply_bytes_max = 160 * 1024;
inline constexpr std::uint32_t client_deadline_ms = 2000;
inline constexpr std::uint32_t clients_max = 32;
inline constexpr std::uint32_t places_for_operators = 4;

}  // namespace control
