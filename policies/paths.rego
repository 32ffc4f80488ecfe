# Paths and URLs in arguments: two more keywords for the bounds of arguments.rego. Both are
# allow-lists over a form that has one reading only: what another reader could take for
# something else is refused, not normalised. Links in the file system and what a name
# resolves to are not seen here.
#
#   "path": ["/srv/public", "C:/data"]              absolute, one of these or below it
#   "url": {"https://docs.example": ["/"],          origins, and path prefixes below them
#           "https://*.example.org": ["/open"]}     *.: any name below; https://* any public name
package mcp

holds(keyword, prefixes, value) if {
	keyword == "path"
	is_string(value)
	count(value) <= 4096
	regex.match(`^(?:[A-Za-z]:)?/`, value)
	not regex.match(odd_path, value)
	below(value, prefixes)
}

holds(keyword, origins, value) if {
	keyword == "url"
	is_string(value)
	count(value) <= 4096
	[[_, scheme, host, port, path]] := regex.find_all_string_submatch_n(plain_url, value, 1)
	not regex.match(`//|/\.\.?(?:[/;]|$)`, path)
	some origin in url_origins(lower(scheme), lower(host), port)
	below(path, origins[origin])
}

bound_reasons["path"] := "path_not_allowed"

bound_reasons["url"] := "url_not_allowed"

# A prefix itself, and what lies below it.
below(path, prefixes) if {
	is_array(prefixes)
	some prefix in prefixes
	startswith(concat("", [path, "/"]), concat("", [trim_suffix(prefix, "/"), "/"]))
}

# Escapes, backslashes, controls, invisible characters, those that normalise to a dot or a
# slash; then empty segments, and segments of dots and spaces only. Windows drops dots and
# spaces at the end of a name, has short names, streams and devices.
odd_path := concat("|", [
	`[%\\\x00-\x1f\x7f-\x{9f}\x{ad}\x{200b}-\x{200f}\x{2024}-\x{202e}\x{2060}-\x{206f}\x{feff}]`,
	`[\x{2044}\x{2215}\x{29f8}\x{fe52}\x{fe68}\x{ff0e}\x{ff0f}\x{ff3c}]|//|/[. ]+(?:/|$)`,
	`^[A-Za-z]:.*(?:[:"*<>?|]|~[0-9]|[. ](?:/|$))`,
	`^[A-Za-z]:.*/(?i:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(?:\.|/|$)`,
])

# Neither user information nor escapes of ASCII in the path; a port without leading zeros.
plain_url := concat("", [
	`^([A-Za-z][A-Za-z0-9+.-]*)://([A-Za-z0-9.-]*|\[[0-9A-Fa-f:]+\])(?::([1-9][0-9]{0,4}))?`,
	`(?:(/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%20|%[89A-Fa-f][0-9A-Fa-f])*)`,
	`(?:\?(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[2-9A-Fa-f][0-9A-Fa-f])*)?`,
	`(?:#(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[2-9A-Fa-f][0-9A-Fa-f])*)?)?$`,
])

# The entries of the data that an origin may stand under.
url_origins(scheme, host, port) := [origin |
	some name in host_names(scheme, host)
	origin := concat("", [scheme, "://", name, port_suffix(scheme, port)])
]

default port_suffix(_, _) := ""

port_suffix(scheme, port) := concat("", [":", port]) if {
	port != ""
	not default_ports[scheme] == port
}

default_ports := {"http": "80", "https": "443", "ws": "80", "wss": "443", "ftp": "21"}

host_names("file", "") := [""]

# The last label of a name begins with a letter; 0x7f.1 and 2130706433 are addresses to some.
host_names(_, host) := array.concat([host], wildcards(host)) if {
	count(host) <= 253
	regex.match(`^(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)*[a-z](?:[a-z0-9-]*[a-z0-9])?$`, host)
}

# An address counts only as it is listed, in its plain form. That of the cloud's metadata,
# and all that are local to the link, do not count at all.
host_names(_, host) := [host] if {
	regex.match(`^(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.|$)){4}$`, host)
	not endswith(host, ".")
	not startswith(host, "169.254.")
}

host_names(_, host) := [host] if {
	startswith(host, "[")
	not regex.match(`^\[(?:fe[89ab][0-9a-f]:|fd00:ec2::|[0:]*ffff:|64:ff9b:)`, host)
}

# A name in another script, or of a network of one's own, has to be listed itself.
wildcards(host) := array.concat(
	[name |
		not regex.match(`(?:^|\.)xn--`, host)
		labels := split(host, ".")
		some n, _ in labels
		n > 0
		name := concat(".", array.concat(["*"], array.slice(labels, n, count(labels))))
	],
	["*" |
		contains(host, ".")
		not regex.match(`(?:^|\.)xn--|\.(?:internal|local|localhost|localdomain|lan|home|corp|intranet|arpa)$`, host)
	],
)
