# Personal data in what servers send: masked where the data asks for it, by server and tool,
# unless a role may see that kind. redact.rego does the masking, this file says what is
# masked: `kinds` is empty for all others, and their clean results are not looked at here.
#
#   "personal": {"crm": {"*": ["email"], "customer.get": ["iban", "card"]}}
#   "roles": {"dpo": {"sees_personal": {"crm": ["email"]}}}
package mcp

kinds := {kind |
	some list in personal_lists
	some kind in list
	not sees_personal(kind)
}

personal_lists := [list |
	input.phase == "response"
	asked := data.personal
	some server in [input.server, "*"]
	some name in personal_names
	list := asked[server][name]
]

personal_names := ["*", input.tool.name] if {
	input.tool.name
} else := ["*"]

sees_personal(kind) if {
	some grant in grants
	some server in [input.server, "*"]
	kind in grant.sees_personal[server]
}

# A kind that nobody knows is a mistake in the data, and lets nothing pass.
deny contains {"reason": "personal_kind_unknown"} if {
	input.phase == "response"
	some list in personal_lists
	not is_array(list)
}

deny contains {"reason": "personal_kind_unknown"} if {
	input.phase == "response"
	some kind in kinds
	not personal_patterns[kind]
}

# A card's number may be a number.
patches contains {"op": "replace", "path": pointer(path), "value": personal_mark("card")} if {
	input.phase == "response"
	"card" in kinds
	walk(leaving, [path, value])
	is_number(value)
	number := regex.replace(json.marshal(value), `\.0*$`, "")
	regex.match(sprintf("^(?:%s)$", [card_pattern]), number)
	checks("card", number)
}

# Too much is masked rather than too little, but where there is a checksum it has to fit.
personal_patterns := {
	"card": card_pattern,
	"email": `[\p{L}\p{N}._%+'-]+@[\p{L}\p{N}.-]+\.[\p{L}]{2,}`,
	"iban": iban_pattern,
	"ipv4": `\b(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\.){3}(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\b`,
	"phone": `\+[1-9](?:[ ().-]{0,2}[0-9]){6,14}`,
	"ssn": `\b[0-8][0-9]{2}[- ][0-9]{2}[- ][0-9]{4}\b`,
}

# By length and first digits, in groups or not. A number may stand next to letters.
card_pattern := concat("", [
	`(?:4[0-9]{3}|5[1-5][0-9]{2}|2[2-7][0-9]{2}|6[0-9]{3}|35[0-9]{2}|8[0-9]{3})(?:[ -]?[0-9]{4}){3}(?:[0-9]{3})?`,
	`|3[47][0-9]{2}[ -]?[0-9]{6}[ -]?[0-9]{5}|3[0689][0-9]{2}[ -]?[0-9]{6}[ -]?[0-9]{4}`,
])

# By country and its length, which tells where the number ends.
iban_pattern := concat("|", [pattern |
	some length, countries in iban_countries
	pattern := sprintf(`(?:%s)[0-9]{2}(?: ?[A-Z0-9]){%s}`, [countries, length])
])

# How many characters follow the check digits.
iban_countries := {
	"11": "NO",
	"12": "BE",
	"14": "DK|FI|FO|GL|NL|SD",
	"15": "MK|SI",
	"16": "AT|BA|EE|KZ|LT|LU|MN|XK",
	"17": "CH|HR|LI|LV",
	"18": "BG|BH|CR|DE|GB|GE|IE|ME|RS|VA",
	"19": "AE|GI|IL|IQ|OM|SO|TL",
	"20": "AD|CZ|ES|MD|PK|RO|SA|SE|SK|TN|VG",
	"21": "LY|PT|ST",
	"22": "IS|TR",
	"23": "BI|DJ|FR|GR|IT|MC|MR|SM",
	"24": "AL|AZ|BY|CY|DO|GT|HU|LB|NI|PL|SV",
	"25": "BR|EG|PS|QA|UA",
	"26": "JO|KW|MU|YE",
	"27": "MT|SC",
	"28": "LC",
	"29": "RU",
}

# A text without the personal data that is asked for, one kind after the other.
without_personal(text) := without_pattern(step5, "phone") if {
	some _ in kinds
	step1 := without_checked(text, "iban")
	step2 := without_checked(step1, "card")
	step3 := without_pattern(step2, "email")
	step4 := without_pattern(step3, "ssn")
	step5 := without_pattern(step4, "ipv4")
} else := text

without_pattern(text, kind) := regex.replace(text, personal_patterns[kind], personal_mark(kind)) if {
	kind in kinds
} else := text

without_checked(text, kind) := strings.replace_n(found, text) if {
	kind in kinds
	found := {match: personal_mark(kind) |
		some match in candidates(kind, text)
		checks(kind, regex.replace(match, `[ -]`, ""))
	}
} else := text

candidates("card", text) := regex.find_n(card_pattern, text, -1)

# The countries are looked for in what could be an account only: there are many of them.
candidates("iban", text) := [match |
	some run in regex.find_n(`[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,}`, text, -1)
	some match in regex.find_n(iban_pattern, run, -1)
]

personal_mark(kind) := sprintf("[%s]", [kind])

# ISO 13616: letters are numbers from 10, the first four characters go last, and the rest of
# a division by 97 is 1. The 97 in front only keeps zeros from being first.
checks("iban", account) if {
	moved := concat("", [substring(account, 4, -1), substring(account, 0, 4)])
	digits := strings.replace_n(iban_letters, moved)
	to_number(concat("", ["97", digits])) % 97 == 1
}

iban_letters := {letter: sprintf("%d", [n + 10]) |
	some n, letter in split("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "")
}

# Luhn: from the right every second digit counts double, as the sum of its digits.
checks("card", number) if {
	sum([value |
		some n, digit in split(strings.reverse(number), "")
		value := [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [0, 2, 4, 6, 8, 1, 3, 5, 7, 9]][n % 2][to_number(digit)]
	]) % 10 == 0
}
