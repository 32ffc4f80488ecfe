package mcp

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
)

// An Outgoing is what is sent to a server: a message, or with GET and DELETE
// the wish to listen to its session or to end it.
type Outgoing struct {
	Verb   string      // POST, GET or DELETE
	Header http.Header // of the protocol only; framing and credentials are the upstream's
	Text   string      // the message, of a POST

	// For whom it is sent: what tells principals apart, and the caller's own
	// verified access token, or empty. Neither goes to the server.
	Principal, Token string
}

// An Answer is what a server answers: one text, or a stream of events.
type Answer struct {
	Status  int    // of HTTP; 0: the transport has none, and events follow
	Session string // the Mcp-Session-Id that the server gave, or empty
	Retry   string // the Retry-After that the server gave, or empty
	Text    string // the whole body, unless events follow
	Events  Events // nil unless the answer is a stream
}

// Events are the events of a stream as they come.
type Events interface {
	// Next waits for the next event. It returns io.EOF after the last, ErrCancelled
	// when the client no longer wants the response, and where there is more to tell
	// of why it does not come, an [*Error].
	Next() (Event, error)
	// Close ends the stream. It may be called at any time, and more than once.
	Close() error
}

// ErrCancelled says that the client cancelled its request.
var ErrCancelled = errors.New("cancelled by the client")

// Close ends the stream, if the answer is one.
func (a *Answer) Close() {
	if a.Events != nil {
		_ = a.Events.Close() // nothing is left to be read or told
	}
}

var chunks = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// ReadText reads all that r gives: into one buffer if the announced size, which
// may be unknown, is small. Nobody gets much memory for the mere promise of a
// message.
func ReadText(r io.Reader, size int64) (string, error) {
	var b strings.Builder
	b.Grow(int(max(0, min(size, 64<<10))))
	chunk := chunks.Get().(*[32 << 10]byte)
	defer chunks.Put(chunk)
	_, err := io.CopyBuffer(&b, r, chunk[:])
	return b.String(), err
}
