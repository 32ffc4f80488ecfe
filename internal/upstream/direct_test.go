package upstream

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// newDirect returns a Direct whose connections are closed at the end.
func newDirect(t testing.TB) *Direct {
	d := NewDirect(NewTransport(time.Minute))
	t.Cleanup(d.CloseIdleConnections)
	return d
}

// An outcome is all that a caller can see of an answer.
type outcome struct {
	Refused, Broken bool
	Status          int
	Head            string
	Length          int64
	Header, Trailer http.Header
	Coding          []string
	Close           bool
	Body            string
}

// exchange sends a request and reads its answer.
func exchange(ctx context.Context, by http.RoundTripper, to, text string) (outcome, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(text))
	if err != nil {
		return outcome{}, err
	}
	resp, err := by.RoundTrip(r)
	if err != nil {
		return outcome{Refused: true}, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return outcome{
		Broken: err != nil, Status: resp.StatusCode, Head: resp.Proto + " " + resp.Status, Length: resp.ContentLength,
		Header: resp.Header, Trailer: resp.Trailer, Coding: resp.TransferEncoding, Close: resp.Close, Body: string(body),
	}, err
}

// script plays a server: it does with each connection what is told of it.
func script(t testing.TB, serve func(n int, conn net.Conn, requests *bufio.Reader)) (address string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 0; ; n++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer func() { _ = conn.Close() }()
				serve(n, conn, bufio.NewReader(conn))
			})
		}
	})
	t.Cleanup(wg.Wait)
	t.Cleanup(func() { _ = l.Close() })
	return "http://" + l.Addr().String()
}

// answerTo reads a request and answers with these bytes. False: there was none.
func answerTo(conn net.Conn, requests *bufio.Reader, answer string) bool {
	r, err := http.ReadRequest(requests)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, r.Body)
	_, _ = io.WriteString(conn, answer)
	return true
}

func plain(body string) string {
	return "HTTP/1.1 200 OK\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
}

// FuzzDirect holds a Direct to what http.Transport makes of the bytes of a server,
// and shows that none of them is in the next answer.
func FuzzDirect(f *testing.F) {
	for _, answer := range []string{
		plain("a"), plain(""), plain("a") + plain("b"), plain("a") + "HTTP/1.1 408 Request Timeout\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n1\r\na\r\n0\r\nT: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n1\r\na\r\n0\r\n\r\nb",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na", "HTTP/1.1 200 OK\r\n\r\nto the end",
		"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\na",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + plain("a"), "HTTP/1.1 100 Continue\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nabc", "HTTP/1.1 204 No Content\r\nContent-Length: 1\r\n\r\na",
		"HTTP/1.1 304 Not Modified\r\n\r\na", "HTTP/1.1 000 None\r\n\r\n", "HTTP/1.1 99 Low\r\n\r\n", "HTTP/3.7 200\r\n\r\n", "", "\r\n", "HTTP/1.1 200 OK\n\na",
		"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "HTTP/1.1 200 OK\r\n folded: b\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\na", "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", 70_000) + "\r\n\r\n",
	} {
		f.Add(answer)
	}
	var mu sync.Mutex
	var answer string
	address := script(f, func(_ int, conn net.Conn, requests *bufio.Reader) {
		r, err := http.ReadRequest(requests)
		for ; err == nil; r, err = http.ReadRequest(requests) {
			_, _ = io.Copy(io.Discard, r.Body)
			if r.URL.Path == "/next" {
				_, _ = io.WriteString(conn, plain("next"))
				continue
			}
			mu.Lock()
			text := answer
			mu.Unlock()
			_, _ = io.WriteString(conn, text)
			_ = conn.(*net.TCPConn).CloseWrite() // lest one wait for the rest
		}
	})
	f.Fuzz(func(t *testing.T, text string) {
		mu.Lock()
		answer = text
		mu.Unlock()
		d, oracle := newDirect(t), NewTransport(time.Minute)
		defer oracle.CloseIdleConnections()
		got, want := told(t, d, address), told(t, oracle, address)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("http.Transport and Direct read %q differently (-want +got):\n%s", text, diff)
		}
		for _, c := range d.idleTo(address) { // the server closes it, perhaps after its answer was read
			waitUntil(t, func() bool { return arrived(t, c) })
		}
		if next, err := exchange(t.Context(), d, address+"/next", ping); err != nil || next.Body != "next" {
			t.Errorf("after %q: %q %v", text, next.Body, err)
		}
	})
}

