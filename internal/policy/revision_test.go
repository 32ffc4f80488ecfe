package policy

import (
	"strings"
	"testing"
)

func TestOrderRevisions(t *testing.T) {
	for _, ascending := range [][]string{
		{"0", "1", "9", "10", "20261123", "99999999999999999999999", "100000000000000000000000"},
		{"v1.0.0-alpha", "1.0.0-alpha.1", "v1.0.0-rc.2", "1.0.0-rc.10", "1.0.0", "1.0.1", "v1.9.0", "1.10.0", "v2"},
		{"2026-11-23T10:00:00+02:00", "2026-11-23T09:00:00Z", "2026-11-23T09:00:00.5Z", "2026-11-24T00:00:00Z"},
	} {
		for i, a := range ascending {
			for j, b := range ascending {
				got, err := orderRevisions(a, b)
				if want := sign3(i - j); err != nil || got != want {
					t.Errorf("%s and %s: %d, %v, want %d", a, b, got, err, want)
				}
			}
		}
	}
	for _, same := range [][2]string{
		{"1", "01"}, {"1.2.3", "v1.2.3"}, {"1.0.0+a", "1.0.0+b"}, {"2026-11-23T10:00:00+01:00", "2026-11-23T09:00:00Z"},
	} {
		if got, err := orderRevisions(same[0], same[1]); got != 0 || err != nil {
			t.Errorf("%v: %d, %v", same, got, err)
		}
	}
	for _, none := range [][2]string{
		{"", "1"},
		{"1", ""},
		{"3f2a91c", "1"},
		{"1", "1.0.0"},
		{"1.0.0", "2026-11-23T09:00:00Z"},
		{"-1", "1"},
		{"1.0.0.0", "1.0.0.1"},
		{"2026-11-23", "2026-11-24"},
		{"vv1", "vv2"},
		{strings.Repeat("9", 101), "1"},
		{" 1", "1"},
	} {
		if got, err := orderRevisions(none[0], none[1]); err == nil || !strings.Contains(err.Error(), "cannot be ordered") {
			t.Errorf("%v: %d, %v", none, got, err)
		}
	}
}

func sign3(n int) int { return min(1, max(-1, n)) }

func TestParseRevocations(t *testing.T) {
	sum := strings.Repeat("ab", 32)
	list := parseRevocations([]byte("# all\r\n1\r\n\n  v2  # bad\n#3\na#b\nsha256:" + strings.ToUpper(sum)))
	for revision, want := range map[string]bool{"1": true, "v2": true, "a#b": true, "3": false, "#3": false, "": false, "bad": false} {
		if err := list.check(revision, "00"); (err != nil) != want {
			t.Errorf("%q: %v", revision, err)
		}
	}
	if err := list.check("x", sum); err == nil {
		t.Error("the digest is not revoked")
	}
	if err := revocations(nil).check("x", sum); err != nil {
		t.Error(err)
	}
}
