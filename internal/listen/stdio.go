package listen

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

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
// When the client has no more to say, a message that the server still has to answer
// before the next may be sent is given up after some time.
func (s *Stdio) Read(ctx context.Context, in io.Reader) error {
	ahead := make(chan read, readAhead)
	noMore, end := context.WithCancel(ctx)
	go func() {
		defer end()
		defer close(ahead)
		lines := mcp.NewLineReader(in, s.Limit)
		for {
			text, err := lines.Next()
			ahead <- read{text, err}
			if err != nil && !errors.Is(err, mcp.ErrTooLong) {
				return
			}
		}
	}()
	for r := range ahead {
		switch {
		case errors.Is(r.err, mcp.ErrTooLong):
			tooLarge := mcp.Refuse(http.StatusRequestEntityTooLarge, "message too large", "")
			x := s.exchange(http.MethodPost, "")
			s.Gateway.Reject(x, tooLarge, &stdioReply{s: s, ctx: ctx, x: x})
		case errors.Is(r.err, io.EOF):
			return nil
		case r.err != nil:
			return r.err
		default:
			s.carry(ctx, noMore, r.text)
		}
	}
	return nil
}

// A read is a line that the client wrote, or why there is none.
type read struct {
	text string
	err  error
}

const (
	readAhead = 16              // lines, for the end to be noticed behind them
	sendGrace = 5 * time.Second // for a message to be sent when no more will come
)

// Wait waits until all that is under way has come to its end, as it does when the
// server has. It is called once.
func (s *Stdio) Wait() {
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
	s.relays.Wait()
}

// carry sends a message. Once noMore is done, that may not take for ever.
func (s *Stdio) carry(ctx, noMore context.Context, text string) {
	x := s.exchange(http.MethodPost, text)
	if s.full() {
		// What is no request must pass: others may be waiting for it.
		if m, _ := mcp.ParseClient(text); m.IsRequest() {
			x.Refused = mcp.Refuse(http.StatusServiceUnavailable, "too many requests under way", "")
		}
	}
	sending, giveUp := context.WithCancel(ctx)
	sent := make(chan struct{})
	stop := context.AfterFunc(noMore, func() {
		late := time.NewTimer(sendGrace)
		defer late.Stop()
		select {
		case <-sent:
		case <-late.C:
			giveUp()
		}
	})
	relay := s.Gateway.Send(sending, x, &stdioReply{s: s, ctx: ctx, x: x})
	close(sent)
	stop()
	s.relay(relay, giveUp)
}

func (s *Stdio) full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.underWay >= maxUnderWay
}

// relay carries back the answer to what was sent, beside all others, and then says
// that it is done.
func (s *Stdio) relay(carry, done func()) {
	if carry == nil {
		done()
		return
	}
	s.mu.Lock()
	over := s.over
	if s.underWay++; !over {
		s.relays.Add(1)
	}
	s.mu.Unlock()
	run := func() {
		defer done()
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
	s.relay(s.Gateway.Send(ctx, x, &stdioReply{s: s, x: x}), func() {})
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
