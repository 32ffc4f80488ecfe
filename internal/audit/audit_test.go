package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

func parse(t testing.TB, text string) mcp.Value {
	t.Helper()
	v, err := mcp.ParseValue(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func full(t testing.TB) *Record {
	params := parse(t, `{"name":"n","arguments":{"n":9007199254740993,"password":"hunter2","a":[1.0,null,{"x":true}]}}`)
	return &Record{
		Time: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.FixedZone("", 3600)), DecisionID: "D1",
		Input: &policy.Input{
			Phase: policy.Request, Kind: "tools/call", Server: "s", Params: params, RequestIP: "192.0.2.1",
			User: policy.User{ID: "alice", Roles: []string{"a", "b"}, Auth: "jwt", Claims: map[string]any{"x": "canary"}},
			Tool: &policy.Tool{Name: "n", Args: params.Get("arguments"), Annotations: parse(t, `{"readOnlyHint":true,"title":"canary","x":["canary"]}`)},
			Headers: http.Header{
				"Authorization": {"Bearer canary"}, "X-Own-Key": {"canary"}, "Accept": {"a", "b"}, "Mcp-Name": {"=?base64?Y2FuYXJ5?="},
			},
			ClientName: "c", ClientVersion: "1", ProtocolVersion: "2026-07-28", Transport: "http",
		},
		Mode: "enforce", Outcome: Deny, Code: policy.CodeDeny, Reason: "role_mismatch", Message: "blocked by rego: role_mismatch",
		Status: 403, Revision: "one", SHA256: "abc", Eval: 1500, Judged: 3, Hidden: 2,
	}
}

func line(t testing.TB, r *Record, input bool) string {
	t.Helper()
	var out strings.Builder
	if err := NewLog(&out, input).Write(r); err != nil {
		t.Fatal(err)
	}
	return unlinked(t, out.String())
}

// unlinked is a text of whole records without what makes them links of a chain.
func unlinked(t testing.TB, text string) string {
	t.Helper()
	var bare strings.Builder
	for line := range strings.Lines(text) {
		record, end := strings.CutSuffix(line, "\n")
		l, ok := parseLink([]byte(record))
		if !ok {
			bare.WriteString(line)
			continue
		}
		if !end || !l.signed(newHasher(nil), []byte(record)) {
			t.Errorf("not a link: %q", line)
		}
		record, _, _ = strings.Cut(record[:l.hashed], `,"chain":"`+string(l.chain[:]))
		record = regexp.MustCompile(`,"torn":\d+$`).ReplaceAllString(record, "")
		bare.WriteString(record + "}\n")
	}
	return bare.String()
}

const (
	goldenHead = `{"ts":"2026-01-02T02:04:05.000006Z","decision_id":"D1","phase":"request","kind":"tools/call","server":"s","tool":"n",` +
		`"user":"alice","auth":"jwt","request_ip":"192.0.2.1","mode":"enforce","outcome":"deny","code":"policy_deny","reason":"role_mismatch",` +
		`"message":"blocked by rego: role_mismatch","status":403,"bundle":{"revision":"one","sha256":"abc"},"eval_ns":1500,"items":3,"hidden":2`
	goldenArgs  = `{"n":9007199254740993,"password":"***","a":[1.0,null,{"x":true}]}`
	goldenInput = `,"input":{"version":1,"phase":"request","kind":"tools/call","server":"s",` +
		`"user":{"id":"alice","roles":["a","b"],"auth":"jwt","claims":"***"},"tool":{"name":"n","args":` + goldenArgs + `,"annotations":{"readOnlyHint":true,"title":"***","x":"***"}},` +
		`"params":{"name":"n","arguments":` + goldenArgs + `},"request_ip":"192.0.2.1",` +
		`"headers":{"accept":"a, b","authorization":"***","mcp-name":"***","x-own-key":"***"},` +
		`"client":{"name":"c","version":"1"},"protocol_version":"2026-07-28","transport":"http"}`
)

func TestGolden(t *testing.T) {
	r := full(t)
	for _, c := range []struct{ name, got, want string }{
		{"without input", line(t, r, false), goldenHead + "}\n"},
		{"with input", line(t, r, true), goldenHead + goldenInput + "}\n"},
		{"nothing known", line(t, &Record{Time: time.Unix(0, 0), Outcome: Reject}, true), `{"ts":"1970-01-01T00:00:00.000000Z","outcome":"reject"}` + "\n"},
		{
			"rejected", line(t, &Record{Time: time.Unix(0, 0), Outcome: Reject, Input: &policy.Input{Phase: policy.Request, Params: r.Input.Params}, Status: 400, Size: 9, Digest: "d"}, true),
			`{"ts":"1970-01-01T00:00:00.000000Z","phase":"request","outcome":"reject","status":400,"size":9,"body_sha256":"d"}` + "\n",
		},
		{
			"patched", line(t, &Record{Time: time.Unix(0, 0), Outcome: Patch, Input: &policy.Input{}, Patched: true}, false),
			`{"ts":"1970-01-01T00:00:00.000000Z","outcome":"patch","patched":true}` + "\n",
		},
		{
			"candidate", line(t, &Record{
				Time: time.Unix(0, 0), DecisionID: "D1", Mode: "enforce", Input: &policy.Input{Phase: policy.Request, Params: r.Input.Params}, Revision: "one", SHA256: "abc",
				Candidate: &Candidate{Change: "newly_denied", Revision: "two\n", SHA256: "def", Outcome: Deny, Code: "policy_deny", Reason: "no", Eval: 7},
			}, true),
			`{"ts":"1970-01-01T00:00:00.000000Z","decision_id":"D1","phase":"request","mode":"enforce","bundle":{"revision":"one","sha256":"abc"},` +
				`"candidate":{"change":"newly_denied","revision":"two\u000a","sha256":"def","outcome":"deny","code":"policy_deny","reason":"no","eval_ns":7}}` + "\n",
		},
	} {
		if c.got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, c.got, c.want)
		}
	}
}

