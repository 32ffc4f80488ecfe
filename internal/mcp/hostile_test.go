package mcp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// A hostile is a message that must not get through.
type hostile struct {
	name  string
	text  string
	code  int
	cause string // or the beginning of it
}

// corpus reads testdata/hostile.txt and the messages it names.
func corpus(t testing.TB) []hostile {
	t.Helper()
	index, err := os.ReadFile("testdata/hostile.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []hostile
	for line := range strings.Lines(string(index)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		code, cause, _ := strings.Cut(strings.TrimSpace(rest), " ")
		h := hostile{name: name, cause: strings.TrimSpace(cause)}
		if h.code, err = strconv.Atoi(code); err != nil || h.cause == "" {
			t.Fatalf("hostile.txt: not a name, a code and a cause: %s", line)
		}
		text, err := os.ReadFile(filepath.Join("testdata/hostile", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		h.text = string(text)
		all = append(all, h)
	}
	return all
}

func TestHostileMessagesAreRefused(t *testing.T) {
	t.Parallel()
	all := corpus(t)
	files, err := filepath.Glob("testdata/hostile/*.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(all) || len(all) < 150 {
		t.Errorf("%d files, and %d in hostile.txt", len(files), len(all))
	}
	for _, h := range all {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			m, bad := ParseClient(h.text)
			if bad == nil {
				t.Fatalf("accepted: %.200s", h.text)
			}
			if bad.Code != h.code || bad.Status != 400 || !strings.HasPrefix(bad.Cause, h.cause) {
				t.Errorf("refused with %d, HTTP %d, %q; want %d, HTTP 400, %q", bad.Code, bad.Status, bad.Cause, h.code, h.cause)
			}
			if m == nil {
				t.Error("no message to take the id from")
			}
			if _, err := ParseValue(bad.Body(m.ID.Text())); err != nil {
				t.Errorf("the refusal is malformed: %v", err)
			}
		})
	}
}

// A refusal names no content of the message: clients put secrets into those.
func TestCausesQuoteNothing(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"ping","canary":1}`,
		`{"jsonrpc":"2.0","id":1,"method":"ping","canary":1,"canary":2}`,
		`{"jsonrpc":"2.0","id":1,"method":"ping","params":"canary"}`,
		`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"canary":canary}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":["canary"]}}`,
		`{"canary\u0000":1}`, `canary`, `"canary" canary`,
	} {
		if _, bad := ParseClient(text); bad == nil || strings.Contains(bad.Error(), "canary") {
			t.Errorf("%s: %v", text, bad)
		}
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	nested := func(open string, n int) string {
		return strings.Repeat(open, n) + strings.Repeat(map[string]string{"[": "]", `{"a":`: "}"}[open], n)
	}
	items := func(n int) string { return "[" + strings.TrimSuffix(strings.Repeat("0,", n), ",") + "]" }
	for _, c := range []struct {
		name, text, cause string
	}{
		{"arrays of the greatest depth", nested("[", maxDepth), ""},
		{"a scalar at the greatest depth", strings.Repeat("[", maxDepth) + "0" + strings.Repeat("]", maxDepth), ""},
		{"arrays one deeper", nested("[", maxDepth+1), "nested deeper than 128"},
		{"objects one deeper", strings.Repeat(`{"a":`, maxDepth) + "{}" + strings.Repeat("}", maxDepth), "nested deeper than 128"},
		{"as many values as may be", items(maxNodes - 1), ""},
		{"one value more", items(maxNodes), "more than 131072 values"},
		{"a number of as many digits as may be", "0." + strings.Repeat("1", maxDigits-2), ""},
		{"one digit more", "0." + strings.Repeat("1", maxDigits-1), "number out of range"},
		{"the largest double", "1.7976931348623157e308", ""},
		{"the smallest double", "5e-324", ""},
		{"less than the smallest double", "2e-324", "number out of range"},
		{"zero with an exponent", "0.00e-999999", ""},
		{"a constructor", `{"constructor":{"name":"x"},"prototype":{}}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v, err := ParseValue(c.text)
			switch {
			case c.cause == "" && (err != nil || v.Text() != c.text):
				t.Errorf("refused: %v", err)
			case c.cause != "" && (err == nil || err.Error() != c.cause):
				t.Errorf("got %v, want %q", err, c.cause)
			}
		})
	}
}

// gentle are messages that must get through, each in another shape.
var gentle = []string{
	`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"a":[1,-2.50,1e2,true,null,"x"]}}}`,
	` {"params" : {"arguments":{"path":"\/etc\u002fpasswd"}, "name":"t"},` + "\r\n\t" + `"method":"tools\/call","id":"\u00e9","jsonrpc":"2.0"} `,
	`{"jsonrpc":"2.0","id":0,"method":"resources/read","params":{"uri":"file:///a%20b"}}`,
	`{"jsonrpc":"2.0","id":"","method":"prompts/get","params":{"name":"p","arguments":{"x":"😀 \ud83d\ude00"}}}`,
	`{"jsonrpc":"2.0","id":9007199254740992,"method":"tools/call","params":{"name":"t","arguments":{"n":9007199254740993,"m":0.1e1}}}`,
	`{"jsonrpc":"2.0","id":-1,"method":"tools/list"}`,
	`{"jsonrpc":"2.0","id":7,"method":"x/unknown","params":{"vendor":{"Name":1,"name":2}}}`,
	`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`,
	`{"jsonrpc":"2.0","id":3,"result":{"action":"accept","content":{"user_id":1,"userId":2}}}`,
	`{"jsonrpc":"2.0","id":3,"error":{"code":-1,"message":"no"}}`,
	`{"jsonrpc":"2.0","id":4,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"x","value":""}}}`,
	`{"jsonrpc":"2.0","id":5,"method":"tasks/get","params":{"taskId":"a"}}`,
	`{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"t","arguments":{"env":{"http_proxy":"a","HTTP_PROXY":"b"},"é":"\u0000"}}}`,
	`{"jsonrpc":"2.0","id":6,"method":"tools/call","params":{"name":"t","_meta":{"progressToken":1,"request_id":"mine","io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`,
}

func TestGentleMessagesPass(t *testing.T) {
	t.Parallel()
	for _, text := range gentle {
		if _, bad := ParseClient(text); bad != nil {
			t.Errorf("%s: %v", text, bad)
		}
		agrees(t, text)
	}
}

// agrees fails the test if the message is let through, and encoding/json, as a
// server in Go would use it, makes something else of its text.
func agrees(t *testing.T, text string) {
	t.Helper()
	m, bad := ParseClient(text)
	if bad != nil {
		if m == nil || bad.Status != 400 {
			t.Fatalf("a refusal without a message or with HTTP %d", bad.Status)
		}
		return
	}
	if m.Text != text {
		t.Fatal("the text changed")
	}
	dec := json.NewDecoder(strings.NewReader(m.Text))
	dec.UseNumber()
	var all map[string]any
	if err := dec.Decode(&all); err != nil {
		t.Fatalf("encoding/json refuses what is let through: %v\n%s", err, text)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		t.Fatalf("data after the message\n%s", text)
	}
	if got := plain(t, m.Root); !reflect.DeepEqual(got, any(all)) {
		t.Fatalf("the tree differs from encoding/json:\n%v\n%v", got, all)
	}
	params, _ := all["params"].(map[string]any)
	if method, _ := all["method"].(string); m.Method != method {
		t.Fatalf("method is %q to us, and %q to encoding/json", m.Method, method)
	}
	for _, name := range []string{"name", "uri"} {
		if s, _ := params[name].(string); m.Params.Get(name).String() != s {
			t.Fatalf("%s is %q to us, and %q to encoding/json", name, m.Params.Get(name).String(), s)
		}
	}
	sameAsStruct(t, m)
}

// sameAsStruct compares with decoding into a struct, which ignores case.
func sameAsStruct(t *testing.T, m *Message) {
	t.Helper()
	var s struct {
		JSONRPC string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Method  string          `json:"method"`
		Params  struct {
			Name      json.RawMessage `json:"name"`
			URI       json.RawMessage `json:"uri"`
			TaskID    json.RawMessage `json:"taskId"`
			Arguments json.RawMessage `json:"arguments"`
			Meta      json.RawMessage `json:"_meta"`
		} `json:"params"`
	}
	if err := json.Unmarshal([]byte(m.Text), &s); err != nil {
		t.Fatalf("encoding/json refuses what is let through: %v", err)
	}
	for _, c := range []struct {
		name string
		ours Value
		raw  json.RawMessage
	}{
		{"id", m.ID, s.ID},
		{"name", m.Params.Get("name"), s.Params.Name},
		{"uri", m.Params.Get("uri"), s.Params.URI},
		{"taskId", m.Params.Get("taskId"), s.Params.TaskID},
		{"arguments", m.Params.Get("arguments"), s.Params.Arguments},
		{"_meta", m.Params.Get("_meta"), s.Params.Meta},
	} {
		if !bytes.Equal([]byte(c.ours.Text()), c.raw) {
			t.Fatalf("%s is %s to us, and %s to a struct", c.name, c.ours.Text(), c.raw)
		}
	}
	if s.Method != m.Method || s.JSONRPC != "2.0" {
		t.Fatalf("method is %q to us, and %q to a struct", m.Method, s.Method)
	}
}

// plain is a value as encoding/json would give it with UseNumber.
func plain(t testing.TB, v Value) any {
	switch v.Kind() {
	case 'n':
		return nil
	case 't', 'f':
		return v.Kind() == 't'
	case '"':
		return v.String()
	case '0':
		return json.Number(v.Text())
	case '[':
		items := []any{}
		for item := range v.Items() {
			items = append(items, plain(t, item))
		}
		return items
	case '{':
		members := map[string]any{}
		for name, member := range v.Members() {
			if _, twice := members[name.String()]; twice {
				t.Fatalf("duplicate name %q", name.String())
			}
			if got := v.Get(name.String()); got != member {
				t.Fatalf("Get(%q) finds another member", name.String())
			}
			members[name.String()] = plain(t, member)
		}
		return members
	}
	t.Fatalf("a value of kind %v", v.Kind())
	return nil
}

func TestCorpusAgainstEncodingJSON(t *testing.T) {
	t.Parallel()
	for _, h := range corpus(t) {
		agrees(t, h.text)
	}
}

func FuzzParseClient(f *testing.F) {
	for _, h := range corpus(f) {
		if len(h.text) < 2000 {
			f.Add(h.text)
		}
	}
	for _, text := range gentle {
		f.Add(text)
	}
	f.Fuzz(agrees)
}

func ExampleMessage() {
	m, bad := ParseClient(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"temp.convert","arguments":{"temp":-500}}}`)
	fmt.Println(bad == nil, m.Method, m.Target(), m.Params.Get("arguments").Text())
	// Output: true tools/call temp.convert {"temp":-500}
}
