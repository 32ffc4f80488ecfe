package mcp

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"unsafe"
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

// Bytes are those of a text, without a copy. Nobody may change them.
func Bytes(text string) []byte { return unsafe.Slice(unsafe.StringData(text), len(text)) }

// Text is that of some bytes, without a copy. Nobody may change them any more.
func Text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// ReadText reads all that r gives, whose announced size may be negative if it is
// unknown. Nobody gets much memory for the mere promise of a message: a buffer is
// at most four times as large as what has come.
func ReadText(r io.Reader, size int64) (string, error) {
	const first = 64 << 10
	room := int64(4 << 10)
	if size >= 0 {
		room = min(size+1, first) // one more, in which to find the end
	}
	b := make([]byte, 0, room)
	for {
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case errors.Is(err, io.EOF):
			return Text(b), nil
		case err != nil:
			return "", err
		case len(b) == cap(b) && size >= int64(len(b)):
			b = slices.Grow(b, int(min(size+1, 4*int64(len(b))))-len(b))
		case len(b) == cap(b):
			b = slices.Grow(b, len(b))
		}
	}
}
