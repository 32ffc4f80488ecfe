package mcp

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// header reads headers from lines, as they come from the wire.
func header(lines ...string) http.Header {
	h := http.Header{}
	for _, line := range lines {
		name, v, _ := strings.Cut(line, ": ")
		h.Add(name, v)
	}
	return h
}

func modern(method, params string) string {
	if params != "" {
		params += ","
	}
	return `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":{` + params +
		`"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`
}

func legacy(method, params string) string {
	return `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":{` + params + `}}`
}

func TestCheckHeaders(t *testing.T) {
	t.Parallel()
	const (
		v        = "Mcp-Protocol-Version: 2026-07-28"
		old      = "Mcp-Protocol-Version: 2025-11-25"
		notified = `{"jsonrpc":"2.0","method":"notifications/initialized"}`
	)
	call, coded := modern("tools/call", `"name":"weather"`), "=?base64?"+base64.StdEncoding.EncodeToString([]byte("weather"))+"?="
	for _, c := range []struct {
		name string
		h    http.Header
		text string
		code int // 0: accepted
	}{
		{"modern", header(v, "Mcp-Method: tools/call", "Mcp-Name: weather"), call, 0},
		{"modern, any case", header("MCP-PROTOCOL-VERSION: 2026-07-28", "mcp-method: tools/call", "mcp-NAME: weather"), call, 0},
		{"modern, base64", header(v, "Mcp-Method: tools/call", "Mcp-Name: "+coded), call, 0},
		{"modern, without a target", header(v, "Mcp-Method: tools/list"), modern("tools/list", ""), 0},
		{"modern uri", header(v, "Mcp-Method: resources/read", "Mcp-Name: file:///a"), modern("resources/read", `"uri":"file:///a"`), 0},
		{"modern task", header(v, "Mcp-Method: tasks/get", "Mcp-Name: a"), modern("tasks/get", `"taskId":"a"`), 0},
		{"modern notification", header(v), notified, 0},
		{"unknown parameters", header(v, "Mcp-Method: tools/call", "Mcp-Name: weather", "Mcp-Param-User_id: 1", "Mcp-Param-X: 1"), call, 0},
		{"legacy", header(old), legacy("tools/call", `"name":"weather"`), 0},
		{"legacy without a version", header(), legacy("tools/call", `"name":"weather"`), 0},
		{"legacy with true headers", header(old, "Mcp-Method: tools/call", "Mcp-Name: weather"), legacy("tools/call", `"name":"weather"`), 0},

		{"version missing", header("Mcp-Method: tools/call", "Mcp-Name: weather"), call, CodeHeaderMismatch},
		{"version older than the body's", header(old, "Mcp-Method: tools/call", "Mcp-Name: weather"), call, CodeHeaderMismatch},
		{"version newer than the body's", header("Mcp-Protocol-Version: 2027-01-01", "Mcp-Method: tools/call", "Mcp-Name: weather"), call, CodeHeaderMismatch},
		{"version only in the header", header(v, "Mcp-Method: tools/call", "Mcp-Name: weather"), legacy("tools/call", `"name":"weather"`), CodeInvalidParams},
		{"method missing", header(v, "Mcp-Name: weather"), call, CodeHeaderMismatch},
		{"method differs", header(v, "Mcp-Method: tools/list", "Mcp-Name: weather"), call, CodeHeaderMismatch},
		{"method differs in case", header(v, "Mcp-Method: Tools/Call", "Mcp-Name: weather"), call, CodeHeaderMismatch},
		{"name missing", header(v, "Mcp-Method: tools/call"), call, CodeHeaderMismatch},
		{"name differs", header(v, "Mcp-Method: tools/call", "Mcp-Name: harmless"), call, CodeHeaderMismatch},
		{"name differs in case", header(v, "Mcp-Method: tools/call", "Mcp-Name: Weather"), call, CodeHeaderMismatch},
		{"name without a target", header(v, "Mcp-Method: tools/list", "Mcp-Name: weather"), modern("tools/list", ""), CodeHeaderMismatch},
		{"name in base64 differs", header(v, "Mcp-Method: tools/call", "Mcp-Name: =?base64?aGFybWxlc3M=?="), call, CodeHeaderMismatch},
		{"name in broken base64", header(v, "Mcp-Method: tools/call", "Mcp-Name: =?base64?d2VhdGhlcg?="), call, CodeHeaderMismatch},
		{"name in base64 with loose bits", header(v, "Mcp-Method: tools/call", "Mcp-Name: =?base64?d2VhdGhlcn==?="), call, CodeHeaderMismatch},
		{"name looks encoded", header(v, "Mcp-Method: tools/call", "Mcp-Name: =?base64?YQ==?="), modern("tools/call", `"name":"=?base64?YQ==?="`), CodeHeaderMismatch},
		{"name twice", header(v, "Mcp-Method: tools/call", "Mcp-Name: weather", "Mcp-Name: weather"), call, CodeHeaderMismatch},
		{"method twice", header(v, "Mcp-Method: tools/call", "Mcp-Method: ping", "Mcp-Name: weather"), call, CodeHeaderMismatch},
		{"version twice", header(v, v, "Mcp-Method: tools/call", "Mcp-Name: weather"), call, CodeHeaderMismatch},
		{"session twice", header(old, "Mcp-Session-Id: a", "Mcp-Session-Id: b"), legacy("ping", ""), CodeHeaderMismatch},
		{"parameter twice", header(v, "Mcp-Method: tools/call", "Mcp-Name: weather", "Mcp-Param-A: 1", "Mcp-Param-A: 1"), call, CodeHeaderMismatch},
		{"name again with an underscore", header(v, "Mcp-Method: tools/call", "Mcp-Name: weather", "Mcp_Name: harmless"), call, CodeHeaderMismatch},
		{"parameter again with an underscore", header(v, "Mcp-Method: tools/call", "Mcp-Name: weather", "Mcp-Param-A-B: 1", "Mcp-Param-A_B: 2"), call, CodeHeaderMismatch},
		{"parameter in two spellings", header(v, "Mcp-Method: tools/call", "Mcp-Name: weather", "Mcp-Param-A_b-C: 1", "Mcp-Param-A-B_c: 2"), call, CodeHeaderMismatch},
		{"legacy with a lying method", header(old, "Mcp-Method: ping"), legacy("tools/call", `"name":"weather"`), CodeHeaderMismatch},
		{"legacy with a lying name", header(old, "Mcp-Name: harmless"), legacy("tools/call", `"name":"weather"`), CodeHeaderMismatch},
		{"legacy with an empty name", header(old, "Mcp-Name: "), legacy("tools/call", `"name":"weather"`), CodeHeaderMismatch},
		{"no version and a lying method", header("Mcp-Method: ping"), legacy("tools/call", `"name":"weather"`), CodeHeaderMismatch},
		{"notification with a lying method", header(v, "Mcp-Method: tools/call"), notified, CodeHeaderMismatch},
		{"response with a method", header(old, "Mcp-Method: tools/call"), `{"jsonrpc":"2.0","id":1,"result":{}}`, CodeHeaderMismatch},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m, bad := ParseClient(c.text)
			if bad != nil {
				t.Fatal(bad)
			}
			bad = CheckHeaders(c.h, m)
			switch {
			case c.code == 0 && bad != nil:
				t.Errorf("refused: %v", bad)
			case c.code != 0 && (bad == nil || bad.Code != c.code || bad.Status != 400):
				t.Errorf("got %v, want HTTP 400 and %d", bad, c.code)
			}
		})
	}
}

