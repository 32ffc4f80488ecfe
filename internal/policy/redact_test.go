package policy

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// redacting is a policy that redacts by some secrets whatever a server sends.
func redacting(t testing.TB, keys string) *Snapshot {
	t.Helper()
	return load(t, map[string]string{
		"p.rego": "package mcp\ndecision := {\"allow\": true, \"redact\": " + keys + "}",
		"data.json": `{"secrets": {
			"AKIA": "AKIA[0-9A-Z]{4,}", "ghp_": "\\bghp_[a-z]+", "/k": "/k[0-9]", "loose": "l[o0]{2}se", "\n-": "\n-+", "end": "end$", "over": "over[A-Z]+",
			"broken": "(", "number": 1
		}}`,
	})
}

// response is the input of a result.
func response(t testing.TB, text string) *Input {
	t.Helper()
	in := call(t, "x", `{}`)
	in.Phase, in.Response = Response, value(t, text)
	return in
}

func TestRedact(t *testing.T) {
	s := redacting(t, `["AKIA", "ghp_", "/k", "loose", "\n-", "end", "over"]`)
	few := redacting(t, `["AKIA", "ghp_"]`)
	slash := redacting(t, `["/k"]`)
	for _, c := range []struct {
		s          *Snapshot
		text, want string // empty if nothing is found
	}{
		{few, `{}`, ""},
		{few, `null`, ""},
		{few, `"AKIA1234"`, `"[redacted]"`},
		{few, `["AKIA", 1, true, null, {"AKIA":"xghp_a"}]`, ""},
		{few, `{"content":[{"type":"text","text":"key AKIA1234, AKIA12345 "}]}`, `{"content":[{"type":"text","text":"key [redacted], [redacted] "}]}`},
		{few, `{"structuredContent":{"a":{"b":["ghp_abc"]}},"n":1.0,"e" : 1E2}`, `{"structuredContent":{"a":{"b":["[redacted]"]}},"n":1.0,"e" : 1E2}`},
		{few, `{"content":[{"type":"resource","resource":{"uri":"x","text":"AKIA1234"}}]}`, `{"content":[{"type":"resource","resource":{"uri":"x","text":"[redacted]"}}]}`},
		// Of the text around nothing changes.
		{few, `["a\n\"b\\ AKIA1234\t\\n<&>é😀"]`, `["a\n\"b\\ [redacted]\t\\n<&>é😀"]`},
		{few, `["AKIA1234\\AKIA1234\nAKIA\n1234"]`, `["[redacted]\\[redacted]\nAKIA\n1234"]`},
		// What an escape says counts.
		{few, `["\u0041KI\u0041\u0031234 \u00e9"]`, `["[redacted] é"]`},
		{few, `["AKIA12\u00334\/"]`, `["[redacted]/"]`},
		{few, `["\\u0041KIA1234"]`, ""},
		{few, `["\nghp_a", "\\nghp_a", "\\\nghp_a", "\\\\nghp_a", "\\ghp_a", "\bghp_a"]`, `["\n[redacted]", "\\nghp_a", "\\\n[redacted]", "\\\\nghp_a", "\\[redacted]", "\b[redacted]"]`},
		{slash, `["\/k1", "/k2\n"]`, `["[redacted]", "[redacted]\n"]`},
		{s, `["\/k1 /k2 \\/k3 \\k4"]`, `["[redacted] [redacted] \\[redacted] \\k4"]`},
		{s, `["a\n--", "a\\n--", "\u000a-"]`, `["a[redacted]", "a\\n--", "[redacted]"]`},
		{s, `["end ends end"]`, `["end ends [redacted]"]`},
		// Whatever pattern matches, with or without its mark.
		{s, `["l0ose"]`, `["[redacted]"]`},
		// Matches that overlap are one.
		{s, `["overAKIA1234 overA\u004bIA1234, overAKIA AKIA1234/k5"]`, `["[redacted] [redacted], [redacted] [redacted][redacted]"]`},
		{few, `["AKIAghp_ AKIA1234ghp_a"]`, `["AKIAghp_ [redacted]ghp_a"]`},
		// What a client hands back is left alone.
		{few, `{"nextCursor":"AKIA1234","requestState":"ghp_a","a":{"nextCursor":"AKIA1234"}}`, `{"nextCursor":"AKIA1234","requestState":"ghp_a","a":{"nextCursor":"[redacted]"}}`},
		{few, `{"nextCursor":["AKIA1234"]}`, `{"nextCursor":["[redacted]"]}`},
	} {
		in := response(t, c.text)
		d := c.s.Decide(in)
		if !d.Allow || d.Redact == "" {
			t.Fatalf("%+v", d)
		}
		if got, err := c.s.Redact(in.Response, d.Redact); got != c.want || err != nil {
			t.Errorf("%s: %s %v, want %s", c.text, got, err, c.want)
		}
	}
}

