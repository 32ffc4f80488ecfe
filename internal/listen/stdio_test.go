package listen

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/gatehouse-mcp/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/internal/identity"
	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// A sender stands in for the gateway: it keeps what arrives, and answers as it is
// told.
type sender struct {
	recorder
	send func(ctx context.Context, x *gateway.Exchange, reply gateway.Reply) func()
}

func (s *sender) Send(ctx context.Context, x *gateway.Exchange, reply gateway.Reply) func() {
	s.mu.Lock()
	s.served = append(s.served, x)
	s.mu.Unlock()
	if s.send != nil {
		return s.send(ctx, x, reply)
	}
	return func() { _ = reply.Answer(&mcp.Answer{Status: http.StatusOK, Text: x.Text}) }
}

// texts are the messages that were sent, in their order.
func (s *sender) texts() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, x := range s.served {
		all = append(all, x.Verb+" "+x.Header.Get(mcp.HeaderVersion)+" "+x.Text)
	}
	return all
}

func newStdio(s *sender, out io.Writer) *Stdio {
	return &Stdio{Gateway: s, Server: "a", Caller: &identity.Caller{ID: "me", Auth: identity.AuthLocal}, Limit: limit, Out: out}
}

// talk lets a client say all of in, and returns what it hears.
func talk(t *testing.T, s *sender, in string) string {
	t.Helper()
	var out strings.Builder
	l := newStdio(s, &out)
	if err := l.Read(context.Background(), strings.NewReader(in)); err != nil {
		t.Error(err)
	}
	l.Wait()
	return out.String()
}

func TestStdioLines(t *testing.T) {
	for name, c := range map[string]struct{ in, out string }{
		"one":            {ping + "\n", ping + "\n"},
		"carriage":       {ping + "\r\n", ping + "\n"},
		"blank lines":    {"\n \t\n\r\n" + ping + "\n\n", ping + "\n"},
		"at the limit":   {strings.Repeat("x", limit) + "\n", strings.Repeat("x", limit) + "\n"},
		"cut off":        {ping, ""},
		"nothing":        {"", ""},
		"spread answer":  {"{\r\"a\":\r\n", "{ \"a\":\n"},
		"line separator": {"{\"a\":\"\u2028\"}\n", `{"a":"\u2028"}` + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := talk(t, &sender{}, c.in); got != c.out {
				t.Errorf("%q, want %q", got, c.out)
			}
		})
	}
}

func TestStdioExchange(t *testing.T) {
	s := &sender{}
	talk(t, s, ping+"\n")
	x := s.served[0]
	if x.Server != "a" || x.Caller.ID != "me" || x.Transport != gateway.OverStdio || x.Verb != http.MethodPost ||
		x.RequestIP != "" || len(x.Header) > 0 || x.Refused != nil {
		t.Errorf("%+v", x)
	}
}

func TestStdioTooLong(t *testing.T) {
	s := &sender{}
	got := talk(t, s, strings.Repeat("x", limit+1)+"\n"+strings.Repeat("x", 100_000)+"\n"+ping+"\n")
	lines := strings.Split(strings.TrimSpace(got), "\n")
	slices.Sort(lines)
	tooLarge := mcp.Refuse(http.StatusRequestEntityTooLarge, "message too large", "").Body("")
	if want := []string{tooLarge, tooLarge, ping}; !slices.Equal(lines, want) {
		t.Errorf("%q, want %q", lines, want)
	}
	if len(s.rejected) != 2 || s.rejected[0].Text != "" {
		t.Errorf("%d rejected, want 2", len(s.rejected))
	}
}

// TestStdioSilence: a status, and a sign of life, are nothing that a client can read.
func TestStdioSilence(t *testing.T) {
	s := &sender{send: func(_ context.Context, _ *gateway.Exchange, reply gateway.Reply) func() {
		return func() {
			_ = reply.Event(&mcp.Answer{}, mcp.Event{})
			_ = reply.Event(&mcp.Answer{}, mcp.Event{Retry: "5"})
			_ = reply.Answer(&mcp.Answer{Status: http.StatusAccepted})
		}
	}}
	if got := talk(t, s, ping+"\n"); got != "" {
		t.Errorf("%q", got)
	}
}