func FuzzCheckHeaders(f *testing.F) {
	f.Add("2026-07-28", "tools/call", "weather", "weather")
	f.Add("2026-07-28", "tools/call", "=?base64?d2VhdGhlcg==?=", "weather")
	f.Add("2026-07-28", "tools/call", "=?base64??=", "")
	f.Add("", "", "", "x")
	f.Add("2025-11-25", "ping", "é", "é")
	f.Fuzz(func(t *testing.T, version, method, name, tool string) {
		text := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":` + string(AppendString(nil, tool)) +
			`,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`
		m, bad := ParseClient(text)
		if bad != nil {
			return
		}
		h := http.Header{HeaderVersion: {version}, HeaderMethod: {method}, HeaderName: {name}}
		decoded, ok := DecodeHeader(name)
		want := version == Modern && method == "tools/call" && ok && decoded == m.Target()
		if bad := CheckHeaders(h, m); (bad == nil) != want {
			t.Fatalf("%q %q %q for %q: %v", version, method, name, tool, bad)
		}
		// What we mirror ourselves is true, and fits a header.
		coded := EncodeHeader(m.Target())
		if back, ok := DecodeHeader(coded); !ok || back != m.Target() || strings.ContainsFunc(coded, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("%q is mirrored as %q", m.Target(), coded)
		}
	})
}

