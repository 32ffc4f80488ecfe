package policy

import (
	"cmp"
	"fmt"
	"math/big"
	"regexp"
	"strings"
	"time"

	"golang.org/x/mod/semver"
)

var integer = regexp.MustCompile(`^[0-9]{1,100}$`)

// orderRevisions compares two revisions of one kind: integers by their value,
// semantic versions (with a v or without) by their precedence, RFC 3339 times
// by the instant. It returns what cmp.Compare would.
func orderRevisions(a, b string) (int, error) {
	kind := kindOf(a)
	if kind == "" {
		return 0, errNoOrder(a)
	}
	if other := kindOf(b); kind != other {
		return 0, fmt.Errorf("revision %q and revision %q cannot be ordered: one is %s, the other %s",
			a, b, kind, cmp.Or(other, "none of an integer, a semantic version and an RFC 3339 time"))
	}
	switch kind {
	case "an integer":
		x, _ := new(big.Int).SetString(a, 10)
		y, _ := new(big.Int).SetString(b, 10)
		return x.Cmp(y), nil
	case "a semantic version":
		return semver.Compare(withV(a), withV(b)), nil
	default:
		x, _ := time.Parse(time.RFC3339, a)
		y, _ := time.Parse(time.RFC3339, b)
		return x.Compare(y), nil
	}
}

func errNoOrder(revision string) error {
	return fmt.Errorf("revision %q cannot be ordered: it is not an integer, a semantic version or an RFC 3339 time", revision)
}

// kindOf is how a revision is ordered; empty: not at all.
func kindOf(revision string) string {
	if integer.MatchString(revision) {
		return "an integer"
	}
	if semver.IsValid(withV(revision)) {
		return "a semantic version"
	}
	if _, err := time.Parse(time.RFC3339, revision); err == nil {
		return "a time"
	}
	return ""
}

func withV(revision string) string { return "v" + strings.TrimPrefix(revision, "v") }
