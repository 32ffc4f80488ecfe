# METADATA
# title: Gatehouse decision
# description: |
#   The one rule that the gateway asks: data.mcp.decision. It refuses unless some rule
#   says `allow` and no rule says `deny`; a denial always beats a permission.
#
#   To extend the policy add a file with `package mcp`; no existing file needs an edit:
#
#     allow if { … }                                            one more way to be permitted
#     deny contains {"reason": "…", "code": "…"} if { … }       one more veto
#     patches contains {"op": "replace", "path": "…", "value": …} if { … }
#     redactions contains "…" if { … }                          a key of data.secrets to take out
#                                                               of what is judged in phase response
#     refusal["method"] := "reason"                             what to call "nothing permits it"
#
#   Every rule should name the phases it is for: input.phase is request, response, list
#   or server_request. A rule that reads input.tool.args must not fire in phase list,
#   where the arguments are not known yet.
#
#   The reason is chosen in this order: nothing permits it (the refusal of the method);
#   then denials with code policy_deny, validation_failed, rate_limited; then the reason
#   that comes first in the alphabet. A caller without the permission therefore never
#   learns what the other rules would have said.
#
#   To ask whether a caller could ever make a call, leave input.tool.args and input.params
#   unknown and evaluate `data.mcp.allow == true; not data.mcp.denied` partially: no query
#   left means never.
package mcp

# METADATA
# entrypoint: true
default decision := {"allow": false, "reason": "denied", "code": "policy_deny"}

# The version is part of the contract: in another one the same member may mean something
# else. Without a permission nothing else is looked at.
decision := {"allow": false, "reason": refused, "code": "policy_deny"} if {
	not allow
} else := {"allow": true} if {
	input.version == 1
	not denied
	not patched
	not redacted
} else := object.union({"allow": true}, changes) if {
	input.version == 1
	not denied
} else := {"allow": false, "reason": reason, "code": code} if {
	[_, reason, code] := min(denials)
}

default allow := false

# Its own rule, because a denial of an unexpected shape has no place in `denials`,
# and must still deny.
denied if some _ in deny

patched if some _ in patches

redacted if some _ in redactions

# A redaction comes after the patch, so what a patch brings in is redacted too.
changes["patch"] := [patch | some patch in patches] if patched

changes["redact"] := [mark | some mark in redactions] if redacted

# Arrays compare from the left: first the rank, then the reason.
denials contains [rank, denial.reason, code] if {
	some denial in deny
	is_string(denial.reason)
	code := object.get(denial, "code", "policy_deny")
	rank := ranks[code]
}

ranks := {"policy_deny": 1, "validation_failed": 2, "rate_limited": 3}

default refused := "method_not_allowed"

refused := refusal[input.kind]