func told(t *testing.T, by http.RoundTripper, address string) outcome {
	t.Helper()
	o, _ := exchange(t.Context(), by, address, ping)
	if o.Status == http.StatusSwitchingProtocols { // a Direct switches to none, and ends
		o.Body, o.Broken = "", false
	}
	return o
}

func (d *Direct) idleTo(address string) []*conn {
	return d.idle[strings.TrimPrefix(address, "http://")]
}

// waitUntil gives way until it holds.
func waitUntil(t *testing.T, holds func() bool) {
	t.Helper()
	for t.Context().Err() == nil && !holds() {
		runtime.Gosched()
	}
}

// TestBetweenExchanges is about what happens on a connection after an answer.
func TestBetweenExchanges(t *testing.T) {
	t.Parallel()
	first := plain("first")
	nothing := func(net.Conn) {}
	for _, c := range []struct {
		name   string
		answer string         // with what comes in the same packet
		then   func(net.Conn) // once it was read
		idle   bool
		reused bool
	}{
		{"nothing", first, nothing, true, true},
		{"nothing, after chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n0\r\n\r\n", nothing, true, true},
		{"nothing, after a hint", "HTTP/1.1 103 Early Hints\r\n\r\n" + first, nothing, true, true},
		{"an answer to nothing", first, func(c net.Conn) { _, _ = io.WriteString(c, plain("an answer to nothing")) }, true, false},
		{"an empty line", first, func(c net.Conn) { _, _ = io.WriteString(c, "\r\n") }, true, false},
		{"its end", first, func(c net.Conn) { _ = c.(*net.TCPConn).CloseWrite() }, true, false},
		{"a reset", first, func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0); _ = c.Close() }, true, false},
		{"an answer with the first", first + plain("an answer to nothing"), nothing, false, false},
		{"an empty line with the first", first + "\r\n", nothing, false, false},
		{"it will close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nfirst", nothing, false, false},
		{"an old version", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nfirst", nothing, false, false},
		{"another protocol", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", nothing, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			read, done := make(chan struct{}), make(chan struct{})
			address := script(t, func(n int, conn net.Conn, requests *bufio.Reader) {
				if n == 0 {
					answerTo(conn, requests, c.answer)
					<-read
					c.then(conn)
					close(done)
				}
				for answerTo(conn, requests, plain(fmt.Sprint("second on ", n))) {
				}
			})
			d := newDirect(t)
			if got, err := exchange(t.Context(), d, address, ping); err != nil || got.Status == 200 && got.Body != "first" {
				t.Fatal(got.Body, err)
			}
			close(read)
			<-done
			idle := d.idleTo(address)
			if (len(idle) == 1) != c.idle {
				t.Fatalf("%d idle connections", len(idle))
			}
			want := "second on 0"
			if !c.reused {
				want = "second on 1"
				waitUntil(t, func() bool { return len(idle) == 0 || arrived(t, idle[0]) })
			}
			if got, err := exchange(t.Context(), d, address, ping); err != nil || got.Body != want {
				t.Errorf("got %q, %v; want %q", got.Body, err, want)
			}
		})
	}
}

