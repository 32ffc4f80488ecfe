package faults

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// stopping is a gateway that was told to end while a stream of a call is open. finish lets the server end
// the stream with the result.
func stopping(t *testing.T) (s *stage, finish chan struct{}, stream io.Reader) {
	t.Helper()
	s, finish = newStage(t, enforce), make(chan struct{})
	m := mishap(func(s *server, w http.ResponseWriter, r *http.Request) {
		result := s.work(r).Body.String()
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, progress)
		_ = http.NewResponseController(w).Flush()
		select {
		case <-finish:
			_, _ = io.WriteString(w, "data: "+strings.TrimSpace(result)+"\n\n")
		case <-r.Context().Done():
		}
	})
	s.server.next.Store(&m)
	s.start(t)
	resp, err := s.send(t.Context(), s.message())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	stream = resp.Body
	if line, err := bufio.NewReader(stream).ReadString('\n'); err != nil || line != "event: message\n" {
		t.Fatalf("the stream began with %q, %v", line, err)
	}
	s.signal(t)
	s.gw.Await(t, "the listener to close", func() bool {
		c, err := net.Dial("tcp", s.address())
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	return s, finish, stream
}

func (s *stage) signal(t *testing.T) {
	t.Helper()
	if err := s.gw.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// ended waits for the end of the gateway, and makes sure that the call was recorded.
func (s *stage) ended(t *testing.T, how string) {
	t.Helper()
	select {
	case <-s.gw.Done():
	case <-time.After(time.Minute):
		t.Fatal("the gateway does not end")
	}
	if err := s.gw.Err(); !strings.Contains(err.Error(), how) {
		t.Error(err)
	}
	if all := s.records(t); len(all) == 0 || all[0].Phase != "request" || all[0].Outcome != "allow" {
		t.Errorf("records %+v", all)
	}
}

func TestStopDrains(t *testing.T) {
	t.Parallel()
	s, finish, stream := stopping(t)
	if ready := s.readyz(t); !strings.Contains(ready, `"draining":true`) {
		t.Errorf("/readyz says %s while a stream is open", ready)
	}
	close(finish)
	rest, err := io.ReadAll(stream)
	if err != nil || !strings.Contains(string(rest), `"worked"`) {
		t.Errorf("the stream ended with %q, %v", rest, err)
	}
	s.ended(t, "exit status 0")
}

func TestStopCutsOffWhatDoesNotEnd(t *testing.T) {
	t.Parallel() // it takes the whole time for draining
	s, _, stream := stopping(t)
	_, _ = io.Copy(io.Discard, stream) // until it is cut off
	s.ended(t, "exit status 0")
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	s, _, _ := stopping(t)
	s.signal(t)
	s.ended(t, "exit status 143")
}

// A gateway that drains is not ready, and does all its work until it ends.
func TestDrainServes(t *testing.T) {
	t.Parallel()
	s := newStage(t, enforce)
	s.config = append(s.config, func(c map[string]any) { c["drainSeconds"] = 300 })
	s.start(t)
	s.signal(t)
	s.gw.Await(t, "/readyz to turn", func() bool { return strings.Contains(s.readyz(t), `"ready":false`) })
	if ready := s.readyz(t); !strings.Contains(ready, `"draining":true`) {
		t.Errorf("/readyz says %s", ready)
	}
	s.place(t, []byte("no bundle"))
	s.reload(t) // SIGHUP means what it always means
	resp, err := s.send(t.Context(), s.message())
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK || !resp.Close {
		t.Errorf("status %d, the connection is closed: %v", resp.StatusCode, resp.Close)
	}
	s.signal(t)
	s.ended(t, "exit status 143")
}

func TestDrainEnds(t *testing.T) {
	t.Parallel()
	s := newStage(t, enforce)
	s.config = append(s.config, func(c map[string]any) { c["drainSeconds"] = 1 })
	s.start(t)
	if got := s.call(t); got.status != http.StatusOK {
		t.Errorf("%+v", got)
	}
	s.signal(t)
	s.ended(t, "exit status 0")
}
