package mcp_test

import data.mcp

answer(response) := object.union(base, {"phase": "response", "kind": "tools/call", "response": response})

text_result(text) := answer({"content": [{"type": "text", "text": text}]})

# What a client sees in place of the text.
shown(text) := clean if {
	clean := mcp.decision.patch[0].value with input as text_result(text)
}

character(code) := json.unmarshal(sprintf(`"\u%04x"`, [code]))

test_clean_text_is_left_alone if {
	every text in [
		"", "ALERT", "tab\tand\nline\r\nends", "日本語 é ñ ✓ 👍", `C:\build\new\form \u001b \r`,
		"a task-manager, the bearer of news, clearer", "-----BEGIN CERTIFICATE-----", "<b>&amp;</b>",
		"disk-0f8fad5b-d9cd-469f-a165-70867728950e", "a\u202fb", "\u2028", "100%", "%C2%9B%7F",
	] {
		mcp.decision == {"allow": true} with input as text_result(text)
	}
}

test_results_of_any_shape if {
	every response in [{}, [], null, "text", 1, true, {"content": "text"}, {"content": {"text": [1]}}] {
		mcp.decision == {"allow": true} with input as answer(response)
	}
}

test_the_alert if {
	mcp.decision == {
		"allow": true,
		"patch": [{"op": "replace", "path": "/content/0/text", "value": "ALERT"}],
	} with input as text_result("\u001b[31mALERT\u001b[0m")
}

test_escape_sequences if {
	cases := {
		"a\u001b[1;31mb": "ab", # CSI
		"a\u001b[?25lb": "ab",
		"a\u009b31mb": "ab", # CSI, one character
		"a\u001b]0;title\u0007b": "ab", # OSC up to BEL
		"a\u001b]8;;http://x\u001b\\b": "ab", # OSC up to ST
		"a\u009d0;title\u009cb": "ab", # OSC, one character
		"a\u001bP1$r0m\u001b\\b": "ab", # DCS
		"a\u001b_x\u001b\\b": "ab", # APC
		"a\u001b(Bb": "ab", # character set
		"a\u001bcb": "ab", # reset
		"a\u001b": "a",
		"a\u001b\u001b[31mb": "ab",
		"a\u001b[31": "a",
		"a\u001b]0;open\nb": "a\nb",
		"a\u001b\u0000[31mb": "a[31mb", # what a removal leaves is inert
	}
	every text, want in cases {
		got := shown(text)
		got == want
	}
}

# All of them, because the cheap look must see what the full pass removes.
test_every_control_character if {
	codes := {code |
		some code in array.concat(numbers.range(0, 31), numbers.range(127, 159))
		not code in {9, 10, 13}
	}
	every code in codes {
		got := shown(concat("", ["a", character(code)]))
		got == "a"
	}
}

test_lone_returns if {
	every text, want in {"safe\rEVIL": "safe\nEVIL", "a\r": "a\n", "a\r\rb\r\nc": "a\nb\r\nc"} {
		got := shown(text)
		got == want
	}
}

test_hidden_text if {
	every text in [
		"a\u202eb", "a\u202ab", "a\u2066b", "a\u2069b", "a\u007fb", "a\u0085b",
		json.unmarshal(`"a\udb40\udc41b"`), json.unmarshal(`"a\udb40\udc01b"`),
	] {
		got := shown(text)
		got == "ab"
	}
}

# Samples are put together here, so that no scanner takes this file for a leak.
secret_samples := {
	"-----BEGIN ": concat("", ["-----BEGIN RSA ", "PRIVATE KEY-----\nMIIE\n-----END RSA ", "PRIVATE KEY-----"]),
	"AIza": concat("", ["AI", "zaSyA-1234567890abcdefghijklmnopqrstu_v"]),
	"AKIA": concat("", ["AK", "IAIOSFODNN7EXAMPLE"]),
	"ASIA": concat("", ["AS", "IAIOSFODNN7EXAMPLE"]),
	"earer": concat("", ["Bear", "er abcdefghijklmnopqrstuvwxyz012345"]),
	"eyJ": concat("", ["ey", "JhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9"]),
	"gho_": concat("", ["gh", "o_abcdefghijklmnopqrstuvwxyz0123456789"]),
	"ghp_": concat("", ["gh", "p_abcdefghijklmnopqrstuvwxyz0123456789"]),
	"ghr_": concat("", ["gh", "r_abcdefghijklmnopqrstuvwxyz0123456789"]),
	"ghs_": concat("", ["gh", "s_abcdefghijklmnopqrstuvwxyz0123456789"]),
	"ghu_": concat("", ["gh", "u_abcdefghijklmnopqrstuvwxyz0123456789"]),
	"github_pat_": concat("", ["github_", "pat_11ABCDEFG0abcdefghijkl_mnopqrstuvwxyz"]),
	"glpat-": concat("", ["gl", "pat-abcdefghij0123456789"]),
	"k_live_": concat("", ["sk_", "live_abcdefghijklmnop01234567"]),
	"sk-": concat("", ["s", "k-proj-abcdefghijklmnopqrstuvwxyz"]),
	"xox": concat("", ["xo", "xb-123456789012-abcdefghij"]),
}

