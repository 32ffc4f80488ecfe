package policy

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// starter is the starter policies.
func starter(t testing.TB) *Snapshot {
	t.Helper()
	files := starterFiles(t)
	raw, err := os.ReadFile("../../policies/data.json")
	if err != nil {
		t.Fatal(err)
	}
	files["data.json"] = string(raw)
	return load(t, files)
}

// starterFiles are those of the starter policies, without their data.
func starterFiles(t testing.TB) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("../../policies/*.rego")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no starter policies: %v", err)
	}
	files := map[string]string{}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(path, "_test.rego") {
			files[filepath.Base(path)] = string(raw)
		}
	}
	return files
}

func TestScan(t *testing.T) {
	c := newScanner(map[string]any{"secrets": map[string]any{"AKIA": "", "sk-": "", "é!": "", "x": "", "-----BEGIN": ""}})
	for _, tc := range []struct {
		text  string // of a JSON value
		plain bool
		marks string
	}{
		{`{}`, true, ""},
		{`[1,true,null,"",{"a":{}}]`, true, ""},
		{`"tab\tline\nreturn\r\nend"`, true, ""},
		{`"\\u001b \\r \\b \"\/"`, true, ""},
		{`"日本語 é ñ 👍 \u00a0 \u200b \u2028 \u202f \u2065 \u206a \u2029"`, true, ""},
		{`"\ud83d\ude00 \udb40\udc80 \udb3f\udfff"`, true, ""}, // U+E0080 and U+DFFFF are no tags
		{`"\u0000"`, false, ""},
		{`"a\u001b"`, false, ""},
		{`["a",{"b":["\u0008"]}]`, false, ""},
		{`"\r"`, false, ""},
		{`"a\r\r\n"`, false, ""},
		{`"a\rb"`, false, ""},
		{`["\r","\n"]`, false, ""},
		{`"\u007f"`, false, ""},
		{"\"\u007f\"", false, ""},
		{"\"\u0080\"", false, ""},
		{"\"a\u009f\"", false, ""},
		{"\"\u202a\"", false, ""},
		{"\"\u202e\"", false, ""},
		{"\"\u2066\"", false, ""},
		{"\"\u2069\"", false, ""},
		{"\"\U000e0000\"", false, ""},
		{`"\udb40\udc7f"`, false, ""},
		{"{\"\u202e\":1}", false, ""},
		{`"AKIA"`, true, "AKIA"},
		{`"AKI"`, true, ""},
		{`["AK","IA"]`, true, ""},
		{`"\u0041KI\u0041"`, true, "AKIA"},
		{`{"a AKIA":1}`, true, "AKIA"},
		{`{"a":{"b":["c sk-", "AKIA"]}}`, true, "AKIA sk-"},
		{`"-----BEGIN X"`, true, "-----BEGIN"},
		{`"-----BEGI"`, true, ""},
		{`"é!"`, true, "é!"},
		{`"endx"`, true, "x"},
		{`"\u001bAKIA"`, false, "AKIA"},
		{`"\nsk-\tAKIA"`, true, "AKIA sk-"},
		{`"AK\nIA \\nAKIA\\"`, true, "AKIA"},
		{`"a\r\nb\r\\n"`, false, ""},
		{`"\b"`, false, ""},
		{`"\f"`, false, ""},
	} {
		for _, in := range []Input{
			{Phase: Response, Response: value(t, tc.text)},
			{Phase: Response, Error: value(t, tc.text)},
			{Phase: ServerRequest, Params: value(t, tc.text)},
		} {
			s := c.of(&in)
			if got := strings.Join(s.marks, " "); s.plain != tc.plain || got != tc.marks {
				t.Errorf("%s: plain %t, marks %q", tc.text, s.plain, got)
			}
		}
	}
	for _, in := range []Input{{Phase: Request, Params: value(t, `"AKIA"`)}, {Phase: Response}, {Phase: ServerRequest}} {
		if s := c.of(&in); s != nil {
			t.Errorf("%s: %+v", in.Phase, s)
		}
	}
}

// Marks that JSON writes in more than one way are found all the same.
func TestScanOfEscapedMarks(t *testing.T) {
	c := newScanner(map[string]any{"secrets": map[string]any{"a/b": "", "q": ""}})
	d := newScanner(map[string]any{"secrets": map[string]any{"\n--": "", `"k"`: "", `\x`: "", "n-": ""}})
	for _, tc := range []struct {
		c           *scanner
		text, marks string
	}{
		{c, `"a/b"`, "a/b"},
		{c, `"a\/b \u0071"`, "a/b q"},
		{c, `"a\\/b"`, ""},
		{d, `"\n--"`, "\n-- "},
		{d, `"\\n--"`, "n- "},
		{d, `"\u000a--"`, "\n-- "},
		{d, `"\"k\" \\x"`, `"k" \x `},
	} {
		s := tc.c.of(&Input{Phase: Response, Response: value(t, tc.text)})
		if got := strings.Join(s.marks, " "); strings.TrimSpace(got) != strings.TrimSpace(tc.marks) || !s.plain {
			t.Errorf("%s: plain %t, marks %q", tc.text, s.plain, got)
		}
	}
}

// A bundle may have anything for its secrets.
func TestScanOfOddSecrets(t *testing.T) {
	in := &Input{Phase: Response, Response: value(t, `["b"]`)}
	for _, c := range []struct {
		secrets any
		want    []string
	}{
		{nil, nil},
		{[]any{"b"}, nil},
		{map[string]any{"": "", "b": 1}, []string{"", "b"}},
	} {
		if s := newScanner(map[string]any{"secrets": c.secrets}).of(in); !s.plain || !slices.Equal(s.marks, c.want) {
			t.Errorf("%v: %+v", c.secrets, s)
		}
	}
}