func TestEncodeHeader(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":              "",
		"plain name":    "plain name",
		" blank":        "=?base64?IGJsYW5r?=",
		"blank\t":       "=?base64?YmxhbmsJ?=",
		"a\r\nb":        "=?base64?YQ0KYg==?=",
		"é":             "=?base64?w6k=?=",
		"\x7f":          "=?base64?fw==?=",
		"=?base64?eA?=": "=?base64?PT9iYXNlNjQ/ZUE/PQ==?=",
		"=?BASE64?x?=":  "=?BASE64?x?=",
	} {
		if got := EncodeHeader(text); got != want {
			t.Errorf("EncodeHeader(%q) = %q, want %q", text, got, want)
		}
		if got, ok := DecodeHeader(want); !ok || got != text {
			t.Errorf("DecodeHeader(%q) = %q, %t", want, got, ok)
		}
	}
}

var declared = map[string][]string{
	"Mcp-Param-City": {"city"},
	"Mcp-Param-Days": {"when", "days"},
	"Mcp-Param-Dry":  {"dry"},
}

func TestCheckParams(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		h    http.Header
		args string
		ok   bool
	}{
		{"none", header(), `{}`, true},
		{"null", header(), `{"city":null,"when":{"days":null}}`, true},
		{"all", header("Mcp-Param-City: Ulm", "Mcp-Param-Days: 3", "Mcp-Param-Dry: true"), `{"city":"Ulm","when":{"days":3},"dry":true}`, true},
		{"text in base64", header("Mcp-Param-City: =?base64?w4R0cw==?="), `{"city":"Äts"}`, true},
		{"number written otherwise", header("Mcp-Param-Days: 300"), `{"when":{"days":3.0e2}}`, true},
		{"number as written", header("Mcp-Param-Days: 1.50"), `{"when":{"days":1.50}}`, true},
		{"undeclared", header("Mcp-Param-Other: 1"), `{}`, true},
		{"empty text", header("Mcp-Param-City: "), `{"city":""}`, true},

		{"missing", header(), `{"city":"Ulm"}`, false},
		{"deep missing", header(), `{"when":{"days":3}}`, false},
		{"without the argument", header("Mcp-Param-City: Ulm"), `{}`, false},
		{"for null", header("Mcp-Param-City: null"), `{"city":null}`, false},
		{"another text", header("Mcp-Param-City: Bonn"), `{"city":"Ulm"}`, false},
		{"another case", header("Mcp-Param-City: ulm"), `{"city":"Ulm"}`, false},
		{"broken base64", header("Mcp-Param-City: =?base64?VWxt=?="), `{"city":"Ulm"}`, false},
		{"another number", header("Mcp-Param-Days: 4"), `{"when":{"days":3}}`, false},
		{"a number beyond doubles", header("Mcp-Param-Days: 9007199254740993"), `{"when":{"days":9007199254740992}}`, false},
		{"a number that rounds to it", header("Mcp-Param-Days: 9007199254740992"), `{"when":{"days":9007199254740993}}`, false},
		{"a fraction that rounds to it", header("Mcp-Param-Days: 1"), `{"when":{"days":1.00000000000000000001}}`, false},
		{"a number with a sign", header("Mcp-Param-Days: +3"), `{"when":{"days":3}}`, false},
		{"a number with zeros", header("Mcp-Param-Days: 03"), `{"when":{"days":3}}`, false},
		{"a text for a number", header("Mcp-Param-Days: 3"), `{"when":{"days":"three"}}`, false},
		{"a truth value", header("Mcp-Param-Dry: True"), `{"dry":true}`, false},
		{"an array", header("Mcp-Param-City: Ulm"), `{"city":["Ulm"]}`, false},
		{"an object", header(), `{"city":{}}`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			bad := CheckParams(c.h, value(t, c.args), declared)
			if (bad == nil) != c.ok || bad != nil && (bad.Code != CodeHeaderMismatch || bad.Status != 400) {
				t.Errorf("got %v", bad)
			}
		})
	}
	if bad := CheckParams(header(), Value{}, declared); bad != nil {
		t.Errorf("no arguments at all: %v", bad)
	}
}

func TestMirrorParams(t *testing.T) {
	t.Parallel()
	args := value(t, `{"city":"Köln","when":{"days":3},"dry":null}`)
	h := header("Mcp-Param-City: Bonn", "Mcp-Param-Dry: true", "Mcp-Param-Other: kept", "Accept: x")
	MirrorParams(h, args, declared)
	want := http.Header{
		"Mcp-Param-City": {"=?base64?S8O2bG4=?="}, "Mcp-Param-Days": {"3"}, "Mcp-Param-Other": {"kept"}, "Accept": {"x"},
	}
	if diff := cmp.Diff(want, h); diff != "" {
		t.Error(diff)
	}
	if bad := CheckParams(h, args, declared); bad != nil {
		t.Errorf("what was mirrored is refused: %v", bad)
	}
}
