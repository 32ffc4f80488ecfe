package boundary

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

func decodeInto(t testing.TB, text []byte, into any) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(into); err != nil {
		t.Errorf("%v: %.300s", err, text)
	}
}

// A passage is a message that reached a server, with the record of its decision and what the server's own
// code then saw.
type passage struct {
	name   string
	body   []byte
	record record
	seen   []sighting
}

// check compares the record of each passage with what every decoder makes of the bytes, and with what the
// server's code was given.
func check(t *testing.T, passages []passage) {
	t.Helper()
	for name, decode := range decoders(t) {
		values, errs := decode(t, passages)
		for i, p := range passages {
			err := errs[i]
			if err == nil {
				err = p.record.tells(values[i])
			}
			if err != nil {
				t.Errorf("%s: %s: %v\n%.600q", p.name, name, err, p.body)
			}
		}
	}
	for _, p := range passages {
		for _, s := range p.seen {
			if err := p.record.saw(s); err != nil {
				t.Errorf("%s: the server's code: %v\n%.600q", p.name, err, p.body)
			}
		}
	}
}

// A batch decodes the bodies of all passages. For each it gives a value or an error.
type batch func(*testing.T, []passage) ([]any, []error)

// decoders are the ways in which servers read messages: as objects of Go, Node and Python, with the codec of
// the Go SDK, and as structs, to which the case of names is nothing.
func decoders(t *testing.T) map[string]batch {
	all := map[string]batch{
		"encoding/json": each(goObject), "structs": each(goStruct), "Go SDK": each(goSDK),
		"Node": script(func() *exec.Cmd { return exec.Command("node", "node/decode.mjs") }),
	}
	if path, err := exec.LookPath("python3"); err == nil {
		all["Python"] = script(func() *exec.Cmd { return exec.Command(path, "testdata/decode.py") })
	} else {
		t.Log("no python3, so one decoder less")
	}
	return all
}

func each(decode func([]byte) (any, error)) batch {
	return func(_ *testing.T, passages []passage) ([]any, []error) {
		values, errs := make([]any, len(passages)), make([]error, len(passages))
		for i, p := range passages {
			values[i], errs[i] = decode(p.body)
		}
		return values, errs
	}
}

func goObject(body []byte) (v any, err error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if err = dec.Decode(&v); err != nil {
		return nil, err
	}
	if _, err = dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("data after the message")
	}
	return v, nil
}

// goStruct decodes into a map by way of structs.
func goStruct(body []byte) (any, error) {
	var m struct {
		Method string          `json:"method"`
		Params json.RawMessage `json:"params"`
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, err
	}
	return object(m.Method, m.Params)
}

func goSDK(body []byte) (any, error) {
	m, err := jsonrpc.DecodeMessage(body)
	if err != nil {
		return nil, err
	}
	req, ok := m.(*jsonrpc.Request)
	if !ok {
		return nil, fmt.Errorf("a %T", m)
	}
	return object(req.Method, req.Params)
}

// object is a message with params whose members that name what is executed are read as structs read them.
func object(method string, params []byte) (any, error) {
	message := map[string]any{"method": method}
	if len(params) == 0 {
		return message, nil
	}
	v, err := goObject(params)
	if err != nil {
		return nil, err
	}
	message["params"] = v
	switch method {
	case "tools/call", "prompts/get":
		var p struct {
			Name      string          `json:"name"`
			Arguments json.RawMessage `json:"arguments"`
		}
		if err := json.Unmarshal(params, &p); err != nil {
			return nil, err
		}
		v.(map[string]any)["name"] = p.Name
		if p.Arguments != nil {
			v.(map[string]any)["arguments"], err = goObject(p.Arguments)
		}
	case "resources/read", "resources/subscribe", "resources/unsubscribe":
		var p struct {
			URI string `json:"uri"`
		}
		err = json.Unmarshal(params, &p)
		if _, there := v.(map[string]any)["uri"]; there || p.URI != "" {
			v.(map[string]any)["uri"] = p.URI
		}
	}
	return message, err
}

