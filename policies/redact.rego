# What leaves a server is cleaned before a client, a terminal or a model sees it:
# terminal escapes, control characters, characters that hide or reorder text, secrets.
# Every string counts wherever it is: content, structuredContent, resource contents,
# prompt messages, instructions, errors, the params of a notification.
#
# Walking a result is the dear part, so a cheap look comes first: at input.scan, in which the
# gateway says what it found in one pass, and where that finds controls or is not there, at
# the JSON text. Both may suspect too much, never too little: whatever the full pass would
# change is in that text as one of the markers below. Where the scan finds nothing but
# secrets, the gateway takes them out itself, and there is no walk either. Add a secret in
# data.json, under a text that each match has. personal.rego adds personal data, where that is
# asked for.
package mcp

# The keys of data.secrets that the gateway replaces the matches of, in every string.
redactions contains mark if {
	input.phase == "response"
	clean_but_for_marks
	some mark in scanned
	data.secrets[mark]
}

patches contains {"op": "replace", "path": pointer(path), "value": clean} if {
	input.phase == "response"
	suspicious
	some [path, value, bare] in leaving_strings
	clean := cleaned(path, bare)
	clean != value
}

# A member's name cannot be replaced without moving its value, so it is refused.
deny contains {"reason": "unclean_member_name"} if {
	input.phase == "response"
	suspicious
	some [name, bare] in leaving_names
	masked(bare) != name
}

# A question to the user has no patch. One that plays with the terminal is not asked.
deny contains {"reason": "unclean_server_request"} if {
	input.phase == "server_request"
	suspicious
	some [_, value, bare] in leaving_strings
	without_secrets(bare) != value
}

leaving := input.response if input.phase == "response"

leaving := input.error if input.phase == "response"

leaving := input.params if input.phase == "server_request"

# Where personal data is to be masked, nothing is clean before each text was looked at.
suspicious if some _ in kinds

suspicious if has_controls

suspicious if {
	not clean_but_for_marks
	some _ in suspected_secrets
}

# In the name of a member the gateway could not replace anything.
clean_but_for_marks if {
	input.phase == "response"
	input.scan.named == false
	scanned
	count(kinds) == 0
}

# The markers that occur, if there is no control character anywhere.
scanned := input.scan.marks if {
	input.scan.plain == true
	is_array(input.scan.marks)
}

# JSON escapes the C0 controls: \u00XX, and \b, \f, \r. A literal backslash in a text
# looks the same here, which only costs a walk.
json_text := json.marshal(leaving) if not scanned

has_controls if contains(json_text, `\u000`)

has_controls if contains(json_text, `\u001`)

has_controls if contains(json_text, `\b`)

has_controls if contains(json_text, `\f`)

# A return without a line feed lets a line overwrite itself.
has_controls if {
	contains(json_text, `\r`)
	strings.count(json_text, `\r`) != strings.count(json_text, `\r\n`)
}

has_controls if has_raw_controls

# The others are not escaped in JSON. Written as %XX, a range of them shares a prefix.
has_raw_controls if {
	percent := urlquery.encode(json_text)
	some prefix in percent_prefixes
	contains(percent, prefix)
}

percent_prefixes := [
	"%7F", # DEL
	"%C2%8", # C1: U+0080 to U+008F
	"%C2%9", # C1: U+0090 to U+009F, among them CSI and OSC
	"%E2%80%A", # bidi: U+202A to U+202E
	"%E2%81%A", # bidi: U+2066 to U+2069
	"%F3%A0%80", # tags: U+E0000 to U+E003F
	"%F3%A0%81", # tags: U+E0040 to U+E007F
]

# Controls may have taken a marker apart, so what counts is the text without them.
suspected_secrets contains data.secrets[marker] if some marker in scanned

suspected_secrets contains pattern if {
	not scanned
	some marker, pattern in data.secrets
	contains(bare_text, marker)
}

bare_text := concat("\n", array.concat(texts, names)) if {
	has_controls
	texts := [bare | some [_, _, bare] in leaving_strings]
	names := [bare | some [_, bare] in leaving_names]
} else := json_text

leaving_strings := [[path, value, without_controls(value)] |
	walk(leaving, [path, value])
	is_string(value)
]

leaving_names contains [name, without_controls(name)] if {
	walk(leaving, [path, _])
	name := path[count(path) - 1]
	is_string(name)
}

# Opaque values that the client hands back as they are: nobody reads them, and a signed
# token would look like a secret.
cleaned(path, bare) := bare if {
	opaque[path]
} else := masked(bare)

# Controls may have kept personal data apart, and secrets may hold some.
masked(text) := without_personal(without_secrets(text))

opaque := {["nextCursor"], ["requestState"]}

without_secrets(text) := regex.replace(text, any_secret, "[redacted]") if {
	some _ in suspected_secrets
} else := text

any_secret := concat("", ["(?:", concat(")|(?:", suspected_secrets), ")"])

# In this order: escape sequences, the ranges that only some texts have, lone controls.
without_controls(text) := regex.replace(printable, `\r+([^\r\n]|$)`, "\n$1") if {
	has_controls
	without_escapes := regex.replace(text, escape_sequence, "")
	printable := strings.replace_n(c0_controls, without_raw_controls(without_escapes))
} else := text

without_raw_controls(text) := regex.replace(regex.replace(text, c1_sequence, ""), hidden_character, "") if {
	has_raw_controls
} else := text

# CSI; OSC, DCS, SOS, PM and APC with their text up to BEL or ST; the short ones.
escape_sequence := `\x1b(?:\[[0-?]*[ -/]*[@-~]?|[\]PX^_][^\x00-\x1f\x7f-\x{9f}]*(?:\x07|\x1b\\|\x{9c})?|[ -/]*[0-~]?)`

# The same with one C1 character in place of ESC and a second character.
c1_sequence := `\x{9b}[0-?]*[ -/]*[@-~]?|[\x{90}\x{98}\x{9d}-\x{9f}][^\x00-\x1f\x7f-\x{9f}]*(?:\x07|\x1b\\|\x{9c})?`

# C1, bidi embeddings, overrides and isolates, and tags, which spell invisible words.
hidden_character := `[\x{80}-\x{9f}\x{202a}-\x{202e}\x{2066}-\x{2069}\x{e0000}-\x{e007f}]`

# All but tab, line feed and return.
c0_controls := {
	"\u0000": "", "\u0001": "", "\u0002": "", "\u0003": "", "\u0004": "", "\u0005": "",
	"\u0006": "", "\u0007": "", "\u0008": "", "\u000b": "", "\u000c": "", "\u000e": "",
	"\u000f": "", "\u0010": "", "\u0011": "", "\u0012": "", "\u0013": "", "\u0014": "",
	"\u0015": "", "\u0016": "", "\u0017": "", "\u0018": "", "\u0019": "", "\u001a": "",
	"\u001b": "", "\u001c": "", "\u001d": "", "\u001e": "", "\u001f": "", "\u007f": "",
}

# RFC 6901.
pointer(path) := concat("", [part |
	some step in path
	part := concat("", ["/", replace(replace(sprintf("%v", [step]), "~", "~0"), "/", "~1")])
])
