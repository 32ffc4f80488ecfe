package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// echo denies in one phase, and says as the reason what it sees.
const echo = `package mcp

decision := {"allow": input.phase != "%s", "reason": json.marshal(input)}
`

// What the proxy asks OPA is what the gateway asks its own policy, member by
// member, but for what the gateway finds out for its policy.
func TestOPAIsAskedWhatTheGatewayAsks(t *testing.T) {
	server := httptest.NewServer(upstream())
	defer server.Close()
	binary, err := buildGatehouse(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	asked := map[any]map[string]any{}
	opa := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		input := member(t, r.Body, "input").(map[string]any)
		asked[input["phase"]] = input
		_, _ = io.WriteString(w, `{"result": {"allow": true}}`)
	}))
	defer opa.Close()
	handler, err := newOPAProxy(server.URL, opa.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(handler)
	defer proxy.Close()
	for _, phase := range []string{"request", "response"} {
		gateway := echoing(t, binary, server.URL, phase)
		for _, answer := range []string{"JSON", "SSE"} {
			s := scenario{tool: "temp.convert", answer: answer, size: 1}
			if err := newClient(s).call(proxy.URL); err != nil {
				t.Fatal(err)
			}
			seen := reason(t, newClient(s), gateway)
			delete(seen, "scan")
			for _, doc := range []map[string]any{seen, asked[phase]} {
				delete(doc["headers"].(map[string]any), "host") // each has its own
			}
			if !reflect.DeepEqual(asked[phase], seen) {
				t.Errorf("%s, %s: OPA is asked\n%v\nand the gateway's policy\n%v", phase, answer, asked[phase], seen)
			}
		}
	}
}

// What OPA does not allow, or would patch, does not pass.
func TestOPAIsObeyed(t *testing.T) {
	reached := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached++
		upstream().ServeHTTP(w, r)
	}))
	defer server.Close()
	var answers []string
	opa := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, answers[0])
		answers = answers[1:]
	}))
	defer opa.Close()
	handler, err := newOPAProxy(server.URL, opa.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(handler)
	defer proxy.Close()
	c := newClient(scenario{tool: "temp.convert", answer: "JSON", size: 1})
	const allow, deny = `{"result": {"allow": true}}`, `{"result": {"allow": false}}`
	for _, test := range []struct {
		answers         []string
		passes, reaches bool
	}{
		{[]string{allow, allow}, true, true},
		{[]string{deny}, false, false},
		{[]string{`{}`}, false, false},
		{[]string{`nonsense`}, false, false},
		{[]string{allow, deny}, false, true},
		{[]string{allow, `{"result": {"allow": true, "patch": []}}`}, false, true},
	} {
		answers, reached = test.answers, 0
		if err := c.call(proxy.URL); (err == nil) != test.passes || (reached == 1) != test.reaches {
			t.Errorf("%v: %v, reached %d times", test.answers, err, reached)
		}
	}
}

// echoing starts a gateway whose policy denies in a phase, and returns its URL.
func echoing(t *testing.T, binary, server, phase string) string {
	t.Helper()
	f := &field{dir: t.TempDir(), server: server}
	t.Cleanup(f.stop)
	policies := t.TempDir()
	err := os.WriteFile(filepath.Join(policies, "echo.rego"), fmt.Appendf(nil, echo, phase), 0o600)
	if err == nil {
		err = f.build(binary, policies)
	}
	if err == nil {
		err = f.gatehouse(binary, "enforce")
	}
	if err != nil {
		t.Fatal(err)
	}
	return f.peers[0].url
}

// reason is the input that stands in the reason of a denial.
func reason(t *testing.T, c *client, url string) (input map[string]any) {
	t.Helper()
	r, err := c.request(url)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	bad, _ := member(t, resp.Body, "error").(map[string]any)
	data, _ := bad["data"].(map[string]any)
	text, _ := data["reason"].(string)
	if err := json.Unmarshal([]byte(text), &input); err != nil {
		t.Fatalf("%v: %v", err, bad)
	}
	return input
}

func member(t *testing.T, body io.Reader, name string) any {
	t.Helper()
	var object map[string]any
	if err := json.NewDecoder(body).Decode(&object); err != nil {
		t.Error(err)
	}
	return object[name]
}