// script is a process that decodes a line at a time.
func script(command func() *exec.Cmd) batch {
	return func(t *testing.T, passages []passage) ([]any, []error) {
		var in strings.Builder
		for _, p := range passages {
			in.WriteString(base64.StdEncoding.EncodeToString(p.body) + "\n")
		}
		cmd := command()
		cmd.Stdin = strings.NewReader(in.String())
		var out bytes.Buffer
		cmd.Stdout = &out
		p := harness.Start(t, cmd)
		<-p.Done()
		values, errs := make([]any, len(passages)), make([]error, len(passages))
		lines := bytes.Split(bytes.TrimSuffix(out.Bytes(), []byte("\n")), []byte("\n"))
		if len(lines) != len(passages) && len(passages) > 0 {
			t.Fatalf("%d lines for %d messages: %v", len(lines), len(passages), p.Err())
		}
		for i := range passages {
			var said struct {
				Value any
				Error string
			}
			decodeInto(t, lines[i], &said)
			if values[i] = said.Value; said.Error != "" {
				errs[i] = errors.New(said.Error)
			}
		}
		return values, errs
	}
}

// tells reports how a record differs from a message as it was decoded.
func (r *record) tells(message any) error {
	m, _ := message.(map[string]any)
	if method, _ := m["method"].(string); method != r.Kind {
		return fmt.Errorf("method %q, recorded %q", method, r.Kind)
	}
	params, _ := m["params"].(map[string]any)
	if err := r.names(sighting{Method: r.Kind, Name: params["name"], URI: params["uri"]}); err != nil {
		return err
	}
	if r.Kind == "completion/complete" {
		ref, _ := params["ref"].(map[string]any)
		if !same(r.Resource, text(ref["uri"])) || r.Prompt != text(ref["name"]) {
			return fmt.Errorf("ref %v, recorded %q %q", ref, r.Resource, r.Prompt)
		}
	}
	if !same(r.Input.Params, m["params"]) {
		return fmt.Errorf("params %v, recorded %v", m["params"], r.Input.Params)
	}
	return nil
}

// saw reports how a record differs from what a server's code was given. Some SDKs make an empty object of
// arguments that are not there.
func (r *record) saw(s sighting) error {
	if s.Method != r.Kind {
		return fmt.Errorf("method %q, recorded %q", s.Method, r.Kind)
	}
	params, _ := r.Input.Params.(map[string]any)
	recorded := params["arguments"]
	if (!empty(recorded) || !empty(s.Arguments)) && !same(recorded, s.Arguments) {
		return fmt.Errorf("arguments %v, recorded %v", s.Arguments, recorded)
	}
	return r.names(s)
}

func empty(arguments any) bool {
	o, ok := arguments.(map[string]any)
	return arguments == nil || ok && len(o) == 0
}

// text is a value that has to be a string, if it is there.
func text(v any) string {
	if v == nil {
		return ""
	}
	s, ok := v.(string)
	if !ok {
		return fmt.Sprintf("not a string: %v", v)
	}
	return s
}

func (r *record) names(s sighting) error {
	want := map[string]string{
		"tools/call": r.Tool, "prompts/get": r.Prompt, "resources/read": r.Resource,
		"resources/subscribe": r.Resource, "resources/unsubscribe": r.Resource,
	}
	target := text(s.Name)
	if strings.HasPrefix(r.Kind, "resources/") {
		target = text(s.URI)
	}
	if name, ok := want[r.Kind]; ok && !same(name, target) {
		return fmt.Errorf("%q, recorded %q", target, name)
	}
	return nil
}

// same reports whether a value is what was recorded of it. Numbers are doubles; what is masked may be
// anything.
func same(recorded, got any) bool {
	switch r := recorded.(type) {
	case string:
		s, ok := got.(string)
		return ok && s == r || strings.Contains(r, "***")
	case json.Number:
		n, ok := got.(json.Number)
		return ok && double(r) == double(n)
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(r) {
			return false
		}
		for i := range r {
			if !same(r[i], g[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok || len(g) != len(r) {
			return false
		}
		for name, v := range r {
			if w, there := g[name]; !there || !same(v, w) {
				return false
			}
		}
		return true
	}
	return recorded == got
}

func double(n json.Number) float64 {
	f, err := strconv.ParseFloat(string(n), 64)
	if err != nil {
		return math.NaN()
	}
	return f
}
