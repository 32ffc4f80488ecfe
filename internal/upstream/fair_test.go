package upstream

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// A note is a notification for a request, and result its response, by their ids on the wire.
func note(id int, text string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%d,"progress":1,"message":"%s"}}`, id, text)
}

func resultOf(id int) string { return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":{}}`, id) }

// say has the server say something, which it can only as long as it is listened to.
func (l *line) say(t *testing.T, text string) {
	t.Helper()
	select {
	case l.said <- text:
	case <-time.After(within):
		t.Fatal("the server is not listened to")
	}
}

// Whoever does not read what it is told, be it in many messages or in large ones, holds up nobody else: its own
// request ends with an error, after what it could have read, and the server is told.
func TestSlowReader(t *testing.T) {
	for name, text := range map[string]string{"many messages": "", "large ones": strings.Repeat("x", 1<<20)} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			slow := r.send("p", "", modernCall(`8`, `"slow"`))
			l := take(t, r.lines)
			take(t, l.sent)
			other := r.send("p", "", modernCall(`9`, `"other"`))
			take(t, l.sent)
			for n := range maxInbox/(len(text)+overhead) + 100 {
				l.say(t, note(1, text))
				if n == 10 {
					l.say(t, note(2, ""))
				}
			}
			l.say(t, resultOf(1))
			l.say(t, resultOf(2))
			for _, want := range []string{`"progressToken":"other"`, `"id":9,"result"`, "EOF"} {
				if got := next(t, other); !strings.Contains(got, want) {
					t.Errorf("the other got %.200s, want %s", got, want)
				}
			}
			if got := take(t, l.sent); got != `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"reason":"too many messages"}}` {
				t.Errorf("the server is told %s", got)
			}
			read, size, got := 0, 0, ""
			for got = next(t, slow); strings.Contains(got, "notifications/progress"); got = next(t, slow) {
				read, size = read+1, size+len(got)
			}
			if got != "too many messages: the client does not read them" || read == 0 || size > maxInbox {
				t.Errorf("the slow one ended with %s after %d messages, %d bytes", got, read, size)
			}
		})
	}
}

// A reader whom nobody waits beside has the server wait, until somebody comes.
func TestSlowReaderAlone(t *testing.T) {
	r := newRig(t)
	slow := r.send("p", "", modernCall(`8`, `"slow"`))
	l := take(t, r.lines)
	take(t, l.sent)
	text, all := strings.Repeat("x", 1<<20), 3*maxInbox>>20
	go func() {
		for range all {
			l.said <- note(1, text)
		}
		l.said <- resultOf(1)
	}()
	for range all {
		if got := next(t, slow); !strings.Contains(got, `"slow"`) {
			t.Fatalf("got %.200s", got)
		}
	}
	if got := next(t, slow); got != `{"jsonrpc":"2.0","id":8,"result":{}}` {
		t.Errorf("got %.200s", got)
	}

	slow = r.send("p", "", modernCall(`8`, `"slow"`))
	take(t, l.sent)
	go func() {
		for range all {
			l.said <- note(2, text)
		}
		l.said <- resultOf(3)
	}()
	full := slow.Events.(*call).inbox
	for full.put(text) { // nothing of the server's fits any more
	}
	other := r.send("p", "", modernCall(`9`, `"other"`))
	if got := next(t, other); got != `{"jsonrpc":"2.0","id":9,"result":{}}` {
		t.Errorf("the other got %.200s", got)
	}
	for got := ""; !strings.HasPrefix(got, "too many messages"); {
		if got = next(t, slow); got == "EOF" {
			t.Fatal("the slow one was answered")
		}
	}
}

// What nobody listens for is kept up to a bound on bytes; so are the ids of what a server asked.
func TestKeptForNobody(t *testing.T) {
	r := newRig(t)
	id, l := r.session()
	for range 100 {
		l.say(t, `{"jsonrpc":"2.0","method":"notifications/x","params":{"x":"`+strings.Repeat("x", maxKept/10)+`"}}`)
	}
	a := r.send("p", id, `{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{"name":"t"}}`)
	for range maxAsked {
		l.say(t, `{"jsonrpc":"2.0","id":"`+strings.Repeat("q", maxID)+`","method":"ping"}`)
		if got := next(t, a); !strings.Contains(got, "ping") {
			t.Fatalf("got %s", got)
		}
	}
	l.say(t, resultOf(2))
	next(t, a)
	r.mu.Lock()
	c := r.sessions[id]
	r.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.backlog) == 0 || len(c.backlog) > 10 || len(c.asked) > 0 {
		t.Errorf("kept %d messages, %d ids", len(c.backlog), len(c.asked))
	}
}

// Processes that are too old, or slow to end, are a principal's as long as they run.
func TestSlowToEnd(t *testing.T) {
	r := newRig(t)
	end := make(chan struct{})
	r.Open = func(context.Context, *mcp.Outgoing) (Channel, error) {
		return slowToEnd{newLine(), end}, nil
	}
	t.Cleanup(func() { close(end) })
	opened := 0
	for range cap(r.Slots) {
		a, bad := r.Send(context.Background(), r.out("p", "", `{"jsonrpc":"2.0","id":"i","method":"initialize","params":{}}`))
		if bad != nil {
			if bad.Status != http.StatusServiceUnavailable {
				t.Fatal(bad)
			}
			continue
		}
		opened++
		_, bad = r.Send(context.Background(), &mcp.Outgoing{Verb: http.MethodDelete, Header: http.Header{mcp.HeaderSession: {a.Session}}})
		if bad != nil {
			t.Fatal(bad)
		}
		for next(t, a) != "unknown session: it was ended" {
			t.Error("not ended")
		}
	}
	if opened > 2*r.PerPrincipal {
		t.Errorf("one principal has %d processes of %d", opened, cap(r.Slots))
	}
	if _, bad := r.Send(context.Background(), r.out("q", "", `{"jsonrpc":"2.0","id":"i","method":"initialize","params":{}}`)); bad != nil {
		t.Errorf("another has none: %v", bad)
	}
}

type slowToEnd struct {
	*line
	end chan struct{}
}

func (s slowToEnd) Close() error {
	<-s.end
	return s.line.Close()
}

// A request that does not end keeps its process for a second lifetime, and no longer.
func TestTooOld(t *testing.T) {
	r := newRig(t)
	r.Lifetime = time.Millisecond
	a := r.send("p", "", modernCall(`8`, `1`))
	l := take(t, r.lines)
	if got := next(t, a); got != "unknown session: it was old" {
		t.Errorf("got %s", got)
	}
	take(t, l.over)
}

// A session that ends as a message comes is nothing to a client that knows of none.
func TestEndsMeanwhile(t *testing.T) {
	r := newRig(t)
	r.send("p", "", modernCall(`8`, `1`)).Close()
	l := take(t, r.lines)
	r.mu.Lock()
	c := r.sessions[ownSession+"p"]
	r.mu.Unlock()
	c.end(errIdle)
	take(t, l.over)
	r.mu.Lock()
	r.sessions[c.id] = c // as it is for a moment
	r.mu.Unlock()
	a := r.send("p", "", modernCall(`9`, `1`))
	l = take(t, r.lines)
	l.say(t, resultOf(1))
	if got := next(t, a); got != `{"jsonrpc":"2.0","id":9,"result":{}}` {
		t.Errorf("got %s", got)
	}
}
