package mcp_test

import data.mcp

# What a client sees in place of a text, where this kind is masked.
masked_text(kind, text) := clean if {
	decision := mcp.decision with input as text_result(text) with data.personal as {"demo": {"*": [kind]}}
	clean := decision.patch[0].value
} else := text if {
	mcp.decision == {"allow": true} with input as text_result(text) with data.personal as {"demo": {"*": [kind]}}
}

test_personal_data if {
	cases := {
		"email": {
			"write to alice.b+x@mail.example.org.": "write to [email].",
			"a@b.de,ü@bücher.example": "[email],[email]",
			"\nalice@example.org\n": "\n[email]\n",
		},
		"phone": {
			"call +49 (0)30 1234-567 now": "call [phone] now",
			"+4915112345678": "[phone]",
			"\n+1 650.253.0000": "\n[phone]",
		},
		"iban": {
			"DE89 3704 0044 0532 0130 00 AND": "[iban] AND",
			"GB29NWBK60161331926819 NO9386011117947": "[iban] [iban]",
			"to\nMT84MALT011000012345MTLCAST001S": "to\n[iban]",
			"xFR1420041010050500013M02606": "x[iban]",
		},
		"card": {
			"4111 1111 1111 1111 5500-0055-5555-5559": "[card] [card]",
			"no378282246310005x": "no[card]x",
			"\n30569309025904": "\n[card]",
		},
		"ssn": {"ssn 078-05-1120.": "ssn [ssn].", "\n078 05 1120": "\n[ssn]"},
		"ipv4": {"from 192.0.2.7:80": "from [ipv4]:80"},
	}
	{[text, got] | some kind, texts in cases; some text, want in texts; got := masked_text(kind, text); got != want} == set()
}

test_other_text_is_left_alone if {
	cases := {
		"email": ["a @ b", "@handle", "x@y", "100%"],
		"phone": ["1 650 253 0000", "+1 234", "1+1=2"],
		"iban": ["DE89370400440532013001", "GB29 NWBK 6016 1331 9268 1", "ZZ89370400440532013000"],
		"card": ["4111111111111112", "1234 5678 9012 3456", "4111 1111"],
		"ssn": ["978-05-1120", "078-05-11", "1078-05-11201"],
		"ipv4": ["1.2.3", "256.1.1.300", "1.2.3.4567"],
	}
	{[text, got] | some kind, texts in cases; some text in texts; got := masked_text(kind, text); got != text} == set()
}

contact := "alice@example.org +4915112345678"

test_several_kinds_by_server_and_tool if {
	doc := object.union(text_result(contact), {"tool": {"name": "customer.get"}})
	wanted := {"demo": {"*": ["email"], "customer.get": ["phone"]}, "*": {"other": ["ssn"]}}
	mcp.decision.patch[0].value == "[email] [phone]" with input as doc with data.personal as wanted
	mcp.decision.patch[0].value == "[email] +4915112345678" with input as text_result(contact) with data.personal as wanted
	mcp.decision == {"allow": true} with input as object.union(doc, {"server": "other"}) with data.personal as wanted
	mcp.decision == {"allow": true} with input as doc
}

test_secrets_and_controls_with_personal_data if {
	text := "ali\u001b[0mce@example.org AKIAIOSFODNN7EXAMPLE"
	masked_text("email", text) == "[email] [redacted]"
}

test_roles_that_see_personal_data if {
	mcp.decision == {"allow": true} with input as text_result(contact)
		with data.personal as {"demo": {"*": ["email"]}}
		with data.roles.dev.sees_personal as {"demo": ["email"]}
	every sees in [{"demo": ["phone"]}, {"other": ["email"]}, {"demo": "email"}, ["email"], true] {
		mcp.decision.patch[0].value == "[email] +4915112345678" with input as text_result(contact)
			with data.personal as {"demo": {"*": ["email"]}}
			with data.roles.dev.sees_personal as sees
	}
}

test_malformed_personal_data_rules if {
	every kinds in [["emial"], ["email", null], "email", {"email": true, "x": 1}, true, null] {
		mcp.decision.reason == "personal_kind_unknown" with input as text_result("clean") with data.personal as {"demo": {"*": kinds}}
	}
}

test_personal_data_elsewhere if {
	wanted := {"demo": {"*": ["card", "email"]}}
	mcp.decision.patch == [
		{"op": "replace", "path": "/structuredContent/card", "value": "[card]"},
		{"op": "replace", "path": "/structuredContent/of", "value": "[email]"},
	] with input as answer({"structuredContent": {"card": 4111111111111111, "of": "a@b.de", "n": [4111111111111112, 7, 1.5]}})
		with data.personal as wanted
	mcp.decision.reason == "unclean_member_name" with input as answer({"structuredContent": {"a@b.de": 1}}) with data.personal as wanted
	mcp.decision.patch[0].path == "/message" with input as object.union(base, {
		"phase": "response",
		"kind": "resources/read",
		"error": {"code": 1, "message": "no a@b.de"},
	})
		with data.personal as wanted
	mcp.decision == {"allow": true} with input as call("echo", {"text": "a@b.de"}) with data.personal as wanted
}
