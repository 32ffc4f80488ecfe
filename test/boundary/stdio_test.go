package boundary

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

func patient() <-chan time.Time { return time.After(patience) }

// A stdioProbe sends messages to servers that are processes with taps.
type stdioProbe struct {
	tap      *stdioTap
	journal  *journal
	passages []passage
	stopped  int
	fences   int
	legacy   bool // the server knows older revisions only
}

// settle compares what was sent on, since the last message, with the records of it: in turn one for each
// message, and one line for each that was allowed. It reports whether anything was.
func (p *stdioProbe) settle(t *testing.T, name string, messages int, translated bool) bool {
	t.Helper()
	lines := slices.DeleteFunc(p.tap.take(t), func(b []byte) bool { return ofBridge(b, translated) })
	records := ofRequests(p.answered(t, name, lines))
	seen := p.tap.seen(t)
	if len(records) != messages {
		t.Errorf("%s: %d records of %d messages", name, len(records), messages)
		return false
	}
	passed := false
	for _, r := range records {
		switch {
		case r.Outcome == "reject":
			p.stopped++
		case r.Outcome != "allow":
			t.Errorf("%s: recorded %s", name, r.Outcome)
		case len(lines) == 0 && (r.Kind == "notifications/cancelled" || translated):
			// Of no request that is under way, or what older servers do not have.
		case len(lines) == 0:
			t.Errorf("%s: %s was allowed, and did not reach the server", name, r.Kind)
		default:
			r.mapped(t, lines[0], translated)
			var own []sighting
			own, seen = ofRecord(r, seen)
			p.passages = append(p.passages, passage{name, bytes.TrimSuffix(lines[0], []byte("\n")), r, own})
			lines, passed = lines[1:], true
		}
	}
	if len(lines) > 0 || len(seen) > 0 {
		t.Errorf("%s: the server was sent %.300q and saw %v, which nobody judged", name, lines, seen)
	}
	return passed
}

// answered waits until the requests among lines are answered, and returns all records but those of fences.
func (p *stdioProbe) answered(t *testing.T, name string, lines [][]byte) (all []record) {
	t.Helper()
	late := patient()
	for {
		all = append(all, slices.DeleteFunc(p.journal.next(t), func(r record) bool { return r.Kind == fenceMethod })...)
		waits := 0
		for _, line := range lines {
			waits += min(1, bytes.Count(line, []byte(`"id"`)))
		}
		for _, r := range all {
			if r.Phase == "response" {
				waits--
			}
		}
		if waits <= 0 {
			return all
		}
		select {
		case <-late:
			t.Fatalf("%s: %d requests are not answered", name, waits)
		case <-time.After(time.Millisecond):
		}
	}
}

// ofRecord splits sightings into that of a record, if there is one, and the others: several at once come in any order.
func ofRecord(r record, seen []sighting) (own, others []sighting) {
	for _, s := range seen {
		if r.saw(s) == nil {
			own = append(own, s)
		} else {
			others = append(others, s)
		}
	}
	return own, others
}

// ofBridge reports whether a line is of the gateway's own, by which it learns of a server's era or opens a session.
func ofBridge(line []byte, translated bool) bool {
	if bytes.Contains(line, []byte(`"method":"server/discover"`)) && bytes.Contains(line, []byte(`/clientInfo":{"name":"gatehouse"`)) {
		return true
	}
	return translated && (bytes.Contains(line, []byte(`"method":"initialize"`)) || bytes.Contains(line, []byte(`"method":"notifications/initialized"`)))
}

// mapped makes a record that of the message as the server has it: the progress token is the request's number.
func (r *record) mapped(t *testing.T, line []byte, translated bool) {
	var m struct{ ID any }
	decodeInto(t, line, &m)
	if translated {
		older(r.Input.Params)
	}
	params, _ := r.Input.Params.(map[string]any)
	if meta, _ := params["_meta"].(map[string]any); meta["progressToken"] != nil {
		meta["progressToken"] = m.ID
	}
	if _, number := m.ID.(json.Number); m.ID != nil && !number {
		t.Errorf("a request of id %v", m.ID)
	}
}