func TestSubjects(t *testing.T) {
	for name, c := range map[string]struct {
		in                policy.Input
		head, input, none string
	}{
		"resource": {policy.Input{Resource: policy.ParseResource("http://u:canary@h/a?k=canary#canary")}, `"resource":"http://***@h/a?***#***"`, `"resource":{"uri":"http://***@h/a?***#***"}`, "canary"},
		"template": {policy.Input{Resource: &policy.Resource{URI: "a://{x}", Template: true}}, `"resource":"a://{x}"`, `"resource":{"uri":"a://{x}","template":true}`, "canary"},
		"prompt":   {policy.Input{Prompt: &policy.Prompt{Name: "p", Args: parse(t, `{"token":"canary"}`)}}, `"prompt":"p"`, `"prompt":{"name":"p","args":{"token":"***"}}`, "canary"},
		"no args":  {policy.Input{Tool: &policy.Tool{Name: "p"}}, `"tool":"p"`, `"tool":{"name":"p"}`, "args"},
		"result":   {policy.Input{Response: parse(t, `{"a":"canary"}`)}, "", `"response":"***"`, "canary"},
		"error":    {policy.Input{Error: parse(t, `{"a":"canary"}`)}, "", `"error":"***"`, "canary"},
	} {
		got := line(t, &Record{Input: &c.in, Outcome: Allow}, true)
		if !json.Valid([]byte(got)) || !strings.Contains(got, c.head) || !strings.Contains(got, c.input) || strings.Contains(got, c.none) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// Records of one exchange are what each would be by itself.
func TestShared(t *testing.T) {
	var shared Shared
	large := `{"a":"` + strings.Repeat("a", maxShared) + `"}`
	for _, params := range []string{`{"token":"x","b":[1]}`, `{"token":"x","b":[1]}`, large, `{"b":"sk-1"}`, ``, `{"b":"sk-1"}`, `[]`} {
		r := full(t)
		r.Input.Params = mcp.Value{}
		if params != "" {
			r.Input.Params = parse(t, params)
		}
		want := line(t, r, true)
		for range 2 {
			r.Shared = &shared
			if got := line(t, r, true); got != want {
				t.Errorf("%.40s:\n got %s\nwant %s", params, got, want)
			}
		}
	}
	if len(shared.text) > maxShared {
		t.Errorf("%d bytes are kept", len(shared.text))
	}
	r := full(t)
	r.Input.Params = parse(t, `{"b":[1]}`)
	for name, change := range map[string]func(in *policy.Input){
		"none":           func(*policy.Input) {},
		"phase":          func(in *policy.Input) { in.Phase = policy.Response },
		"response":       func(in *policy.Input) { in.Response = parse(t, `{}`) },
		"kind":           func(in *policy.Input) { in.Kind = "notifications/message" },
		"tool":           func(in *policy.Input) { in.Tool = &policy.Tool{Name: "another", Args: parse(t, `{"x":1}`)} },
		"no tool":        func(in *policy.Input) { in.Tool = nil },
		"resource":       func(in *policy.Input) { in.Resource = policy.ParseResource("file:///x") },
		"prompt":         func(in *policy.Input) { in.Prompt = &policy.Prompt{Name: "p"} },
		"server request": func(in *policy.Input) { in.Phase, in.Params = policy.ServerRequest, parse(t, `{"canary":1}`) },
		"item":           func(in *policy.Input) { in.Phase, in.Headers = policy.List, nil },
	} {
		next := *r.Input
		change(&next)
		changed := *r
		changed.Input, changed.Shared = &next, nil
		want := line(t, &changed, true)
		r.Shared, changed.Shared = &shared, &shared
		line(t, r, true)
		if got := line(t, &changed, true); got != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
}

func TestMask(t *testing.T) {
	for text, want := range map[string]string{
		`{"pin":1,"PASS":"x","ssh_key":"x","spin":1,"author":"x","compass":"x"}`: `{"pin":"***","PASS":"***","ssh_key":"***","spin":1,"author":"x","compass":"x"}`,
		`{"password":"x","PassWord":1,"user_password_2":[1]}`:                    `{"password":"***","PassWord":"***","user_password_2":"***"}`,
		`{"api_key":"x","apiKey":"x","X-API-Key":"x","accessKeyId":{"a":1}}`:     `{"api_key":"***","apiKey":"***","X-API-Key":"***","accessKeyId":"***"}`,
		`{"Authorization":"x","cookie":"x","client_secret":null,"idToken":true}`: `{"Authorization":"***","cookie":"***","client_secret":"***","idToken":"***"}`,
		`[{"a":[{"passphrase":"x","credentials":[]}]}]`:                          `[{"a":[{"passphrase":"***","credentials":"***"}]}]`,
		`{"private_key":"x","signature":"x","pwd":"x","city":"x"}`:               `{"private_key":"***","signature":"***","pwd":"***","city":"x"}`,
		`["Bearer abc","sk-abc","key: ghp_abc","eyJhbGciOi","AKIA1","xoxb-1"]`:   `["***","***","***","***","***","***"]`,
		`["-----BEGIN RSA PRIVATE KEY-----","Basic YTpi","github_pat_1"]`:        `["***","***","***"]`,
		`["task-12","risk-free","disk-usage","bareyJ","xAKIA","sk"]`:             `["task-12","risk-free","disk-usage","bareyJ","xAKIA","sk"]`,
		`["task-1 sk-2"]`: `["***"]`,
		`["http://u:p@h/a","http://h/a?b=c","http://h/a#b","http://h/a","a@b?c"]`:              `["http://***@h/a","http://h/a?***","http://h/a#***","http://h/a","a@b?c"]`,
		`["see http://u:p@h/","/x http://u:p@h/","x: http://u:p@h/","http://h/http://u:p@h/"]`: `["***","***","***","***"]`,
		`{"uri":"db://u:p@h/a"}`:                      `{"uri":"db://***@h/a"}`,
		`["http://h/ä b#","http://h/a?","HTTP://H/"]`: `["http://h/ä b#","http://h/a?","HTTP://H/"]`, // nothing is hidden
		`{}`:           `{}`,
		`[]`:           `[]`,
		`[[],{},[{}]]`: `[[],{},[{}]]`,
		`[1e2,-0,9007199254740993,true,false,null,""]`: `[1e2,-0,9007199254740993,true,false,null,""]`,
	} {
		if got := string(appendValue(nil, parse(t, text))); got != want {
			t.Errorf("%s:\n got %s\nwant %s", text, got, want)
		}
	}
}

// nasty is what ends lines, turns text around, moves cursors, or is no text.
var nasty = []string{
	"\n", "\r\n", "\x00", "\x1b[31m", "\x7f", "\u0085", "\u009b", "\u2028", "\u2029", "\u202e", "\u2066", "\u200b", "\ufeff", "\U000e0041",
	"\xff", "\xc3", "\xed\xa0\x80", `"`, `\`, `\"`, `"}`, "</script>", "é", "日本", "😀", "e\u0301",
}

func TestOneLine(t *testing.T) {
	for _, s := range nasty {
		r := full(t)
		for _, field := range []*string{
			&r.DecisionID, &r.Mode, &r.Code, &r.Reason, &r.Message, &r.Revision, &r.SHA256, &r.Digest,
			&r.Input.Kind, &r.Input.Server, &r.Input.RequestIP, &r.Input.User.ID, &r.Input.User.Auth, &r.Input.User.Roles[0],
			&r.Input.Tool.Name, &r.Input.ClientName, &r.Input.ClientVersion, &r.Input.ProtocolVersion, &r.Input.Transport,
		} {
			*field = "a" + s + "b"
		}
		r.Input.Headers = http.Header{"X-Own": {s}, "Accept": {s}}
		check(t, line(t, r, true), "a"+s+"b")
	}
}

// check wants one line of JSON that shows what it holds and holds what it should.
func check(t *testing.T, got, reason string) {
	t.Helper()
	if strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, "\n") {
		t.Errorf("not one line: %q", got)
	}
	if i := strings.IndexFunc(got[:len(got)-1], func(c rune) bool { return !unicode.IsPrint(c) }); i >= 0 {
		t.Errorf("%q is not printable in %q", got[i], got)
	}
	v, err := mcp.ParseValue(got)
	if err != nil {
		t.Fatalf("%q: %v", got, err)
	}
	if got := v.Get("reason").String(); got != strings.ToValidUTF8(reason, "\ufffd") && !strings.Contains(reason, "\xed") {
		t.Errorf("reason %q, want %q", got, reason)
	}
}

func FuzzRecord(f *testing.F) {
	for _, s := range nasty {
		f.Add(s, `{"a":"`+"b"+`"}`)
	}
	f.Add("http://u:p@h/?q#f", `{"password":{"a":[]},"b":["sk-1","\u2028"]}`)
	f.Fuzz(func(t *testing.T, s, args string) {
		r := full(t)
		v, err := mcp.ParseValue(args)
		if err != nil {
			v = mcp.Value{}
		}
		r.Input.Tool.Args, r.Input.Params, r.Input.Tool.Name, r.Reason = v, v, s, s
		r.Input.User.ID, r.Input.User.Roles, r.Input.Headers = s, []string{s, s}, http.Header{s: {s}}
		r.Input.Resource, r.Input.Response = policy.ParseResource(s), v
		got := line(t, r, true)
		if strings.Count(got, "\n") != 1 || strings.ContainsFunc(strings.TrimSuffix(got, "\n"), func(c rune) bool { return !unicode.IsPrint(c) }) {
			t.Errorf("%q", got)
		}
		if !json.Valid([]byte(got)) {
			t.Errorf("not JSON: %q", got)
		}
	})
}

// A writer takes only so many bytes of each line, and says so or not.
type writer struct {
	bytes.Buffer
	room   int
	silent bool
}

var errFull = errors.New("disk full")

func (w *writer) Write(p []byte) (int, error) {
	if len(p) <= w.room {
		return w.Buffer.Write(p)
	}
	n, _ := w.Buffer.Write(p[:w.room])
	if w.silent {
		return n, nil
	}
	return n, errFull
}

func TestWriterFails(t *testing.T) {
	const roomy = 1 << 20
	r := full(t)
	for _, c := range []struct {
		name   string
		room   int
		silent bool
		err    error
		torn   string
	}{
		{"whole", 0, false, errFull, ""},
		{"half", 10, false, errFull, `{"ts":"202` + "\n"},
		{"short", 10, true, io.ErrShortWrite, `{"ts":"202` + "\n"},
	} {
		w := &writer{room: c.room, silent: c.silent}
		l := NewLog(w, false)
		if err := l.Write(r); !errors.Is(err, c.err) {
			t.Errorf("%s: %v", c.name, err)
		}
		if w.room = 0; c.torn != "" {
			w.silent = false
			if err := l.Write(r); !errors.Is(err, errFull) {
				t.Errorf("%s: still full: %v", c.name, err)
			}
		}
		w.room = roomy
		for range 2 {
			if err := l.Write(r); err != nil {
				t.Errorf("%s: with room again: %v", c.name, err)
			}
		}
		if got, want := unlinked(t, w.String()), c.torn+line(t, r, false)+line(t, r, false); got != want {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, want)
		}
		if found := verify(t, nil, w.String()); len(found) > 0 {
			t.Errorf("%s: %v", c.name, found)
		}
	}
}

func TestOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	r := full(t)
	for range 2 {
		l, err := Open(Config{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Write(r); err != nil {
			t.Error(err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if err := l.Write(r); err == nil {
			t.Error("wrote to a closed file")
		}
	}
	raw, err := os.ReadFile(path)
	if want := strings.Repeat(line(t, r, false), 2); err != nil || unlinked(t, string(raw)) != want {
		t.Errorf("%v, got %s", err, raw)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, mode %v", err, info.Mode())
	}
	if _, err := Open(Config{Path: t.TempDir()}); err == nil {
		t.Error("opened a directory")
	}
	if _, err := Open(Config{Path: filepath.Join(path, "x")}); err == nil {
		t.Error("opened a file below a file")
	}
	var out strings.Builder
	l, err := Open(Config{Path: "-", Stdout: &out})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.Write(r), l.Close(), l.Write(r)); err != nil || strings.Count(out.String(), "\n") != 2 {
		t.Errorf("stdout: %v, %s", err, out.String())
	}
}

func TestConcurrentWrites(t *testing.T) {
	var out bytes.Buffer
	l := NewLog(&out, true)
	r := full(t)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 50 {
				if err := l.Write(r); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if want := strings.Repeat(line(t, r, true), 400); unlinked(t, out.String()) != want {
		t.Error("lines are mixed")
	}
}

func BenchmarkWrite(b *testing.B) {
	for name, input := range map[string]bool{"input=none": false, "input=masked": true} {
		b.Run(name, func(b *testing.B) {
			l, r := NewLog(io.Discard, input), full(b)
			b.ReportAllocs()
			for b.Loop() {
				if err := l.Write(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
