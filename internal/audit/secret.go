package audit

import (
	"strings"
	"unicode/utf8"
)

// secretKeys are parts of names, in lower case without what separates words, of
// members whose value is a secret.
var secretKeys = byFirst(
	"password", "passwd", "pwd", "passphrase", "passcode", "secret", "token", "apikey", "accesskey", "privatekey",
	"sshkey", "authorization", "cookie", "credential", "signature", "jwt", "requeststate", "taskid",
)

// secretNames are such names as a whole: within others they mean anything.
var secretNames = map[string]bool{"pass": true, "pin": true, "otp": true, "auth": true, "totp": true, "cvv": true, "cvc": true}

const maxSecretName = 4 // the length of the longest

// secretMarks are what well-known kinds of secrets begin with.
var secretMarks = byFirst(
	"-----BEGIN", "AKIA", "ASIA", "ghp_", "gho_", "ghs_", "github_pat_", "glpat-", "sk-", "xoxb-", "xoxp-", "AIza", "eyJ",
	"Bearer ", "bearer ", "Basic ",
)

// byFirst sorts texts by their first byte, so that one pass finds any of them.
func byFirst(texts ...string) (sorted [256][]string) {
	for _, t := range texts {
		sorted[t[0]] = append(sorted[t[0]], t)
	}
	return sorted
}

func begins[T string | []byte](s T, texts []string) bool {
	for _, t := range texts {
		if len(s) >= len(t) && string(s[:len(t)]) == t {
			return true
		}
	}
	return false
}

func secretKey(name string) bool {
	var few [64]byte
	bare := appendBare(few[:0], name)
	if len(bare) <= maxSecretName && secretNames[string(bare)] {
		return true
	}
	for i, c := range bare {
		if texts := secretKeys[c]; texts != nil && begins(bare[i:], texts) {
			return true
		}
	}
	return false
}

// appendBare adds a name in lower case, without what separates words.
func appendBare(b []byte, name string) []byte {
	for i := range len(name) {
		switch c := name[i]; {
		case c >= utf8.RuneSelf:
			return append(b, separators.Replace(strings.ToLower(name[i:]))...)
		case c >= 'A' && c <= 'Z':
			b = append(b, c+'a'-'A')
		case c != '-' && c != '_' && c != ' ' && c != '.':
			b = append(b, c)
		}
	}
	return b
}

var separators = strings.NewReplacer("-", "", "_", "", " ", "", ".", "")

// secretText reports whether a word of the text begins like a secret.
func secretText(s string) bool {
	for i := range len(s) {
		if texts := secretMarks[s[i]]; texts != nil && (i == 0 || !alphanumeric(s[i-1])) && begins(s[i:], texts) {
			return true
		}
	}
	return false
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