// TestStdioOrder: messages are sent one after the other, and answered as answers
// come, here the last one first.
func TestStdioOrder(t *testing.T) {
	const n = 5
	var done [n + 1]chan struct{}
	for i := range done {
		done[i] = make(chan struct{})
	}
	close(done[n])
	sent := 0
	s := &sender{send: func(_ context.Context, x *gateway.Exchange, reply gateway.Reply) func() {
		i := sent
		sent++
		return func() {
			<-done[i+1]
			_ = reply.Answer(&mcp.Answer{Text: x.Text})
			close(done[i])
		}
	}}
	got := talk(t, s, "0\n1\n2\n3\n4\n")
	if want := "4\n3\n2\n1\n0\n"; got != want {
		t.Errorf("answers %q, want %q", got, want)
	}
	if want := []string{"POST  0", "POST  1", "POST  2", "POST  3", "POST  4"}; !slices.Equal(s.texts(), want) {
		t.Errorf("sent %q, want %q", s.texts(), want)
	}
}

// TestStdioBound: requests beyond the bound are refused, and what others may wait
// for is not.
func TestStdioBound(t *testing.T) {
	free := make(chan struct{})
	var refused []string
	s := &sender{send: func(_ context.Context, x *gateway.Exchange, _ gateway.Reply) func() {
		if x.Refused != nil {
			refused = append(refused, x.Text)
			return nil
		}
		if strings.Contains(x.Text, "ping") {
			return func() { <-free }
		}
		close(free)
		return func() {}
	}}
	talk(t, s, strings.Repeat(ping+"\n", maxUnderWay+1)+`{"jsonrpc":"2.0","id":1,"result":{}}`+"\n")
	if want := []string{ping}; !slices.Equal(refused, want) {
		t.Errorf("refused %q, want %q", refused, want)
	}
}

const (
	hello    = `{"jsonrpc":"2.0","id":0,"method":"initialize"}`
	hallo    = `{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18"}}`
	failed   = `{"jsonrpc":"2.0","id":0,"error":{"code":1,"message":"no"}}`
	changed  = `{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`
	discover = `{"jsonrpc":"2.0","id":0,"method":"server/discover"}`
)

// A dialog is a client that reads before it says more.
type dialog struct {
	t     *testing.T
	in    *io.PipeWriter
	lines *bufio.Scanner
	ended chan error
	stdio *Stdio
}

func newDialog(t *testing.T, s *sender) *dialog {
	t.Helper()
	in, say := io.Pipe()
	hear, out := io.Pipe()
	d := &dialog{t: t, in: say, lines: bufio.NewScanner(hear), ended: make(chan error, 1), stdio: newStdio(s, out)}
	go func() { d.ended <- d.stdio.Read(context.Background(), in) }()
	return d
}

func (d *dialog) say(text string) {
	d.t.Helper()
	if _, err := io.WriteString(d.in, text+"\n"); err != nil {
		d.t.Fatal(err)
	}
}

func (d *dialog) hear(want string) {
	d.t.Helper()
	if !d.lines.Scan() || d.lines.Text() != want {
		d.t.Fatalf("heard %q, %v, want %q", d.lines.Text(), d.lines.Err(), want)
	}
}

func (d *dialog) end() {
	d.t.Helper()
	_ = d.in.Close()
	if err := <-d.ended; err != nil {
		d.t.Error(err)
	}
	d.stdio.Wait()
}

// TestStdioListens: with the first result that tells the revision, the client
// listens for what belongs to no request; in the older revisions, that is the
// answer to initialize, and messages have that revision from then on.
func TestStdioListens(t *testing.T) {
	for name, c := range map[string]struct {
		version, asked, answer string
		sent                   []string
	}{
		"legacy": {"", hello, hallo, []string{"POST  " + hello, "GET 2025-06-18 ", "POST 2025-06-18 " + ping}},
		"modern": {mcp.Modern, discover, hallo, []string{"POST 2026-07-28 " + discover, "GET 2026-07-28 ", "POST  " + ping}},
		"odd": {
			"", hello, `{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2099-01-01"}}`,
			[]string{"POST  " + hello, "GET  ", "POST  " + ping},
		},
	} {
		t.Run(name, func(t *testing.T) {
			over := make(chan struct{})
			s := &sender{}
			s.send = func(_ context.Context, x *gateway.Exchange, reply gateway.Reply) func() {
				if x.Verb == http.MethodGet {
					return func() {
						_ = reply.Answer(&mcp.Answer{Status: http.StatusConflict, Text: failed}) // nobody asked
						_ = reply.Event(&mcp.Answer{}, mcp.Event{Data: changed})
						<-over
					}
				}
				if x.Text == c.asked {
					if c.version != "" {
						x.Header.Set(mcp.HeaderVersion, c.version) // as the gateway does
					}
					return func() { _ = reply.Event(&mcp.Answer{}, mcp.Event{Data: c.answer}) }
				}
				return func() { _ = reply.Answer(&mcp.Answer{Text: x.Text}) }
			}
			d := newDialog(t, s)
			d.say(c.asked)
			d.hear(c.answer)
			d.hear(changed)
			d.say(ping)
			d.hear(ping)
			close(over)
			d.end()
			if got := s.texts(); !slices.Equal(got, c.sent) {
				t.Errorf("sent %q, want %q", got, c.sent)
			}
		})
	}
}

