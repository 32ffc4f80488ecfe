package faults

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// leave calls the tool, and leaves once the call came to the server.
func (s *stage) leave(t *testing.T, came <-chan struct{}) answer {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		resp, err := s.send(ctx, s.message())
		if err == nil {
			_ = resp.Body.Close()
		}
		done <- err
	}()
	<-came
	leave()
	if err := <-done; err == nil {
		t.Error("the call was answered")
	}
	return answer{}
}

// leaves is a client that does not wait for its answer. The server learns of it.
func leaves(_ *testing.T, s *stage) {
	came, gone := make(chan struct{}), make(chan struct{})
	m := mishap(func(s *server, _ http.ResponseWriter, r *http.Request) {
		s.work(r)
		close(came)
		<-r.Context().Done()
		close(gone)
	})
	s.server.next.Store(&m)
	s.ask = func(t *testing.T) answer {
		a := s.leave(t, came)
		<-gone
		return a
	}
}

// leavesStream is a client that leaves a stream after its first event.
func leavesStream(_ *testing.T, s *stage) {
	gone := make(chan struct{})
	m := mishap(func(s *server, w http.ResponseWriter, r *http.Request) {
		s.work(r)
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, progress)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(gone)
	})
	s.server.next.Store(&m)
	s.ask = func(t *testing.T) answer {
		resp, err := s.send(t.Context(), s.message())
		if err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(resp.Body).ReadString('\n')
		if err != nil || line != "event: message\n" {
			t.Errorf("the stream began with %q, %v", line, err)
		}
		_ = resp.Body.Close()
		<-gone
		return answer{}
	}
}

// breaksOff is a client that sends half of its message.
func breaksOff(_ *testing.T, s *stage) {
	s.ask = func(t *testing.T) answer {
		c, err := net.Dial("tcp", s.address())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		text := s.message()
		_, err = io.WriteString(c, "POST /mcp HTTP/1.1\r\nHost: "+s.address()+"\r\nContent-Type: application/json\r\nContent-Length: "+
			strconv.Itoa(len(text))+"\r\n\r\n"+text[:len(text)/2])
		if err != nil {
			t.Fatal(err)
		}
		return answer{}
	}
}

func (s *stage) address() string {
	return strings.TrimPrefix(strings.TrimSuffix(s.gw.URL, "/mcp"), "http://")
}

// saying is a client that sends this instead of a call.
func saying(text string) func(*testing.T, *stage) {
	return func(_ *testing.T, s *stage) {
		s.ask = func(t *testing.T) answer { return s.post(t, text) }
	}
}

// auditTo is a place for records that takes none.
func auditTo(path string) func(*testing.T, *stage) {
	return func(_ *testing.T, s *stage) {
		s.config = append(s.config, func(c map[string]any) { c["audit"] = map[string]any{"path": path} })
		s.lost = true
	}
}

// auditPipe is standard output that goes to a pipe whose reader leaves.
func auditPipe(t *testing.T, s *stage) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	auditTo("-")(t, s)
	s.stdout = w
	s.strike = func(*testing.T) {
		_ = w.Close() // the gateway has its own
		_ = r.Close()
	}
}

// configGone is a configuration that is deleted: a hangup reads the bundle, and nothing else.
func configGone(_ *testing.T, s *stage) {
	s.strike = func(t *testing.T) {
		if err := os.Remove(filepath.Join(filepath.Dir(s.gw.Audit), "gatehouse.yaml")); err != nil {
			t.Fatal(err)
		}
		s.hangup(t)
	}
}

// storm is more hangups than can be obeyed, while bundles come and go.
func storm(_ *testing.T, s *stage) {
	s.strike = func(t *testing.T) {
		for n := range 200 {
			if n%10 == 0 {
				s.place(t, regoOf(t, "package mcp\n\ndecision := {\"allow\": true, \"reason\": \""+strconv.Itoa(n)+"\"}\n"))
			}
			s.hangup(t)
		}
	}
}