// TestLateBody shows that only the head of an answer has to come in time.
func TestLateBody(t *testing.T) {
	t.Parallel()
	d, send := newDirect(t), make(chan struct{})
	d.rest.ResponseHeaderTimeout = 200 * time.Millisecond
	address := script(t, func(_ int, conn net.Conn, requests *bufio.Reader) {
		answerTo(conn, requests, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
		<-send
		_, _ = io.WriteString(conn, "late")
	})
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(ping))
	resp, err := d.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	over := time.Now().Add(d.rest.ResponseHeaderTimeout)
	waitUntil(t, func() bool { return time.Now().After(over) })
	close(send)
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "late" {
		t.Errorf("%q %v", body, err)
	}
}

// TestGivenUp is about exchanges that end before their answer does: the server
// sees the end of their connection, and the next exchange has another one.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	const half = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"
	for _, c := range []struct {
		name, answer string
		giveUp       func(cancel func(), resp *http.Response) error // resp is nil before the head
		want         error
	}{
		{"no head", "", func(cancel func(), _ *http.Response) error { cancel(); return nil }, context.Canceled},
		{"half a head", "HTTP/1.1 200 OK\r\nA: b", func(cancel func(), _ *http.Response) error { cancel(); return nil }, context.Canceled},
		{"half a body, cancelled", half, func(cancel func(), resp *http.Response) error {
			cancel()
			_, err := io.ReadAll(resp.Body)
			return err
		}, context.Canceled},
		{"half a body, closed", half, func(_ func(), resp *http.Response) error {
			_, _ = io.ReadFull(resp.Body, make([]byte, len("half")))
			return resp.Body.Close()
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			asked, ended := make(chan struct{}), make(chan struct{})
			address := script(t, func(n int, conn net.Conn, requests *bufio.Reader) {
				if n > 0 {
					answerTo(conn, requests, plain("next"))
					return
				}
				answerTo(conn, requests, c.answer)
				close(asked)
				_, _ = io.Copy(io.Discard, requests)
				close(ended)
			})
			d := newDirect(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r, _ := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(ping))
			if !strings.Contains(c.answer, "\r\n\r\n") {
				go func() { <-asked; _ = c.giveUp(cancel, nil) }()
			}
			resp, err := d.RoundTrip(r)
			if err == nil {
				defer func() { _ = resp.Body.Close() }()
				err = c.giveUp(cancel, resp)
			}
			if err != c.want { //nolint:errorlint // as http.Transport does
				t.Errorf("%v, want %v", err, c.want)
			}
			<-ended
			if next, err := exchange(t.Context(), d, address, ping); err != nil || next.Body != "next" {
				t.Errorf("%q %v", next.Body, err)
			}
		})
	}
}

// TestNotCarried is about requests that are left to http.Transport.
func TestNotCarried(t *testing.T) {
	t.Parallel()
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		_, _ = w.Write(text)
	})
	over, clear := httptest.NewTLSServer(echo), httptest.NewServer(echo)
	t.Cleanup(over.Close)
	t.Cleanup(clear.Close)
	trust := over.Client().Transport.(*http.Transport).TLSClientConfig
	for _, c := range []struct {
		name, to, text string
		proxy          string
		carried        bool
	}{
		{"short", clear.URL, ping, "", true},
		{"as long as may be", clear.URL, strings.Repeat("a", maxShort), "", true},
		{"long", clear.URL, strings.Repeat("a", maxShort+1), "", false},
		{"TLS", over.URL, ping, "", false},
		{"by a proxy", "http://nowhere.invalid", ping, clear.URL, false},
		{"a name that is not ASCII", "http://bücher.invalid", ping, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDirect(t)
			d.rest.TLSClientConfig = trust.Clone()
			dial := d.rest.DialContext
			d.rest.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				if address == "xn--bcher-kva.invalid:80" {
					address = clear.Listener.Addr().String()
				}
				return dial(ctx, network, address)
			}
			d.rest.Proxy = func(*http.Request) (*url.URL, error) {
				if c.proxy == "" {
					return nil, nil
				}
				return url.Parse(c.proxy)
			}
			got, err := exchange(t.Context(), d, c.to, c.text)
			if err != nil || got.Body != c.text {
				t.Errorf("%.20q %v", got.Body, err)
			}
			if carried := len(d.idle) == 1; carried != c.carried {
				t.Errorf("carried: %v", carried)
			}
		})
	}
}