// The scan belongs to the message, not to those before it.
func TestScanIsOfThisMessage(t *testing.T) {
	s := rego(t, `decision := {"allow": true, "reason": json.marshal(object.get(input, "scan", "none"))}`)
	in := call(t, "x", `{}`)
	for _, c := range []struct{ response, want string }{
		{``, `"none"`},
		{`{"a":"\u001b"}`, `{"marks":[],"plain":false}`},
		{`{"a":"b"}`, `{"marks":[],"plain":true}`},
		{``, `"none"`},
	} {
		in.Response = mcp.Value{}
		if c.response != "" {
			in.Response = value(t, c.response)
		}
		if d := s.Decide(in); d.Reason != c.want {
			t.Errorf("scan of %s: %s", c.response, d.Reason)
		}
	}
}

// No character that the scan takes for plain is one that the long way changes.
func TestScanOfEveryCharacter(t *testing.T) {
	s := starter(t)
	var text strings.Builder
	for c := range rune(unicode.MaxRune + 1) {
		if utf8.ValidRune(c) && !hides(c) {
			text.WriteRune(c)
		}
		if text.Len() < 1<<20 && c < unicode.MaxRune {
			continue
		}
		in := call(t, "echo", `{}`)
		in.Phase, in.Response = Response, value(t, string(mcp.AppendString(nil, text.String())))
		if d := s.evaluate(in); !d.Allow || d.Patch != "" {
			t.Errorf("up to %U: %t, a patch of %d bytes, %v", c, d.Allow, len(d.Patch), d.Err)
		}
		text.Reset()
	}
}

// pieces are what results are made of: text of which some is a secret, part of
// one, or looks like one, and characters that hide or come near those that do.
var pieces = []string{
	"a", "plain text ", "é", "日本", "😀", "\t", "\n", "\r\n", "\r", "\\", `\u001b`, `"`, "<b>&", "%C2%9B", "\u2028", "\u202f", "\u2070",
	"\x00", "\x07", "\b", "\f", "\x1b", "\x1b[31m", "\x1b]0;t\x07", "\x7f", "\u0080", "\u009b1m", "\u009f", "\u00a0", "\u202a", "\u202e",
	"\u2066", "\u2069", "\u206a", "\U000e0000", "\U000e007f", "\U000e0080", "\U000f0041",
	"AKIA", "AK", "IA", "IOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE", "task-", "sk-", "abcdefghijklmnopqrstuvwxyz0123456789", "ghp_", "gh", "p_",
	"Bearer ", "earer", "eyJ", "xoxb-", "xo", "-----BEGIN ", "PRIVATE KEY-----", "-----END PRIVATE KEY-----", "glpat-", "k_live_", "sAIza",
}

func randomText(r *rand.Rand) string {
	var text strings.Builder
	for range r.IntN(5) {
		text.WriteString(pieces[r.IntN(len(pieces))])
	}
	return text.String()
}

// randomJSON is the text of a value. The strict parser takes no controls in names.
func randomJSON(r *rand.Rand, depth int) string {
	kind := r.IntN(8)
	if depth == 0 {
		kind = 7
	}
	var b strings.Builder
	switch {
	case kind < 3:
		b.WriteByte('[')
		for i := range r.IntN(4) {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(randomJSON(r, depth-1))
		}
		b.WriteByte(']')
	case kind < 6:
		b.WriteByte('{')
		for i := range r.IntN(4) {
			if i > 0 {
				b.WriteByte(',')
			}
			name := []string{"text", "a/b", "nextCursor", "AKIAIOSFODNN7EXAMPLE", "\u202ex", "ghp_"}[r.IntN(6)] + strconv.Itoa(i)
			b.Write(append(mcp.AppendString(nil, name), ':'))
			b.WriteString(randomJSON(r, depth-1))
		}
		b.WriteByte('}')
	case kind == 6:
		return []string{"1", "-2.5e3", "true", "null", `"\u0041KIA\u0049OSFODNN7EXAMPLE"`, `"\u001B[1m"`}[r.IntN(6)]
	default:
		return string(mcp.AppendString(nil, randomText(r)))
	}
	return b.String()
}

// The starter policies decide the same with the scan and without: it never
// hides what the long way would find.
func TestScanDifferential(t *testing.T) {
	s := starter(t)
	clean, patched, denied := 0, 0, 0
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		text := randomJSON(r, 3)
		v, err := mcp.ParseValue(text)
		if err != nil {
			continue
		}
		in := call(t, "echo", `{}`)
		in.Kind = "tools/call"
		switch r.IntN(4) {
		case 0:
			in.Phase, in.Error = Response, v
		case 1:
			in.Phase, in.Kind, in.Server, in.Params = ServerRequest, "elicitation/create", "demo", v
		default:
			in.Phase, in.Response = Response, v
		}
		want := s.evaluate(in) // without: only Decide scans
		got := s.Decide(in)
		got.Eval = 0
		if got != want {
			t.Fatalf("%s %s:\nwith scan    %+v\nwithout scan %+v", in.Phase, text, got, want)
		}
		switch {
		case !got.Allow:
			denied++
		case got.Patch != "":
			patched++
		default:
			clean++
		}
	}
	if min(clean, patched, denied) < 60 {
		t.Errorf("%d clean, %d patched, %d denied", clean, patched, denied)
	}
}