func TestRedactRefuses(t *testing.T) {
	for _, c := range []struct {
		keys, text string
		phase      Phase
	}{
		{`["AKIA", "other"]`, `{}`, Response},
		{`["broken"]`, `{}`, Response},
		{`["number"]`, `{}`, Response},
		{`["AKIA", ["AKIA"]]`, `{}`, Response},
		{`"AKIA"`, `{}`, Response},
		{`["AKIA"]`, `{}`, Request},
		{`["AKIA"]`, `{}`, ServerRequest},
		{`["AKIA"]`, `{}`, ""},
	} {
		s := redacting(t, c.keys)
		in := response(t, c.text)
		in.Phase = c.phase
		document, err := s.Document(in)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if d := s.Decide(in); d.Allow || d.Err == nil {
				t.Errorf("%s in phase %s: %+v", c.keys, c.phase, d)
			}
		}
		if d := s.DecideDocument(document); d.Allow || d.Err == nil {
			t.Errorf("%s in a document of phase %s: %+v", c.keys, c.phase, d)
		}
	}
	s := redacting(t, `["AKIA"]`)
	in := response(t, `{}`)
	in.Phase = List
	if d, _ := s.Visible(in); d.Allow || d.Err == nil {
		t.Errorf("an item of a list: %+v", d)
	}
	if d := s.DecideDocument(value(t, `[]`)); d.Allow || d.Err == nil {
		t.Errorf("no object: %+v", d)
	}
	for _, text := range []string{`{"AKIA1234":1}`, `{"a":[{"x \u0041KIA1234":"b"}]}`, `{"a":"AKIA1234","AKIA1234":1}`} {
		if got, err := s.Redact(value(t, text), `["AKIA"]`); got != "" || !errors.Is(err, ErrBadRedact) {
			t.Errorf("%s: %q %v", text, got, err)
		}
	}
	if _, err := s.Redact(value(t, `["AKIA1234"]`), `["AKIA","gone"]`); !errors.Is(err, errSecret) {
		t.Errorf("an unknown key: %v", err)
	}
}