test_every_secret_has_a_sample if object.keys(secret_samples) == object.keys(data.secrets)

test_every_secret if {
	every secret in secret_samples {
		got := shown(concat("", ["key=", secret, " end"]))
		got == "key=[redacted] end"
	}
}

# JSON within a text: the character before the secret is the n of an escape.
test_secrets_after_an_escape if {
	every secret in secret_samples {
		got := shown(concat("", [`{"k":"\n`, secret, `"}`]))
		contains(got, "[redacted]")
		not contains(got, secret)
	}
}

test_secrets_taken_apart_by_controls if {
	every secret in secret_samples {
		every control in ["\u001b[0m", "\u0000", "\u009b1m", "\u202e", "\u007f"] {
			apart := concat("", [substring(secret, 0, 2), control, substring(secret, 2, -1)])
			got := shown(apart)
			got == "[redacted]"
		}
	}
}

test_private_key_without_an_end if {
	got := shown(concat("", ["x -----BEGIN ", "PRIVATE KEY-----\nMIIEv\nQIBADANBg"]))
	got == "x [redacted]"
}

# The markers are looked for in JSON text, where other characters may be escaped.
test_markers_are_plain_and_in_their_patterns if {
	every marker, pattern in data.secrets {
		regex.match(`^[A-Za-z0-9_ -]{3,}$`, marker)
		contains(pattern, marker)
		regex.is_valid(pattern)
	}
}

test_every_string_counts if {
	dirty := "\u001b[1mx"
	response := {
		"content": [
			{"type": "text", "text": dirty},
			{"type": "resource", "resource": {"text": dirty}},
		],
		"structuredContent": {"a/b": {"m~n": [1, dirty]}},
		"instructions": dirty,
	}
	patch := mcp.decision.patch with input as answer(response)
	paths := {op.path | some op in patch}
	paths == {"/content/0/text", "/content/1/resource/text", "/structuredContent/a~1b/m~0n/1", "/instructions"}
}

test_the_patch_is_what_cleaning_means if {
	response := {"a": "\u001b[1mx", "b": {"c/d": ["\u009b1my", "z"]}}
	patch := mcp.decision.patch with input as answer(response)
	patched := json.patch(response, patch)
	patched == {"a": "x", "b": {"c/d": ["y", "z"]}}
	mcp.decision == {"allow": true} with input as answer(patched)
}

test_errors_are_cleaned if {
	patch := mcp.decision.patch with input as object.union(base, {
		"phase": "response",
		"kind": "tools/call",
		"error": {"code": -32603, "message": "\u001b[1mno", "data": {"key": secret_samples.AKIA}},
	})
	patch == [
		{"op": "replace", "path": "/data/key", "value": "[redacted]"},
		{"op": "replace", "path": "/message", "value": "no"},
	]
}

test_notifications_are_cleaned if {
	patch := mcp.decision.patch with input as object.union(base, {
		"phase": "response",
		"kind": "notifications/message",
		"response": {"level": "info", "data": "\u001b[1mx"},
	})
	patch == [{"op": "replace", "path": "/data", "value": "x"}]
}

test_opaque_values_keep_their_bytes if {
	token := secret_samples.eyJ
	mcp.decision == {"allow": true} with input as answer({"requestState": token, "nextCursor": token})
	patch := mcp.decision.patch with input as answer({"a": {"nextCursor": token}, "nextCursor": "\u001bcx"})
	patch == [
		{"op": "replace", "path": "/a/nextCursor", "value": "[redacted]"},
		{"op": "replace", "path": "/nextCursor", "value": "x"},
	]
}

test_unclean_member_names if {
	every name in ["\u001b[1mx", "\u009b", secret_samples.AKIA] {
		mcp.decision == {
			"allow": false,
			"reason": "unclean_member_name",
			"code": "policy_deny",
		} with input as answer({"structuredContent": {name: 1}})
	}
}