// TestStdioDoesNotListen: no revision is known by what failed, or by an answer to
// something else.
func TestStdioDoesNotListen(t *testing.T) {
	for _, c := range [][2]string{{hello, failed}, {hello, changed}, {ping, hallo}} {
		s := &sender{send: func(_ context.Context, _ *gateway.Exchange, reply gateway.Reply) func() {
			return func() { _ = reply.Answer(&mcp.Answer{Text: c[1]}) }
		}}
		if got := talk(t, s, c[0]+"\n"); got != c[1]+"\n" {
			t.Errorf("%q", got)
		}
		if got, want := s.texts(), []string{"POST  " + c[0]}; !slices.Equal(got, want) {
			t.Errorf("sent %q, want %q", got, want)
		}
	}
}

// TestStdioBroken: a client that reads no longer is one that has left, and one that
// cannot be read is told.
func TestStdioBroken(t *testing.T) {
	var wrote error
	s := &sender{send: func(_ context.Context, _ *gateway.Exchange, reply gateway.Reply) func() {
		return func() { wrote = reply.Answer(&mcp.Answer{Text: ping}) }
	}}
	_, out := io.Pipe()
	broken := errors.New("broken")
	_ = out.CloseWithError(broken)
	in, say := io.Pipe()
	l := newStdio(s, out)
	go func() {
		_, _ = io.WriteString(say, ping+"\n")
		_ = say.CloseWithError(broken)
	}()
	if err := l.Read(context.Background(), in); !errors.Is(err, broken) {
		t.Errorf("Read: %v", err)
	}
	l.Wait()
	if !errors.Is(wrote, io.ErrClosedPipe) {
		t.Errorf("Answer: %v", wrote)
	}
}

// TestStdioWholeLines: answers that come at once do not get into one another.
func TestStdioWholeLines(t *testing.T) {
	const n = 100
	var arrived sync.WaitGroup
	arrived.Add(n)
	s := &sender{send: func(_ context.Context, x *gateway.Exchange, reply gateway.Reply) func() {
		return func() {
			arrived.Done()
			arrived.Wait()
			_ = reply.Answer(&mcp.Answer{Text: strings.Repeat(x.Text, 50)})
		}
	}}
	var in strings.Builder
	for i := range n {
		_, _ = fmt.Fprintf(&in, "%d\n", i%10)
	}
	lines := strings.Split(strings.TrimSuffix(talk(t, s, in.String()), "\n"), "\n")
	for _, line := range lines {
		if len(line) != 50 || strings.Trim(line, line[:1]) != "" {
			t.Errorf("line %q", line)
		}
	}
	if len(lines) != n {
		t.Errorf("%d lines, want %d", len(lines), n)
	}
}

// stuck is a gateway whose server never answers what has to be answered before anything else is sent.
type stuck struct{ gaveUp int }

func (s *stuck) Send(ctx context.Context, _ *gateway.Exchange, _ gateway.Reply) func() {
	<-ctx.Done()
	s.gaveUp++
	return nil
}

func (*stuck) Reject(*gateway.Exchange, *mcp.Error, gateway.Reply) {}

// A client that has gone ends the wait for a server that never answers, and so the server.
func TestStdioEndBehindWhatIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &stuck{}
		s := &Stdio{Gateway: g, Server: "s", Caller: &identity.Caller{}, Limit: 1 << 10, Out: io.Discard}
		if err := s.Read(t.Context(), strings.NewReader("{\"id\":1}\n{\"id\":2}\n")); err != nil {
			t.Fatal(err)
		}
		if g.gaveUp != 2 {
			t.Errorf("%d messages were given up", g.gaveUp)
		}
	})
}