// TestAnswerToUnread shows that a server may answer what it has not read.
func TestAnswerToUnread(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"short": maxShort, "long": 4 << 20} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			read := make(chan struct{})
			address := script(t, func(_ int, conn net.Conn, requests *bufio.Reader) {
				_, _ = http.ReadRequest(requests) // but not its body
				_, _ = io.WriteString(conn, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
				<-read
			})
			got, err := exchange(t.Context(), newDirect(t), address, strings.Repeat("a", size))
			close(read)
			if err != nil || got.Status != http.StatusRequestEntityTooLarge || got.Body != "no" {
				t.Errorf("%q %v", got.Body, err)
			}
		})
	}
}

func TestIdleConnections(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup // the requests that are with the server at once
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { all.Done(); all.Wait() }))
	t.Cleanup(s.Close)
	d := newDirect(t)
	d.rest.MaxIdleConnsPerHost = 3
	host := strings.TrimPrefix(s.URL, "http://")
	burst := func(n int) {
		all.Add(n)
		var asked sync.WaitGroup
		for range n {
			asked.Go(func() {
				if _, err := exchange(t.Context(), d, s.URL, ping); err != nil {
					t.Error(err)
				}
			})
		}
		asked.Wait()
	}
	burst(5)
	if n := len(d.idle[host]); n != 3 {
		t.Fatalf("%d are idle, want the 3 that may be", n)
	}
	old := time.Now()
	waitUntil(t, func() bool { return time.Now().After(old) })
	burst(1)
	d.closeIdle(old)
	if n := len(d.idle[host]); n != 1 || d.tend == nil {
		t.Fatalf("%d are idle, want the one that was used since", n)
	}
	s.CloseClientConnections()
	waitUntil(t, func() bool { return arrived(t, d.idle[host][0]) })
	d.closeStale()
	if len(d.idle) != 0 || d.tend != nil {
		t.Errorf("what the server closed is idle: %v", d.idle)
	}
}

// TestNoAnswerToAnother has many callers share connections, give up at any time, and
// be answered in all ways: nobody reads what another one asked for.
func TestNoAnswerToAnother(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked, _ := io.ReadAll(r.Body)
		text := bytes.Repeat(asked, 1+rand.IntN(500))
		switch rand.IntN(4) {
		case 0:
			w.Header().Set("Content-Length", strconv.Itoa(len(text)))
			_, _ = w.Write(text)
		case 1:
			_, _ = w.Write(text[:len(asked)])
			w.(http.Flusher).Flush()
			_, _ = w.Write(text[len(asked):])
		case 2:
			_, _ = w.Write(text[:len(asked)])
			panic(http.ErrAbortHandler)
		default:
			w.Header().Set("Connection", "close")
			_, _ = w.Write(text)
		}
	}))
	t.Cleanup(s.Close)
	d := newDirect(t)
	var callers sync.WaitGroup
	for caller := range 8 {
		callers.Go(func() {
			for n := range 200 {
				ctx, cancel := context.WithCancel(t.Context())
				mine := fmt.Sprintf("[%d %d]", caller, n)
				switch rand.IntN(4) {
				case 0:
					go cancel()
				case 1:
					r, _ := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, strings.NewReader(mine))
					if resp, err := d.RoundTrip(r); err == nil {
						_, _ = io.CopyN(io.Discard, resp.Body, int64(rand.IntN(20)))
						_ = resp.Body.Close()
					}
				default:
					if got, err := exchange(ctx, d, s.URL, mine); err == nil && strings.ReplaceAll(got.Body, mine, "") != "" {
						t.Errorf("%s was answered %.60q", mine, got.Body)
					}
				}
				cancel()
			}
		})
	}
	callers.Wait()
}