test_unclean_server_request if {
	every message in ["\u001b[2JEnter your password", secret_samples.AKIA] {
		mcp.decision == {
			"allow": false,
			"reason": "unclean_server_request",
			"code": "policy_deny",
		} with input as object.union(base, {
			"phase": "server_request",
			"kind": "elicitation/create",
			"params": {"message": message},
		})
	}
}

# Requests are not cleaned: an argument reaches the server as the caller wrote it.
test_requests_keep_their_text if {
	mcp.decision == {"allow": true} with input as call("echo", {"text": "\u001b[1mx"})
}

scanned(doc, scan) := object.union(doc, {"scan": scan})

test_a_clean_scan_is_relied_upon if {
	mcp.decision == {"allow": true} with input as scanned(
		text_result("\u001b[31mALERT\u001b[0m"),
		{"plain": true, "marks": []},
	)
}

test_any_other_scan_leads_to_a_walk if {
	every scan in [
		null, true, [], {}, {"plain": true}, {"marks": []}, {"plain": "true", "marks": []},
		{"plain": false, "marks": []}, {"plain": true, "marks": {}}, {"plain": true, "marks": null},
	] {
		got := mcp.decision.patch[0].value with input as scanned(text_result("\u001b[31mALERT\u001b[0m"), scan)
		got == "ALERT"
	}
}

# Without controls the marks of a scan say which secrets to look for.
test_the_marks_of_a_scan if {
	doc := text_result("key AKIAIOSFODNN7EXAMPLE")
	every marks in [["AKIA"], ["AKIA", "sk-"], ["of", "AKIA", "another bundle"]] {
		got := mcp.decision.patch[0].value with input as scanned(doc, {"plain": true, "marks": marks})
		got == "key [redacted]"
	}
	mcp.decision == {"allow": true} with input as scanned(doc, {"plain": true, "marks": ["sk-"]})
	got := mcp.decision.patch[0].value with input as scanned(doc, {"plain": false, "marks": []})
	got == "key [redacted]"
}

test_the_scan_of_a_server_request if {
	ask := object.union(base, {
		"phase": "server_request",
		"kind": "elicitation/create",
		"params": {"message": "\u001b[2JEnter your password"},
	})
	mcp.decision.allow with input as scanned(ask, {"plain": true, "marks": []})
	not mcp.decision.allow with input as scanned(ask, {"plain": false, "marks": []})
}

# Where nothing but marks was found, the gateway redacts.
test_a_scan_with_marks_alone if {
	doc := text_result("key AKIAIOSFODNN7EXAMPLE")
	every marks, redact in {["AKIA"]: ["AKIA"], ["sk-", "AKIA"]: ["AKIA", "sk-"], ["of", "AKIA", 1]: ["AKIA"]} {
		scan := {"plain": true, "marks": marks, "named": false}
		mcp.decision == {"allow": true, "redact": redact} with input as scanned(doc, scan)
	}
	every marks in [[], ["another bundle"]] {
		scan := {"plain": true, "marks": marks, "named": false}
		mcp.decision == {"allow": true} with input as scanned(doc, scan)
	}
}

test_a_scan_that_found_more_leads_to_a_walk if {
	doc := text_result("key AKIAIOSFODNN7EXAMPLE")
	every more in [{"plain": false}, {"named": true}, {"named": null}, {"named": "false"}] {
		scan := object.union({"plain": true, "marks": ["AKIA"], "named": false}, more)
		got := mcp.decision.patch[0].value with input as scanned(doc, scan)
		got == "key [redacted]"
	}
	mail := text_result("a@b.de AKIAIOSFODNN7EXAMPLE")
	got := mcp.decision.patch[0].value with input as scanned(mail, {"plain": true, "marks": ["AKIA"], "named": false})
		with data.personal as {"*": {"*": ["email"]}}
	got == "[email] [redacted]"
}

test_a_scan_with_marks_in_names if {
	mcp.decision.reason == "unclean_member_name" with input as scanned(
		answer({"structuredContent": {secret_samples.AKIA: 1}}),
		{"plain": true, "marks": ["AKIA"], "named": true},
	)
}

test_only_responses_are_redacted if {
	ask := object.union(base, {
		"phase": "server_request",
		"kind": "elicitation/create",
		"params": {"message": secret_samples.AKIA},
	})
	mcp.decision.reason == "unclean_server_request" with input as scanned(
		ask,
		{"plain": true, "marks": ["AKIA"], "named": false},
	)
}