// stdioServers are real servers, and one that does nothing, on standard input and output.
var stdioServers = map[string]string{"go": "go", "ts1": "ts1-stdio.mjs", "ts2": "ts2-stdio.mjs", "recorder": "recorder"}

// TestStdioServers sends the corpus, and for one server mutations, over HTTP to servers that are processes.
// What reaches one means to every decoder, and to the server's own code, what was judged and recorded.
func TestStdioServers(t *testing.T) {
	t.Parallel()
	harness.Npm(t, "node")
	all := corpus(t)
	for name, kind := range stdioServers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &stdioProbe{tap: newStdioTap(t), legacy: name == "ts1"}
			gw := harness.StartGateway(t, harness.Options{Command: asChild(t, kind, p.tap.dir), Policy: "testdata/allow"})
			p.journal = openJournal(t, gw)
			s := &principal{}
			s.open(t, gw.URL)
			p.fenceHTTP(t, gw.URL, s.session)
			p.tap.take(t)
			p.tap.seen(t)
			p.journal.next(t)
			if name == "recorder" {
				r := rand.New(rand.NewPCG(20260728, 6))
				for i := range rounds {
					m := mutant(r)
					m.name = fmt.Sprintf("random %d", i)
					p.post(t, gw.URL, s.session, m)
				}
			} else {
				for _, m := range all {
					passed := false
					for _, posting := range m.postings() {
						passed = p.post(t, gw.URL, s.session, posting) || passed
					}
					if strings.HasPrefix(m.name, "pass-") != passed && !quiet[m.name] {
						t.Errorf("%s: reached the server: %v", m.name, passed)
					}
				}
			}
			p.finish(t, name != "recorder")
		})
	}
}

// quiet are messages that may pass, and that no server on a channel gets: nothing is to be cancelled.
var quiet = map[string]bool{"pass-notification": true}

// finish decodes what passed.
func (p *stdioProbe) finish(t *testing.T, executes bool) {
	t.Helper()
	check(t, p.passages)
	executed := 0
	for _, passed := range p.passages {
		executed += min(1, len(passed.seen))
	}
	t.Logf("%d stopped, %d passed, %d executed", p.stopped, len(p.passages), executed)
	if len(p.passages) < 40 || p.stopped < 40 || executes && executed == 0 {
		t.Error("too little to compare")
	}
}

// open opens a session.
func (p *principal) open(t *testing.T, url string) {
	t.Helper()
	resp := open(t, http.MethodPost, url, posting{p.name, opening, p.headers()})
	_ = resp.Body.Close()
	if p.session = resp.Header.Get("Mcp-Session-Id"); p.session == "" {
		t.Fatalf("%s: no session, HTTP %d", p.name, resp.StatusCode)
	}
}

const opening = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"` + legacy + `","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`

// post sends a message in a session, unless it is of the newer revision, which has none.
func (p *stdioProbe) post(t *testing.T, url, session string, m posting) bool {
	t.Helper()
	version := m.headers["Mcp-Protocol-Version"]
	h := map[string]string{}
	for name, value := range m.headers {
		h[name] = value
	}
	if version < modern {
		h["Mcp-Session-Id"] = session
	}
	status, answer := post(t, url, posting{m.name, m.text, h})
	if status >= 400 && (!json.Valid(answer) || !bytes.Contains(answer, []byte(`"error":{`))) {
		t.Errorf("%s: HTTP %d %.200s", m.name, status, answer)
	}
	p.fenceHTTP(t, url, session)
	return p.settle(t, m.name, 1, p.legacy && version >= modern)
}

func (p *stdioProbe) fence() string {
	p.fences++
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":"fence-%d","method":"%s"}`, p.fences, fenceMethod)
}

func (p *stdioProbe) fenceHTTP(t *testing.T, url, session string) {
	t.Helper()
	post(t, url, posting{"fence", p.fence(), map[string]string{"Mcp-Protocol-Version": legacy, "Mcp-Session-Id": session}})
	text := strings.TrimSuffix(p.fence(), "}") + `,"params":{` + metaMember + `}}`
	post(t, url, posting{"fence", text, map[string]string{"Mcp-Protocol-Version": modern, "Mcp-Method": fenceMethod}})
}

