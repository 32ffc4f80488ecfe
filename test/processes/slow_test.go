package processes

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
)

// A caller who does not read what a call of its tells without end holds up nobody who shares the process, and
// takes no more memory than it may. Its call is cancelled, and when it reads on it is told so.
func TestSlowReader(t *testing.T) {
	const bound = 256 << 20
	s := newStage(t, nil)
	session := s.session(modern)
	pid := s.must(session, "pid")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL, strings.NewReader(
		`{"jsonrpc":"2.0","id":"slow","method":"tools/call","params":{"name":"flood","arguments":{},"_meta":{"progressToken":1,`+
			`"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{
		"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"},
		"Mcp-Protocol-Version": {modern}, "Mcp-Method": {"tools/call"}, "Mcp-Name": {"flood"},
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	for range 20 {
		if again := s.must(session, "pid"); again != pid {
			t.Fatalf("process %s in place of %s", again, pid)
		}
	}
	ctx, leave := context.WithCancel(t.Context())
	other := make(chan struct{}) // one who waits while the slow one still does
	go func() {
		defer close(other)
		_, _ = call(ctx, session, "hang")
	}()
	s.Await(t, "the end of the call", s.noted("cancelled"))
	if peak := s.PeakMemory(t); peak > bound {
		t.Errorf("memory rose to %d MiB", peak>>20)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if last := text[bytes.LastIndex(text, []byte("\ndata: ")):]; !bytes.Contains(last, []byte(`"id":"slow","error":{"code":503,"message":"too many messages"`)) {
		t.Errorf("the slow one is told %.300s", last)
	}
	records, err := os.ReadFile(s.Audit)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(records, []byte("the client does not read them")); n != 1 {
		t.Errorf("%d records tell of it", n)
	}
	if again := s.must(session, "pid"); again != pid {
		t.Errorf("process %s in place of %s", again, pid)
	}
	leave()
	<-other
}
