package policy

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// starterSecrets are those of the starter policies.
func starterSecrets(t testing.TB) []*secret {
	t.Helper()
	raw, err := os.ReadFile("../../policies/data.json")
	if err != nil {
		t.Fatal(err)
	}
	var data struct{ Secrets map[string]string }
	if err := json.Unmarshal(raw, &data); err != nil || len(data.Secrets) == 0 {
		t.Fatalf("%d secrets: %v", len(data.Secrets), err)
	}
	var all []*secret
	for mark, pattern := range data.Secrets {
		all = append(all, newSecretFor(t, mark, pattern))
	}
	slices.SortFunc(all, func(a, b *secret) int { return strings.Compare(a.mark, b.mark) })
	return all
}

func newSecretFor(t testing.TB, mark, pattern string) *secret {
	t.Helper()
	k, err := newSecret(mark, pattern)
	if err != nil {
		t.Fatalf("%s: %v", pattern, err)
	}
	return k
}

// leads are patterns, and how many characters may stand before their mark: -1
// where the pattern does not tell.
var leads = []struct {
	mark, pattern string
	lead          int
}{
	{"ab", `ab`, 0},
	{"ab", `xxab(?:b|c)`, 2},
	{"é", `.éx?`, 1},
	{"é", `.é+x?`, -1},
	{"aa", `aa`, 0},
	{"aa", `a?aa\B`, 1},
	{"b", `\b[a-z]?b\b`, 1},
	{"b", `(?:\b|_|\\[nrt])b[a-z]*`, 2},
	{"x", `\Bx`, 0},
	{"x", `^x|x$`, -1},
	{"x", `^.?x`, 1},
	{"x", `\A(?:.x)`, 1},
	{"x", `(?m)^x.*$`, 0},
	{"x", `x\z`, 0},
	{"--", `--(?s:.*?)(?:--|$)`, 0},
	{"a", `a.*b`, 0},
	{"a", `(?s)..a.*b|c`, -1},
	{"a", `(?:a.*x|.)a`, -1},
	{"a", `(?s)(?:.|\n\n)a(?:.*x|.)`, 2},
	{"a", `a+?`, -1},
	{"a", `.{0,3}a`, -1},
	{"a", `.?.?.?a`, 3},
	{"AB", `(?i)ab`, -1},
	{"ab", `(?i:x)ab(?i:x)`, 1},
	{"ab", `(?U)ab.*b`, 0},
	{"ab", `\b((?P<n>x|yy)ab)\b`, 2},
	{"ab", `(?:ab|ac)+`, -1},
	{"ab", `(?:xy|_)ab`, 2},
	{"ab", `[^x]*ab`, -1},
	{"日本", `[日é]日本`, 1},
	{"a", `b`, -1},
	{"", `a*`, -1},
	{"a", `x?`, -1},
	{"b", `aaaaaaaaaaaaaaaaaaaaab`, -1},
	{"a\n", `.?a\n`, 1},
	{`\b`, `\\b`, 0},
	{`a"`, `xa"`, 1},
	{"/b", `a?/b`, 1},
}

func TestLead(t *testing.T) {
	for _, c := range leads {
		k := newSecretFor(t, c.mark, c.pattern)
		if got := k.lead; k.first == nil && c.lead != -1 || k.first != nil && got != c.lead {
			t.Errorf("%s in %s: %t, %d", c.mark, c.pattern, k.first != nil, got)
		}
	}
	for _, k := range starterSecrets(t) {
		if k.first == nil || k.lead > 2 {
			t.Errorf("%s in %s: %d", k.mark, k.pattern, k.lead)
		}
	}
}

func TestNoSecret(t *testing.T) {
	for _, pattern := range []any{nil, 1, "(", "a)(b", `(?=a)`, []any{"a"}, `a{2000}`} {
		if k, err := newSecret("a", pattern); err == nil {
			t.Errorf("%v: %+v", pattern, k)
		}
	}
}

// parts make texts that the patterns above match, nearly match and match in turns.
var parts = []string{
	"a", "aa", "ab", "b", "x", "y", "é", "日", "本", "😀", "_", " ", "\n", "\t", "\\", "\\n", `"`, "/", "-", "--", "B", "xab", "c", ".", "\r", "\f",
}

// secretText is a text of some of them and of the pieces of results.
func secretText(r *rand.Rand, k *secret) string {
	var b strings.Builder
	for range r.IntN(12) {
		switch n := r.IntN(8); {
		case n < 5:
			b.WriteString(parts[r.IntN(len(parts))])
		case n == 5:
			b.WriteString(k.mark)
		default:
			b.WriteString(pieces[r.IntN(len(pieces))])
		}
	}
	return b.String()
}

