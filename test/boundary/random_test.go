package boundary

import (
	"encoding/base64"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// rounds is how many random messages are sent.
const rounds = 2000

// TestRandom sends mutations of valid messages, the same ones in each run. What reaches the server means to
// every decoder what was judged and recorded.
func TestRandom(t *testing.T) {
	t.Parallel()
	p := newProbe(t, recorder(t))
	r := rand.New(rand.NewPCG(20260728, 8))
	for i := range rounds {
		m := mutant(r)
		m.name = fmt.Sprintf("random %d", i)
		p.send(t, m)
	}
	check(t, p.passages)
	t.Logf("%d of %d passed", len(p.passages), rounds)
	if len(p.passages) < rounds/10 || p.stopped < rounds/10 {
		t.Error("the mutations are too wild, or too tame")
	}
}

// seeds are what mutants come from.
var seeds = []string{
	`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"path":"/a","n":[1,2.5,-3],"o":{"k":null,"ok":true}}}}`,
	`{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"key","arguments":{"size":10,"secret":"x"},` + metaMember + `}}`,
	`{"jsonrpc":"2.0","id":2,"method":"resources/read","params":{"uri":"file:///srv/a%20b"}}`,
	`{"jsonrpc":"2.0","id":3,"method":"resources/read","params":{"uri":"test://x/y",` + metaMember + `}}`,
	`{"jsonrpc":"2.0","id":4,"method":"prompts/get","params":{"name":"p","arguments":{"who":"me"}}}`,
	`{"jsonrpc":"2.0","id":5,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"a","value":"b"}}}`,
	`{"jsonrpc":"2.0","id":6,"method":"tools/list","params":{"cursor":"c"}}`,
	`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"reason":"r"}}`,
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// mutant is a seed with a few mutations, with the headers that fit the seed or, more rarely, others.
func mutant(r *rand.Rand) posting {
	seed := pick(r, seeds)
	p := posting{headers: map[string]string{}}
	if strings.Contains(seed, "_meta") {
		p.headers = modernHeaders(seed)
	}
	tokens := tokenPattern.FindAllString(seed, -1)
	for range 1 + r.IntN(3) {
		tokens = pick(r, mutations)(r, slices.Clone(tokens))
	}
	p.text = strings.Join(tokens, "")
	if r.IntN(8) == 0 {
		p.text = damage(r, p.text)
	}
	if r.IntN(6) == 0 {
		mutateHeaders(r, p.headers)
	}
	return p
}

var tokenPattern = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^"{}\[\]:,]+`)

// where are the places of the tokens of a kind.
func where(tokens []string, is func(i int) bool) []int {
	var at []int
	for i := range tokens {
		if is(i) {
			at = append(at, i)
		}
	}
	return at
}

func namesOf(tokens []string) []int {
	return where(tokens, func(i int) bool { return i+1 < len(tokens) && tokens[i+1] == ":" })
}

func stringsOf(tokens []string) []int {
	return where(tokens, func(i int) bool { return strings.HasPrefix(tokens[i], `"`) })
}

func scalarsOf(tokens []string) []int {
	return where(tokens, func(i int) bool {
		return i > 0 && !strings.ContainsAny(tokens[i][:1], "{}[]:,") && (i+1 == len(tokens) || tokens[i+1] != ":")
	})
}

// change replaces one of the tokens at the places.
func change(r *rand.Rand, tokens []string, at []int, how func(string) string) []string {
	if len(at) > 0 {
		i := pick(r, at)
		tokens[i] = how(tokens[i])
	}
	return tokens
}

var mutations = []func(*rand.Rand, []string) []string{
	repeatMember, newMember, changeCase, escapeString, addSpace, otherValue, nest, otherNumber, plainText, reorder, plainText, addSpace, escapeString,
}

// repeatMember adds a member of a name that is there, or nearly, with another value.
func repeatMember(r *rand.Rand, tokens []string) []string {
	at := namesOf(tokens)
	if len(at) == 0 {
		return tokens
	}
	i := pick(r, at)
	name := tokens[i]
	if r.IntN(2) == 0 {
		name = twist(r, name)
	}
	return slices.Insert(tokens, i, name, ":", pick(r, values), ",")
}

// newMember adds a member whose name has a meaning somewhere.
func newMember(r *rand.Rand, tokens []string) []string {
	at := namesOf(tokens)
	if len(at) == 0 {
		return tokens
	}
	name := pick(r, []string{
		"name", "Name", "uri", "arguments", "args", "method", "params", "id", "_meta", "meta", "constructor", "__proto__", "toJSON", "a", "",
		"na_me", "task", "taskId", "inputResponses", "input_responses", "requestState", "$ref", "result", "x\\u0000", "x\\u200d", "\\ud800",
	})
	return slices.Insert(tokens, pick(r, at), `"`+name+`"`, ":", pick(r, values), ",")
}

func changeCase(r *rand.Rand, tokens []string) []string {
	return change(r, tokens, namesOf(tokens), func(s string) string { return twist(r, s) })
}

// twist changes one character of a name to one that is the same where case is ignored, to a lookalike, or by
// an underscore.
func twist(r *rand.Rand, name string) string {
	letters := []rune(strings.Trim(name, `"`))
	if len(letters) == 0 {
		return name
	}
	i := r.IntN(len(letters))
	c := string(letters[i])
	switch r.IntN(3) {
	case 0:
		if other, ok := lookalikes[c]; ok {
			c = other
		}
	case 1:
		c = strings.ToUpper(c)
	case 2:
		c = "_" + c
	}
	return `"` + string(letters[:i]) + c + string(letters[i+1:]) + `"`
}

var lookalikes = map[string]string{"s": "\u017f", "k": "\u212a", "i": "\u0131", "a": "\u0430", "e": "\uff45"}

// escapeString writes some characters of a string as escapes.
func escapeString(r *rand.Rand, tokens []string) []string {
	return change(r, tokens, stringsOf(tokens), func(s string) string {
		var b strings.Builder
		for i, c := range s {
			if i == 0 || i == len(s)-1 || c == '\\' || strings.Contains(s, `\`) || r.IntN(3) > 0 {
				b.WriteRune(c)
				continue
			}
			fmt.Fprintf(&b, pick(r, []string{`\u%04x`, `\u%04X`}), c)
		}
		return b.String()
	})
}

func addSpace(r *rand.Rand, tokens []string) []string {
	common := []string{" ", "\n", "\r\n", "\t", "\r", "  "}
	if r.IntN(10) == 0 {
		common = []string{"\f", "\v", "\u00a0", "\u2028", "\ufeff", "\x00", "//x\n", "/**/", "#\n"}
	}
	return slices.Insert(tokens, r.IntN(len(tokens)+1), pick(r, common))
}

var values = []string{
	`1`, `0`, `-0`, `1.0`, `1e2`, `1E400`, `1e-400`, `01`, `+1`, `.5`, `5.`, `0x10`, `NaN`, `null`, `true`, `"x"`, `""`, `"echo"`, `"tools/list"`,
	`{}`, `[]`, `{"name":"other"}`, `["a"]`, `{"a":1,"a":2}`, `{"a":1,"A":2}`, `9007199254740993`, `12345678901234567890`, `0.1`, `"\u0000"`,
	`"\ud83d\ude00"`, `"\ud83d"`, `{"__proto__":{"x":1}}`, `{"constructor":{"prototype":{}}}`, `[[[[1]]]]`, `"a\nb"`, `'x'`,
}

func otherValue(r *rand.Rand, tokens []string) []string {
	return change(r, tokens, scalarsOf(tokens), func(string) string { return pick(r, values) })
}

func nest(r *rand.Rand, tokens []string) []string {
	depth := pick(r, []int{1, 2, 20, 100, 140})
	return change(r, tokens, scalarsOf(tokens), func(s string) string {
		if r.IntN(2) == 0 {
			return strings.Repeat("[", depth) + s + strings.Repeat("]", depth)
		}
		return strings.Repeat(`{"a":`, depth) + s + strings.Repeat("}", depth)
	})
}

func otherNumber(r *rand.Rand, tokens []string) []string {
	numbers := where(tokens, func(i int) bool { return strings.ContainsAny(tokens[i][:1], "-0123456789") })
	return change(r, tokens, numbers, func(s string) string {
		return fmt.Sprintf(pick(r, []string{"%s.0", "%s0", "%se0", "%sE+1", "%s.", "0%s", "-%s", "%s00000000000000000000", "%s.1e-5", "%se999"}), s)
	})
}

// plainText replaces a string by one that is harmless, or looks so.
func plainText(r *rand.Rand, tokens []string) []string {
	return change(r, tokens, scalarsOf(tokens), func(string) string {
		return `"` + pick(r, []string{"echo", "Echo", "écho", " echo", "a/b", "../x", "e\u0301", "\u202ex", "日本", "😀", `\"`, `\\`, "sk-1", "http://u:p@h/?q"}) + `"`
	})
}

// reorder moves the first member of the envelope to its end.
func reorder(_ *rand.Rand, tokens []string) []string {
	if len(tokens) < 6 || tokens[0] != "{" || tokens[4] != "," {
		return tokens
	}
	first := slices.Clone(tokens[1:4])
	rest := tokens[5 : len(tokens)-1]
	return slices.Concat([]string{"{"}, rest, []string{","}, first, []string{"}"})
}

// damage cuts, repeats or changes bytes.
func damage(r *rand.Rand, text string) string {
	if text == "" {
		return text
	}
	i := r.IntN(len(text))
	switch r.IntN(6) {
	case 0:
		return text[:i]
	case 1:
		return text + pick(r, []string{text, "\n", "\x00", "}", ",", "null", " ", "\ufeff", "//"})
	case 2:
		return pick(r, []string{"\ufeff", " ", "\x00", "[", ")]}'\n", "\x1e"}) + text
	case 3:
		return text[:i] + string([]byte{byte(r.IntN(256))}) + text[i+1:]
	case 4:
		return text[:i] + text[i+1:]
	}
	return text[:i] + text[i:i+1] + text[i:]
}

// mutateHeaders makes the headers say something else, or the same in another way.
func mutateHeaders(r *rand.Rand, h map[string]string) {
	names := slices.Sorted(maps.Keys(h))
	name := pick(r, append(names, "Mcp-Method", "Mcp-Name", "Mcp-Protocol-Version", "Mcp-Session-Id", "Mcp_Name", "Mcp-Param-Path"))
	switch r.IntN(4) {
	case 0:
		delete(h, name)
	case 1:
		h[name] = "=?base64?" + base64.StdEncoding.EncodeToString([]byte(h[name])) + "?="
	case 2:
		h[name] = pick(r, []string{"", "echo", "ping", "tools/call", legacy, modern, "9999-99-99", "2025-03-26", "=?base64?!!?="})
	case 3:
		h[name] = strings.ToUpper(h[name])
	}
}
