package audit

import (
	"slices"
	"strings"
	"testing"
)

// What secretKey and secretText find in one pass, in as many as there are texts
// to find.
func slowKey(name string) bool {
	name = separators.Replace(strings.ToLower(name))
	return secretNames[name] || slices.ContainsFunc(slices.Concat(secretKeys[:]...), func(part string) bool { return strings.Contains(name, part) })
}

func slowText(s string) bool {
	return slices.ContainsFunc(slices.Concat(secretMarks[:]...), func(mark string) bool {
		for rest := s; ; {
			i := strings.Index(rest, mark)
			if i < 0 {
				return false
			}
			if at := len(s) - len(rest) + i; at == 0 || !alphanumeric(s[at-1]) {
				return true
			}
			rest = rest[i+1:]
		}
	})
}

func FuzzSecret(f *testing.F) {
	for _, s := range []string{
		"", "pin", "PASS", "spin", "X-API-Key", "api.key", "\u212aey", "to\u212aen", "TO\u212aEN", "pass\u017fword", "task_id-\xff", "\xffpwd",
		"Bearer", "Bearer x", "xBearer x", "a sk-sk-1", "risk-sk-", "-----BEGIN", "\u00e9AKIA", "\xe9AKIA", "ghghp_", "eyeyJ", "-eyJ",
		strings.Repeat("long", 30) + "Secret", strings.Repeat("-", 70) + "jwt",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got := secretKey(s); got != slowKey(s) {
			t.Errorf("secretKey(%q) = %t", s, got)
		}
		if got := secretText(s); got != slowText(s) {
			t.Errorf("secretText(%q) = %t", s, got)
		}
	})
}