// What takes too long is no redaction.
func TestRedactHasADeadline(t *testing.T) {
	s := redacting(t, `["loose"]`)
	s.timeout = 0
	if text, err := s.Redact(value(t, `["`+strings.Repeat("lo", 1<<20)+`"]`), `["loose"]`); !errors.Is(err, ErrTimeout) {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}

// The order and number of keys make no other decision.
func TestRedactIsComparable(t *testing.T) {
	a := redacting(t, `["AKIA", "ghp_"]`).Decide(response(t, `{}`))
	b := redacting(t, `["ghp_", "AKIA", "ghp_"]`).Decide(response(t, `{}`))
	if a.Redact != `["AKIA","ghp_"]` || a.Redact != b.Redact || !a.Changes() {
		t.Errorf("%+v and %+v", a, b)
	}
}

// A result with a secret and nothing else is decided from memory.
func TestRedactionIsRemembered(t *testing.T) {
	s := starter(t)
	for text, want := range map[string]string{
		`{"content":[{"type":"text","text":"key AKIAIOSFODNN7EXAMPLE"}]}`: `["AKIA"]`,
		`{"content":[{"type":"text","text":"a task-list of AKIA"}]}`:      `["AKIA","sk-"]`,
		`{"content":[{"type":"text","text":"clean"}]}`:                    "",
	} {
		in := response(t, text)
		in.Tool.Name, in.Server = "echo", "demo"
		if d := s.Decide(in); d.Redact != want || d.Patch != "" || !d.Allow || !remembered(s, in) {
			t.Errorf("%s: %+v, remembered %t", text, d, remembered(s, in))
		}
		if d := s.Decide(in); d.Redact != want || !d.Allow {
			t.Errorf("%s, again: %+v", text, d)
		}
	}
	// The same facts but for the name: another decision, and not from memory.
	in := response(t, `{"structuredContent":{"AKIAIOSFODNN7EXAMPLE":1}}`)
	in.Tool.Name, in.Server = "echo", "demo"
	if d := s.Decide(in); d.Allow || d.Reason != "unclean_member_name" {
		t.Errorf("%+v", d)
	}
}

// Every string of a value is what the patterns alone make of it, and all else
// is as it was.
func TestRedactOfEveryString(t *testing.T) {
	s := starter(t)
	keys, secrets := []byte{'['}, starterSecrets(t)
	for _, k := range secrets {
		keys = append(mcp.AppendString(keys, k.mark), ',')
	}
	keys[len(keys)-1] = ']'
	clean, unclean, named := 0, 0, 0
	r := rand.New(rand.NewPCG(9, 10))
	for range 3000 {
		v, err := mcp.ParseValue(randomJSON(r, 3))
		if err != nil {
			continue
		}
		got, err := s.Redact(v, string(keys))
		want, inName := plainly(secrets, v, true)
		switch {
		case inName != errors.Is(err, ErrBadRedact):
			t.Fatalf("%s: %v", v.Text(), err)
		case inName:
			named++
		case err != nil:
			t.Fatal(err)
		case got == "":
			clean++
			if !valueTerm(value(t, want)).Equal(valueTerm(v)) {
				t.Fatalf("%s: nothing, want %s", v.Text(), want)
			}
		default:
			unclean++
			if !valueTerm(value(t, got)).Equal(valueTerm(value(t, want))) {
				t.Fatalf("%s: %s, want %s", v.Text(), got, want)
			}
		}
	}
	if min(clean, unclean, named) < 100 {
		t.Errorf("%d clean, %d unclean, %d named", clean, unclean, named)
	}
}

// plainly is a value without secrets, found in the plainest way.
func plainly(secrets []*secret, v mcp.Value, top bool) (text string, named bool) {
	in := func(s string) string {
		hidden := make([]bool, len(s)+1)
		begins := map[int]bool{}
		for _, k := range secrets {
			for _, at := range k.pattern.FindAllStringIndex(s, -1) {
				begins[at[0]] = true
				for i := at[0]; i < at[1]; i++ {
					hidden[i] = true
				}
			}
		}
		var b strings.Builder
		for i := range len(s) {
			switch {
			case !hidden[i]:
				b.WriteByte(s[i])
			case i == 0 || !hidden[i-1] || begins[i] && endsAt(secrets, s, i):
				b.WriteString(redacted)
			}
		}
		return b.String()
	}
	var items []string
	switch v.Kind() {
	case '{':
		for name, m := range v.Members() {
			named = named || in(name.String()) != name.String()
			inner, bad := m.Text(), false
			if !top || !m.IsString() || !opaque[name.String()] {
				inner, bad = plainly(secrets, m, false)
			}
			items, named = append(items, name.Text()+":"+inner), named || bad
		}
		return "{" + strings.Join(items, ",") + "}", named
	case '[':
		for item := range v.Items() {
			inner, bad := plainly(secrets, item, false)
			items, named = append(items, inner), named || bad
		}
		return "[" + strings.Join(items, ",") + "]", named
	case '"':
		return string(mcp.AppendString(nil, in(v.String()))), false
	}
	return v.Text(), false
}

// endsAt reports whether no match goes on over a place, so that what begins
// there is another.
func endsAt(secrets []*secret, s string, place int) bool {
	for _, k := range secrets {
		for _, at := range k.pattern.FindAllStringIndex(s, -1) {
			if at[0] < place && place < at[1] {
				return false
			}
		}
	}
	return true
}