// framed are what a client may write that is not one message a line, and how many messages that is.
var framed = map[string]struct {
	text     string
	messages int
	passes   bool
}{
	"crlf":                 {call1 + "\r\n", 1, true},
	"cr alone":             {call1 + "\r" + call2 + "\n", 1, false},
	"cr as space":          {strings.ReplaceAll(call1, ",", ",\r") + "\n", 1, true},
	"two on a line":        {call1 + call2 + "\n", 1, false},
	"two with a space":     {call1 + " " + call2 + "\n", 1, false},
	"over two lines":       {strings.Replace(call1, ",", ",\n", 1) + "\n", 2, false},
	"lf in a string":       {strings.Replace(call1, "VALUE", "a\nb", 1) + "\n", 2, false},
	"a message in a lf":    {strings.Replace(call1, "VALUE", "a\n"+call2+"\n", 1) + "\n", 3, true}, // the middle one is one
	"U+2028":               {strings.Replace(call1, "VALUE", "\u2028"+escaped(call2)+"\u2028", 1) + "\n", 1, true},
	"U+2029":               {strings.Replace(call1, "VALUE", "\u2029"+escaped(call2)+"\u2029", 1) + "\n", 1, true},
	"U+0085":               {strings.Replace(call1, "VALUE", "\u0085"+escaped(call2)+"\u0085", 1) + "\n", 1, true},
	"U+2028 between":       {call1 + "\u2028" + call2 + "\n", 1, false},
	"U+0085 between":       {call1 + "\u0085" + call2 + "\n", 1, false},
	"form feed between":    {call1 + "\f" + call2 + "\n", 1, false},
	"vertical tab":         {call1 + "\v" + call2 + "\n", 1, false},
	"file separator":       {call1 + "\x1c" + call2 + "\n", 1, false},
	"nul":                  {call1 + "\x00\n", 1, false},
	"nul within":           {strings.Replace(call1, "VALUE", "\x00", 1) + "\n", 1, false},
	"nul between":          {call1 + "\x00" + call2 + "\n", 1, false},
	"bom":                  {"\ufeff" + call1 + "\n", 1, false},
	"invalid UTF-8":        {strings.Replace(call1, "VALUE", "\xff\xfe", 1) + "\n", 1, false},
	"overlong newline":     {strings.Replace(call1, "VALUE", "\xc0\x8a"+call2+"\xc0\x8a", 1) + "\n", 1, false},
	"batch":                {"[" + call1 + "," + call2 + "]\n", 1, false},
	"batch of none":        {"[]\n", 1, false},
	"blank lines":          {"\n\r\n \t\n" + call1 + "\n\n", 1, true},
	"only blank lines":     {"\n\n\r\n", 0, false},
	"too long":             {strings.Replace(call1, "VALUE", strings.Repeat("x", 65536), 1) + "\n", 1, false},
	"too long, and a call": {strings.Repeat("x", 70_000) + call2 + "\n", 1, false},
	"content-length":       {"Content-Length: 20\r\n\r\n" + call1 + "\n", 2, true},
	"http":                 {"POST /mcp HTTP/1.1\r\n" + call1 + "\n", 2, true},
	"sse":                  {"data: " + call1 + "\n", 1, false},
	"record separator":     {"\x1e" + call1 + "\n", 1, false},
	"huge id":              {strings.Replace(call1, `"id":"one"`, `"id":123456789012345678901234567890`, 1) + "\n", 1, false},
	"a long id":            {strings.Replace(call1, `"one"`, `"`+strings.Repeat("i", 10_000)+`"`, 1) + "\n", 1, true},
	"the same id twice":    {call1 + "\n" + call1 + "\n", 2, true},
	"the gateway's number": {strings.Replace(call1, `"one"`, `1`, 1) + "\n", 1, true},
	"a token like it":      {strings.Replace(call1, `"name"`, `"_meta":{"progressToken":1},"name"`, 1) + "\n", 1, true},
	"a subscription id":    {strings.Replace(call1, `"name"`, `"_meta":{"io.modelcontextprotocol/subscriptionId":1},"name"`, 1) + "\n", 1, true},
	"cancelled by number":  {`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}` + "\n", 1, false},
	"cancelled by text":    {`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"1"}}` + "\n", 1, false},
	"cancelled by object":  {`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":{"a":1}}}` + "\n", 1, false},
	"cancels nothing":      {`{"jsonrpc":"2.0","method":"notifications/cancelled"}` + "\n", 1, false},
	"an answer unasked":    {`{"jsonrpc":"2.0","id":1,"result":{"action":"accept"}}` + "\n", 1, false},
	"an error unasked":     {`{"jsonrpc":"2.0","id":"1","error":{"code":1,"message":"x"}}` + "\n", 1, false},
	"an answer to none":    {`{"jsonrpc":"2.0","id":null,"result":{}}` + "\n", 1, false},
}

