package mcp

import (
	"net/http"
)

// An Outgoing is what is sent to a server: a message, or with GET and DELETE
// the wish to listen to its session or to end it.
type Outgoing struct {
	Verb   string      // POST, GET or DELETE
	Header http.Header // of the protocol only; framing and credentials are the upstream's
	Text   string      // the message, of a POST
}

// An Answer is what a server answers: one text, or a stream of events.
type Answer struct {
	Status  int
	Session string // the Mcp-Session-Id that the server gave, or empty
	Retry   string // the Retry-After that the server gave, or empty
	Text    string // the whole body, unless events follow
	Events  Events // nil unless the answer is a stream
}

// Events are the events of a stream as they come.
type Events interface {
	// Next waits for the next event. It returns io.EOF after the last.
	Next() (Event, error)
	// Close ends the stream. It may be called at any time, and more than once.
	Close() error
}

// Close ends the stream, if the answer is one.
func (a *Answer) Close() {
	if a.Events != nil {
		_ = a.Events.Close() // nothing is left to be read or told
	}
}