// checkNear compares what is found around marks with what the pattern alone
// finds, in a text and in the text as JSON writes it. It reports how often that
// was all to be found out, and whether there was something.
func checkNear(t testing.TB, k *secret, s string) (told int, found bool) {
	t.Helper()
	want := k.pattern.ReplaceAllLiteralString(s, redacted)
	all := k.everywhere(s)
	if got := value(t, passage{s, false}.without(all)).String(); got != want && !k.pattern.MatchString("") {
		t.Fatalf("%s in %q: %q, want %q", k.pattern, s, got, want)
	}
	quoted := string(mcp.AppendString(nil, s))
	for _, p := range []passage{{s, false}, {quoted[1 : len(quoted)-1], true}} {
		if p.escaped && spelt(p.s) {
			continue
		}
		places, ok := k.near(p, &reader{left: minReads + len(p.s)})
		if !ok {
			continue
		}
		told++
		got := value(t, p.without(places)).String()
		if len(places) != len(all) || got != want {
			t.Fatalf("%s in %q (escaped %t): %q, want %q", k.pattern, s, p.escaped, got, want)
		}
	}
	return told, len(all) > 0
}

// What is found around the marks is what the pattern matches.
func TestNear(t *testing.T) {
	secrets := starterSecrets(t)
	for _, c := range leads {
		secrets = append(secrets, newSecretFor(t, c.mark, c.pattern))
	}
	r := rand.New(rand.NewPCG(3, 4))
	for _, k := range secrets {
		told, found := 0, 0
		for range 1500 {
			n, some := checkNear(t, k, secretText(r, k))
			told += n
			if some && n > 0 {
				found++
			}
		}
		if k.first != nil && (told < 500 || found == 0 && len(k.mark) < 3) {
			t.Errorf("%s: told %d times, found %d times", k.pattern, told, found)
		}
	}
}

// The same of patterns put together at random.
func TestNearOfRandomPatterns(t *testing.T) {
	before := []string{``, `\b`, `\B`, `_`, `(?:\b|_|\\[nrt])`, `.?`, `[^a]`, `(?s:.)`, `^`, `(?m:^)`, `(?:x|yy)?`, `(?s:..?)?`}
	after := []string{``, `+`, `.*`, `[a-z]{2,}`, `(?s:.*?)b`, `\b`, `$`, `(?:b|$)`, `(?m:$)`, `(?s:.)`, `(?:.*x|.)`, `{2}`, `*?b`}
	r := rand.New(rand.NewPCG(7, 8))
	told, found := 0, 0
	for range 6000 {
		mark := []string{"a", "ab", "aba", "é", "--", "_"}[r.IntN(6)]
		k := newSecretFor(t, mark, before[r.IntN(len(before))]+mark+after[r.IntN(len(after))])
		n, some := checkNear(t, k, secretText(r, k))
		if told += n; n > 0 && some {
			found++
		}
	}
	if told < 6000 || found < 800 {
		t.Errorf("told %d times, found %d times", told, found)
	}
}

func FuzzNear(f *testing.F) {
	secrets := starterSecrets(f)
	for _, c := range leads {
		secrets = append(secrets, newSecretFor(f, c.mark, c.pattern))
	}
	r := rand.New(rand.NewPCG(5, 6))
	for i, k := range secrets {
		f.Add(uint8(i), secretText(r, k))
	}
	f.Fuzz(func(t *testing.T, i uint8, s string) {
		checkNear(t, secrets[int(i)%len(secrets)], strings.ToValidUTF8(s, ""))
	})
}

// A text that was made to have matches fail, each after a long way, is given up;
// one that has many marks by chance is not.
func TestNearGivesUp(t *testing.T) {
	for text, told := range map[string]bool{
		strings.Repeat("eyJ", 3000):                                             false,
		strings.Repeat("-----BEGIN A", 3000):                                    false,
		strings.Repeat("the task-list of a risk-averse\n", 3000):                true,
		strings.Repeat("sk-", 3000):                                             true,
		strings.Repeat("the key is AKIAIOSFODNN7EXAMPLE, and not AKIA\n", 3000): true,
		"-----BEGIN PRIVATE KEY-----" + strings.Repeat("AA", 10000):             true,
	} {
		for _, k := range starterSecrets(t) {
			if !strings.Contains(text, k.mark) {
				continue
			}
			if n, _ := checkNear(t, k, text); n > 0 != told {
				t.Errorf("%s in %.20q: told %d times", k.mark, text, n)
			}
		}
	}
}