const (
	call1 = `{"jsonrpc":"2.0","id":"one","method":"tools/call","params":{"name":"echo","arguments":{"a":"VALUE"}}}`
	call2 = `{"jsonrpc":"2.0","id":"two","method":"tools/call","params":{"name":"echo","arguments":{"b":"smuggled"}}}`
)

func escaped(text string) string { return strings.ReplaceAll(text, `"`, `\"`) }

// TestWrapBoundary writes the corpus, mutations, and lines that are none to gatehouse wrap.
func TestWrapBoundary(t *testing.T) {
	t.Parallel()
	harness.Npm(t, "node")
	all := corpus(t)
	for name, kind := range stdioServers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &stdioProbe{tap: newStdioTap(t), legacy: name == "ts1"}
			w := startWrap(t, "testdata/allow", asChild(t, kind, p.tap.dir))
			if name != "recorder" {
				w.say(t, opening+"\n")
				w.hear(t)
			}
			p.fenceLine(t, w)
			p.journal = openJournal(t, &harness.Gateway{Audit: w.audit})
			p.tap.take(t)
			p.tap.seen(t)
			p.journal.next(t)
			for what, f := range framed {
				if passed := p.write(t, w, what, f.text, f.messages); passed != f.passes {
					t.Errorf("%s: reached the server: %v", what, passed)
				}
			}
			if name == "recorder" {
				r := rand.New(rand.NewPCG(20260728, 7))
				for i := range rounds {
					text := mutant(r).text + "\n"
					p.write(t, w, fmt.Sprintf("random %d", i), text, linesIn(text))
				}
			} else {
				for _, m := range all {
					if !strings.Contains(m.name, "initialize") { // a second one
						p.write(t, w, m.name, m.text+"\n", linesIn(m.text+"\n"))
					}
				}
			}
			p.write(t, w, "half a line", "", 0)
			w.say(t, call2) // no line, so no message
			_ = w.in.Close()
			for range w.lines { // answers that came late
			}
			<-w.Done()
			if lines := p.tap.take(t); len(lines) > 0 {
				t.Errorf("at the end the server was sent %q", lines)
			}
			p.finish(t, name != "recorder")
		})
	}
}

// linesIn is how many messages a text is over stdio.
func linesIn(text string) int {
	n := 0
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) != "" && strings.HasSuffix(line, "\n") {
			n++
		}
	}
	return n
}

// write writes a text, and waits until all of it has been dealt with.
func (p *stdioProbe) write(t *testing.T, w *pipeline, name, text string, messages int) bool {
	t.Helper()
	w.say(t, text)
	p.fenceLine(t, w)
	return p.settle(t, name, messages, p.legacy && strings.Contains(text, "io.modelcontextprotocol/protocolVersion"))
}

// fenceLine waits for the answer to a fence. Answers to what came before may come after it.
func (p *stdioProbe) fenceLine(t *testing.T, w *pipeline) {
	t.Helper()
	fence := p.fence()
	w.say(t, fence+"\n")
	for {
		line := w.hear(t)
		if !json.Valid([]byte(line)) || strings.Count(line, "\n") != 1 {
			t.Errorf("heard %.300q", line)
		}
		if strings.Contains(line, fmt.Sprintf(`"id":"fence-%d"`, p.fences)) {
			return
		}
	}
}
