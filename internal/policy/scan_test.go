package policy

import (
	"iter"
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
	for text, named := range map[string]bool{
		`{"a AKIA":1}`: true, `{"\u0041KI\u0041":1}`: true, `[{"a":{"sk-":"sk-"}}]`: true, `{"x":1,"b":{}}`: true,
		`{"AK":"IA"}`: false, `{"a":"AKIA"}`: false, `["AKIA",{"a":["x"],"b":1}]`: false, `"AKIA"`: false,
	} {
		if s := c.of(&Input{Phase: Response, Response: value(t, text)}); s.named != named || !s.plain {
			t.Errorf("%s: plain %t, named %t", text, s.plain, s.named)
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
		{`{"a":"\u001b"}`, `{"marks":[],"named":false,"plain":false}`},
		{`{"a":"b"}`, `{"marks":[],"named":false,"plain":true}`},
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

// With the scan and without, the same comes of the starter policies: it never
// hides what the long way would find. Only where a secret begins within another
// and ends after it, the long way leaves the rest of it.
func TestScanDifferential(t *testing.T) {
	s := starter(t)
	clean, patched, redacted, denied, overlapping := 0, 0, 0, 0, 0
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		text := `{"nextCursor":` + randomJSON(r, 1) + `,"value":` + randomJSON(r, 3) + `}`
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
		got := s.Decide(in)
		want := s.evaluate(in) // without: only Decide scans
		if got.Allow != want.Allow || got.Reason != want.Reason || got.Err != nil || want.Err != nil {
			t.Fatalf("%s %s:\nwith scan    %+v\nwithout scan %+v", in.Phase, text, got, want)
		}
		if shown, long := changed(t, s, &got, v), changed(t, s, &want, v); !valueTerm(shown).Equal(valueTerm(long)) {
			if overlapping++; got.Redact == "" || !overlap(t, s, v) {
				t.Fatalf("%s %s:\nwith scan    %s\nwithout scan %s", in.Phase, text, shown.Text(), long.Text())
			}
		}
		switch {
		case !got.Allow:
			denied++
		case got.Redact != "":
			redacted++
		case got.Patch != "":
			patched++
		default:
			clean++
		}
	}
	if min(clean, patched, redacted, denied) < 60 || overlapping > 10 {
		t.Errorf("%d clean, %d patched, %d redacted, %d denied, %d overlapping", clean, patched, redacted, denied, overlapping)
	}
}

// changed is what a decision makes of a value.
func changed(t *testing.T, s *Snapshot, d *Decision, v mcp.Value) mcp.Value {
	t.Helper()
	if d.Patch != "" {
		text, err := ApplyPatch(v.Text(), d.Patch)
		if err != nil {
			t.Fatal(err)
		}
		v = value(t, text)
	}
	if d.Redact != "" {
		text, err := s.Redact(v, d.Redact)
		if err != nil {
			t.Fatal(err)
		}
		if text != "" {
			v = value(t, text)
		}
	}
	return v
}

// overlap reports whether, in a string of the value, two secrets overlap of which
// neither is part of the other.
func overlap(t *testing.T, s *Snapshot, v mcp.Value) bool {
	t.Helper()
	for text := range stringsOf(v) {
		var found []place
		for _, compile := range s.secrets {
			k, err := compile()
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, k.everywhere(text.String())...)
		}
		for _, a := range found {
			for _, b := range found {
				if a.begin < b.begin && b.begin < a.end && a.end < b.end {
					return true
				}
			}
		}
	}
	return false
}

// stringsOf are the strings of a value, without the names.
func stringsOf(v mcp.Value) iter.Seq[mcp.Value] {
	return func(yield func(mcp.Value) bool) {
		if v.IsString() && !yield(v) {
			return
		}
		for _, m := range v.Members() {
			for s := range stringsOf(m) {
				if !yield(s) {
					return
				}
			}
		}
		for item := range v.Items() {
			for s := range stringsOf(item) {
				if !yield(s) {
					return
				}
			}
		}
	}
}
