package mcp

import (
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// jsontext is the oracle: a strict parser that others keep. What it refuses is
// refused, what it takes is refused only for a reason of ours, and all values are
// where it finds them.
func parsesAsJSONText(t *testing.T, text string) {
	t.Helper()
	v, err := ParseValue(text)
	valid := jsontext.Value(text).IsValid()
	switch {
	case err == nil && !valid:
		t.Fatalf("jsontext refuses %q", text)
	case err != nil && valid && !isOwnReason(err):
		t.Fatalf("jsontext takes %q, and not we: %v", text, err)
	case err == nil:
		sameValues(t, v, text)
	}
}

// isOwnReason reports whether a text is refused that is valid JSON.
func isOwnReason(err error) bool {
	for _, reason := range []string{"name of a prototype", "control character in a name", "number out of range", "nested deeper", "more than"} {
		if strings.Contains(err.Error(), reason) {
			return true
		}
	}
	return false
}

func sameValues(t *testing.T, root Value, text string) {
	t.Helper()
	dec := jsontext.NewDecoder(strings.NewReader(text))
	i := uint32(0)
	for {
		token, err := dec.ReadToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		kind, end := token.Kind(), uint32(dec.InputOffset())
		if kind == '}' || kind == ']' {
			continue
		}
		n := root.doc.nodes[i]
		switch {
		case kind != n.kind:
			t.Fatalf("value %d of %q is of kind %v, not %v", i, text, n.kind, kind)
		case kind == '{' || kind == '[':
			if n.start != end-1 || n.next <= i || text[n.end-1] != byte(kind)+2 {
				t.Fatalf("value %d of %q is %+v", i, text, n)
			}
		case n.end != end || n.next != i+1:
			t.Fatalf("value %d of %q is %+v, and ends at %d", i, text, n, end)
		case kind == '"' && (Value{root.doc, i}).String() != token.String():
			t.Fatalf("value %d of %q says %q, not %q", i, text, Value{root.doc, i}.String(), token.String())
		}
		i++
	}
	if int(i) != len(root.doc.nodes) {
		t.Fatalf("%d values in %q, not %d", len(root.doc.nodes), text, i)
	}
}

// texts are what a parser of JSON gets wrong.
func texts() []string {
	texts := []string{
		``, ` `, `{`, `[`, `"`, `-`, `t`, `tru`, `nul`, `nulL`, `truex`, `{}`, `[]`, ` [ ] `, "\t\r\n{ }\n", `[1,]`, `[,1]`, `[1 2]`, `{"a":1,}`, `{,}`,
		`{"a"}`, `{"a":}`, `{"a" 1}`, `{"a":1 "b":2}`, `{1:2}`, `{"a":1]`, `[1}`, `[[]`, `{"a":{}`, `}`, `]`, `,`, `:`, `[1]2`, `[1] 2`, `1 `, "\ufeff1", "1\x00", "\v1", "[1\f]",
		`0`, `-0`, `00`, `01`, `-01`, `1.`, `.1`, `-.1`, `1.0`, `1e`, `1e+`, `1E-0`, `1e05`, `+1`, `1_0`, `0x1`, `1e400`, `1e-400`, `0e-400`, `NaN`, `Infinity`, `-Infinity`, `--1`, `1-`, `1e1.5`,
		`"\"`, `"\\"`, `"\\\"`, `"\a"`, `"\x41"`, `"\u"`, `"\u004"`, `"\u004g"`, `"\u0041"`, `"\U0041"`, `"\ud83d\ude00"`, `"\ud83d"`, `"\ude00"`, `"\ud83d\ud83d"`, `"\ud83dx"`,
		`"\ud83d\n"`, `"\ud83d\`, `"\ud83d\u`, `"\ud83d\ude0`, `"\ud83d\u0041"`, `"\uD83D\uDE00"`, `"\udbff\udfff"`, `"\ud7ff\ue000"`,
		`{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"a":{"a":1},"b":[{"a":1},{"a":2}]}`, `{"":1,"":2}`, `{"a":1,"A":2}`, `{"constructor":{"prototype":1}}`, `{"__proto__":1}`, `{"\u0001":1}`,
		strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth), strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1),
		"[" + strings.Repeat("0,", maxNodes-2) + "0]", "[" + strings.Repeat("0,", maxNodes-1) + "0]",
	}
	for n := range 3 * few { // an object of that many names, and one of them twice
		object := "{"
		for i := range n {
			object += `"` + strconv.Itoa(i) + `":{"0":[]},`
		}
		for i := range min(n, few+2) {
			texts = append(texts, object+`"\u003`+strconv.Itoa(i%10)+`":0}`, object+`"n":0}`, object+`"`+strconv.Itoa(i)+`":0}`)
		}
	}
	return texts
}

// words have any byte, and some characters, at any place of a machine word.
func words() (texts []string) {
	for before := range 18 {
		for c := range 256 {
			texts = append(texts, `"`+strings.Repeat("a", before)+string([]byte{byte(c)})+`bc"`)
		}
		for _, s := range []string{"é", "€", "😀", "\xe2\x82", "\xf0\x9f\x98", "\xed\xa0\x80", "\xc0\x80", "\xf4\x90\x80\x80", "\xef\xbf\xbd", "\u2028", `\n`, `"`} {
			texts = append(texts, `"`+strings.Repeat("a", before)+s+`"`, `"`+strings.Repeat("é", before)+s+`bcdefghi"`, `"`+strings.Repeat("a", before)+s)
		}
	}
	return texts
}

func TestParseValue(t *testing.T) {
	t.Parallel()
	for _, text := range append(texts(), words()...) {
		parsesAsJSONText(t, text)
	}
}

func FuzzParseValue(f *testing.F) {
	for _, h := range corpus(f) {
		if len(h.text) < 2000 {
			f.Add(h.text)
		}
	}
	for _, text := range texts() {
		if len(text) < 200 {
			f.Add(text)
		}
	}
	f.Fuzz(parsesAsJSONText)
}

func BenchmarkParseServer(b *testing.B) {
	for _, lines := range []int{10, 1000, 16000} {
		text := `{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"` +
			strings.Repeat(`Line of an ordinary answer, in plain words: 21.5 °C is 294.65 K.\n`, lines) + `"}],"isError":false}}`
		b.Run(strconv.Itoa(len(text)>>10)+"KB", func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, bad := ParseServer(text); bad != nil {
					b.Fatal(bad)
				}
			}
		})
	}
}
