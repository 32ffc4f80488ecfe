package gateway

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// secret is a line of a key file.
func secret(text string) string {
	return base64.StdEncoding.EncodeToString([]byte(text + strings.Repeat("-", 32-len(text))))
}

// sharing returns handles as a process has them whose key file holds the lines.
func sharing(t *testing.T, lines ...string) *Handles {
	t.Helper()
	keys, err := ParseHandleKeys([][]byte{[]byte(strings.Join(lines, "\n"))})
	if err != nil {
		t.Fatal(err)
	}
	return SharedHandles(func() HandleKeys { return keys })
}

func TestParseHandleKeys(t *testing.T) {
	long := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("ab", 32)))
	for name, c := range map[string]struct {
		text string
		keys int
		err  string
	}{
		"one":              {secret("a"), 1, ""},
		"one, with an end": {secret("a") + "\n", 1, ""},
		"DOS":              {secret("a") + "\r\n\r\n" + secret("b") + "\r\n", 2, ""},
		"longer":           {long, 1, ""},
		"nothing":          {"", 0, "no key"},
		"empty lines":      {"\n \n", 0, "no key"},
		"short":            {base64.StdEncoding.EncodeToString(make([]byte, 31)), 0, "32 random bytes"},
		"hex of 16 bytes":  {strings.Repeat("0123456789abcdef", 2), 0, "32 random bytes"},
		"URL alphabet":     {strings.Repeat("_-_-", 11), 0, "32 random bytes"},
		"no padding":       {strings.TrimRight(secret("a"), "="), 0, "32 random bytes"},
		"loose bits":       {secret("a")[:42] + "1=", 0, "32 random bytes"},
		"a passphrase":     {"canary canary canary canary canary canary canary", 0, "32 random bytes"},
		"zeros":            {base64.StdEncoding.EncodeToString(make([]byte, 32)), 0, "over and over"},
		"twice":            {secret("a") + "\n" + secret("b") + "\n" + secret("a"), 0, "twice"},
		"good and bad":     {secret("a") + "\ncanary", 0, "32 random bytes"},
		"many": {strings.Join([]string{
			secret("1"), secret("2"), secret("3"), secret("4"), secret("5"), secret("6"), secret("7"), secret("8"), secret("9"),
		}, "\n"), 0, "more than 8"},
	} {
		keys, err := ParseHandleKeys([][]byte{[]byte(c.text)})
		if len(keys) != c.keys || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %d keys, %v", name, len(keys), err)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: the error shows the file: %v", name, err)
		}
	}
}

// Which handles a process opens, by the keys that it has and those that sealed.
func TestRotation(t *testing.T) {
	before, during, switched, after := sharing(t, secret("old")), sharing(t, secret("old"), secret("new")),
		sharing(t, secret("new"), secret("old")), sharing(t, secret("new"))
	for _, c := range []struct {
		name         string
		sealed, open *Handles
		ok           bool
	}{
		{"a replica with the same file", before, sharing(t, secret("old")), true},
		{"a key was added", before, during, true},
		{"not everybody has it yet", during, before, true},
		{"a replica that is ahead", switched, during, true},
		{"a replica that is behind", during, switched, true},
		{"old, with both keys", before, switched, true},
		{"new, with both keys", switched, after, true},
		{"the old key is gone", before, after, false},
		{"another file", before, sharing(t, secret("other")), false},
		{"a key of its own", before, NewHandles(), false},
		{"two keys of their own", NewHandles(), NewHandles(), false},
	} {
		sealed := c.sealed.seal(sessionHandle, "S", "s", alice)
		if got, ok := c.open.open(sessionHandle, sealed, "s", alice); ok != c.ok || ok && got != "S" {
			t.Errorf("%s: %q, %v", c.name, got, ok)
		}
		if _, ok := c.open.open(sessionHandle, sealed, "s", bob); ok {
			t.Errorf("%s: another principal opens it", c.name)
		}
		if _, ok := c.open.open(sessionHandle, sealed, "other", alice); ok {
			t.Errorf("%s: another server opens it", c.name)
		}
	}
}

// Any replica serves a session, a task and a request state, unless it lacks the key.
func TestReplicas(t *testing.T) {
	first := newBench(t, allowAll)
	first.Handles = sharing(t, secret("a"))
	first.server.answer = answerTo
	session := first.legacy(alice, "", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}`).session
	state := find(t, `"requestState":("[^"]+")`, first.post(toolCall("ask", "{}")).text)
	task := find(t, `"taskId":("[^"]+")`, first.post(toolCall("slow", "{}")).text)
	for _, c := range []struct {
		key    string
		status int
	}{{"a", 200}, {"b", 404}} {
		replica := newBench(t, allowAll)
		replica.Handles, replica.server.answer = sharing(t, secret(c.key)), answerTo
		for name, got := range map[string]*client{
			"session": replica.legacy(alice, session, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`),
			"state":   replica.post(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"t","requestState":` + state + `,` + meta + `}}`),
			"task":    replica.post(`{"jsonrpc":"2.0","id":7,"method":"tasks/get","params":{"taskId":` + task + `,` + meta + `}}`),
		} {
			if got.status != c.status {
				t.Errorf("key %s: %s: %d %s", c.key, name, got.status, got.text)
			}
		}
	}
}

func answerTo(out *mcp.Outgoing) *mcp.Answer {
	switch {
	case strings.Contains(out.Text, `"initialize"`):
		a := result(out, `{"protocolVersion":"2025-11-25"}`)
		a.Session = "S"
		return a
	case strings.Contains(out.Text, `"ask"`):
		return result(out, `{"resultType":"input_required","requestState":"raw"}`)
	case strings.Contains(out.Text, `"slow"`):
		return result(out, `{"resultType":"task","taskId":"raw-1","status":"working"}`)
	case strings.Contains(out.Text, "tasks/get"):
		return result(out, `{"taskId":"raw-1","status":"working"}`)
	}
	if h := out.Header.Get("Mcp-Session-Id"); h != "" && h != "S" {
		return &mcp.Answer{Status: http.StatusTeapot}
	}
	return result(out, `{}`)
}
