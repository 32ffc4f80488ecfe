package listen

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/gatehouse-mcp/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/internal/identity"
	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// A Sender carries the messages that arrive, and keeps their order.
type Sender interface {
	Send(ctx context.Context, x *gateway.Exchange, reply gateway.Reply) (relay func())
	Reject(x *gateway.Exchange, bad *mcp.Error, reply gateway.Reply)
}

// Stdio serves MCP to one client, one message a line. Its exported fields are set
// before first use.
type Stdio struct {
	Gateway Sender
	Server  string // the server that all messages are for
	Caller  *identity.Caller
	Limit   int       // bytes of one message
	Out     io.Writer // what the client reads

	writing sync.Mutex // a line at a time

	mu        sync.Mutex // guards what follows
	revision  string     // that initialize agreed upon
	session   string     // that it opened, if whoever answered it needs to be told
	listening bool
	underWay  int
	over      bool
	relays    sync.WaitGroup
}

// maxUnderWay is how many messages of the client may be under way at once.
const maxUnderWay = 1024

// Read carries the messages that arrive until there are no more: each is with the
// server before the next is read. Answers come when they come, also afterwards.
func (s *Stdio) Read(ctx context.Context, in io.Reader) error {
	lines := mcp.NewLineReader(in, s.Limit)
	for {
		text, err := lines.Next()
		switch {
		case errors.Is(err, mcp.ErrTooLong):
			tooLarge := mcp.Refuse(http.StatusRequestEntityTooLarge, "message too large", "")
			x := s.exchange(http.MethodPost, "")
			s.Gateway.Reject(x, tooLarge, &stdioReply{s: s, ctx: ctx, x: x})
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case strings.TrimSpace(text) != "":
			s.carry(ctx, text)
		}
	}
}

// Wait waits until all that is under way has come to its end, as it does when the
// server has. It is called once.
func (s *Stdio) Wait() {
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
	s.relays.Wait()
}

func (s *Stdio) carry(ctx context.Context, text string) {
	x := s.exchange(http.MethodPost, text)
	if s.full() {
		// What is no request must pass: others may be waiting for it.
		if m, _ := mcp.ParseClient(text); m.IsRequest() {
			x.Refused = mcp.Refuse(http.StatusServiceUnavailable, "too many requests under way", "")
		}
	}
	s.relay(s.Gateway.Send(ctx, x, &stdioReply{s: s, ctx: ctx, x: x}))
}

func (s *Stdio) full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.underWay >= maxUnderWay
}

// relay carries back the answer to what was sent, beside all others.
func (s *Stdio) relay(carry func()) {
	if carry == nil {
		return
	}
	s.mu.Lock()
	over := s.over
	if s.underWay++; !over {
		s.relays.Add(1)
	}
	s.mu.Unlock()
	run := func() {
		carry()
		s.mu.Lock()
		s.underWay--
		s.mu.Unlock()
	}
	if over { // and so is the server, which keeps nobody waiting
		run()
		return
	}
	go func() {
		defer s.relays.Done()
		run()
	}()
}

func (s *Stdio) exchange(verb, text string) *gateway.Exchange {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := http.Header{}
	if s.revision != "" {
		h.Set(mcp.HeaderVersion, s.revision)
	}
	if s.session != "" {
		h.Set(mcp.HeaderSession, s.session)
	}
	return &gateway.Exchange{
		Server: s.Server, Caller: s.Caller, Transport: gateway.OverStdio, Verb: verb, Header: h, Text: text,
	}
}

// learn takes the revision from the answer to initialize, and reports whether this
// is the first result by which the revision is known: then it is time to listen.
func (s *Stdio) learn(x *gateway.Exchange, text string) bool {
	modern := x.Header.Get(mcp.HeaderVersion) >= mcp.Modern
	s.mu.Lock()
	known := s.revision != "" || modern && s.listening
	s.mu.Unlock()
	if known {
		return false
	}
	m, bad := mcp.ParseServer(text)
	if bad != nil || !m.Result.Exists() {
		return false
	}
	revision := ""
	if !modern {
		if asked, _ := mcp.ParseClient(x.Text); asked.Method != "initialize" {
			return false
		}
		revision = m.Result.Get("protocolVersion").String()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if revision < mcp.Modern {
		s.revision = revision
	}
	first := !s.listening
	s.listening = true
	return first
}

// listen carries what the server says without being asked.
func (s *Stdio) listen(ctx context.Context, header http.Header) {
	x := s.exchange(http.MethodGet, "")
	if v := header.Get(mcp.HeaderVersion); v != "" {
		x.Header.Set(mcp.HeaderVersion, v)
	}
	s.relay(s.Gateway.Send(ctx, x, &stdioReply{s: s, x: x}))
}

// write writes a message as one line.
func (s *Stdio) write(text string) error {
	line := mcp.OneLine(text) + "\n"
	s.writing.Lock()
	defer s.writing.Unlock()
	_, err := io.WriteString(s.Out, line)
	return err
}

// stdioReply is the client's end of one exchange. There are no statuses: an answer
// without a text, and a sign of life, are nothing that a client could read.
type stdioReply struct {
	s   *Stdio
	ctx context.Context
	x   *gateway.Exchange
}

// opened notes the session that an answer opens.
func (s *Stdio) opened(a *mcp.Answer) {
	if a.Session == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.session = a.Session
}

// Answer implements gateway.Reply. To listen is not a request: nobody waits for an
// answer to it.
func (r *stdioReply) Answer(a *mcp.Answer) error {
	if r.x.Verb != http.MethodPost {
		return nil
	}
	r.s.opened(a)
	return r.line(a.Text)
}

// Event implements gateway.Reply.
func (r *stdioReply) Event(a *mcp.Answer, ev mcp.Event) error {
	r.s.opened(a)
	return r.line(ev.Data)
}

func (r *stdioReply) line(text string) error {
	if text == "" {
		return nil
	}
	learned := r.x.Verb == http.MethodPost && r.s.learn(r.x, text) // before the client can go by it
	err := r.s.write(text)
	if learned {
		r.s.listen(r.ctx, r.x.Header)
	}
	return err
}
