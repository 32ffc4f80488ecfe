package upstream

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// A caller's call is marked in the method, in the id and in the token, which others use as well.
type fuzzCall struct {
	principal, text string
	answer          *mcp.Answer
	got             []string
	err             error
}

// FuzzRoute has several callers of two principals call a server that says anything. Each call comes to an end,
// and gets nothing that is for another: every message under a number that a channel counted goes to the one
// call that has it there, as that call's own id or token.
func FuzzRoute(f *testing.F) {
	for _, said := range []string{
		`{"jsonrpc":"2.0","id":1,"result":{}}` + "\n" + `{"jsonrpc":"2.0","id":2,"result":{}}`,
		`{"jsonrpc":"2.0","id":1,"result":{}}` + "\n" + `{"jsonrpc":"2.0","id":1,"result":{"n":2}}` + "\nbanner\n{half",
		`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":2,"progress":1}}`,
		`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"_meta":{"io.modelcontextprotocol/subscriptionId":2}}}`,
		`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"1"}}`,
		`{"jsonrpc":"2.0","id":5,"method":"elicitation/create","params":{}}` + "\n" + `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":5}}`,
		`{"jsonrpc":"2.0","id":3,"result":{"_meta":{"io.modelcontextprotocol/subscriptionId":"3"}}}`,
		`[{"jsonrpc":"2.0","id":1,"result":{}}]` + "\n" + `{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"x"}}`,
		`{"jsonrpc":"2.0","id":{},"method":"ping"}` + "\n" + `{"jsonrpc":"2.0","id":"1","result":{}}` + "\n" + `{"jsonrpc":"2.0","method":"notifications/message","params":{}}`,
	} {
		f.Add("\x00\x01\x06\x03\x00\x00", said)
		f.Add("\x02\x04\x05\x01\x07\x06", said)
	}
	f.Fuzz(func(t *testing.T, doing, said string) {
		if len(doing) > 32 || len(said) > 1<<16 {
			return
		}
		play(t, doing, strings.Split(said, "\n"))
	})
}

// play makes a call for each byte, reads all answers, and has each channel say all lines.
func play(t *testing.T, doing string, said []string) {
	var mu sync.Mutex
	var lines []*line
	s := &Sessions{Slots: make(chan struct{}, 8), PerPrincipal: 2, Log: slog.New(slog.DiscardHandler)}
	s.Open = func(context.Context, *mcp.Outgoing) (Channel, error) {
		l := &line{sent: make(chan string, 256), said: make(chan string), over: make(chan struct{}), broken: make(chan error, 1)}
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, l)
		return l, nil
	}
	var calls []*fuzzCall
	for i := range len(doing) {
		c := &fuzzCall{principal: string('p' + rune(doing[i]&1)), text: callOf(i, doing[i])}
		out := &mcp.Outgoing{Verb: http.MethodPost, Header: http.Header{mcp.HeaderVersion: {mcp.Modern}}, Text: c.text, Principal: c.principal}
		a, bad := s.Send(context.Background(), out)
		switch {
		case bad != nil && (bad.Status != http.StatusNotFound || strings.Contains(c.text, `"id"`)): // nothing is begun by a notification
			t.Fatalf("%s: %v", c.text, bad)
		case bad == nil && a.Events != nil:
			c.answer = a
			calls = append(calls, c)
		}
	}
	var reading sync.WaitGroup
	for _, c := range calls {
		reading.Go(c.read)
	}
	for _, l := range lines {
		for _, text := range said {
			select {
			case l.said <- text:
			case <-l.over:
			}
		}
	}
	for _, l := range lines {
		l.broken <- errors.New("it ended")
	}
	reading.Wait()
	s.Close()
	numbered := map[string]int{}
	for _, c := range calls {
		numbered[c.principal]++
		c.check(t, strconv.Itoa(numbered[c.principal]))
	}
}

// callOf is a call, by what a byte says: of a tool, with or without a token, to listen, or to cancel the first.
func callOf(i int, do byte) string {
	id, meta := `"c`+strconv.Itoa(i)+`"`, `"_meta":{`+metaOf
	if do&8 != 0 {
		id = `"1"` // as others do, and as the gateway counts
	}
	switch do >> 1 & 3 {
	case 0:
		return `{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call","params":{"name":"t",` + meta + `}}}`
	case 1:
		return `{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call","params":{"name":"t",` + meta + `,"progressToken":"t` + strconv.Itoa(i) + `"}}}`
	case 2:
		return `{"jsonrpc":"2.0","id":` + id + `,"method":"subscriptions/listen","params":{"notifications":{},` + meta + `}}}`
	}
	return `{"jsonrpc":"2.0","method":"notifications/vendor","params":{}}`
}

func (c *fuzzCall) read() {
	for {
		ev, err := c.answer.Events.Next()
		if err != nil {
			c.err = err
			_ = c.answer.Events.Close()
			return
		}
		c.got = append(c.got, ev.Data)
	}
}

// check makes sure that what a call got is its own: number is that of the call in its channel.
func (c *fuzzCall) check(t *testing.T, number string) {
	m, bad := mcp.ParseClient(c.text)
	if bad != nil {
		t.Fatal(bad)
	}
	token := m.Params.Get("_meta").Get("progressToken")
	for i, text := range c.got {
		got, bad := mcp.ParseServer(text)
		switch {
		case bad != nil:
			t.Fatalf("%s of %s got what is no message: %q", number, c.text, text)
		case got.IsResponse():
			if i != len(c.got)-1 || got.ID.Exists() && got.ID.Text() != m.ID.Text() {
				t.Fatalf("%s of %s got %q, which is not its answer", number, c.text, c.got)
			}
		case got.Method == "notifications/progress" && got.Params.Get("progressToken").Text() != token.Text():
			t.Fatalf("%s of %s got the progress of another: %s", number, c.text, text)
		}
		if sub := got.Params.Get("_meta").Get(metaSubscription); !got.IsResponse() && sub.Exists() && sub.Text() != m.ID.Text() {
			t.Fatalf("%s of %s got what is for the subscription %s", number, c.text, sub.Text())
		}
	}
	answered := len(c.got) > 0
	if answered {
		last, _ := mcp.ParseServer(c.got[len(c.got)-1])
		answered = last.IsResponse()
	}
	var known *mcp.Error
	if answered != errors.Is(c.err, io.EOF) || !answered && !errors.As(c.err, &known) {
		t.Fatalf("%s of %s ended with %v after %q", number, c.text, c.err, c.got)
	}
}
