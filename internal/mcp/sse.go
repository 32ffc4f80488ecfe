package mcp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
)

// ErrTooLong says that a message is over the limit.
var ErrTooLong = errors.New("message over the limit")

// An Event is one server-sent event. An event without data is a sign of life.
type Event struct {
	Name  string // "" stands for "message"
	Data  string
	Retry string // when to reconnect, in milliseconds: digits, or empty
}

// An EventReader splits a stream of server-sent events as the HTML standard
// has it: lines end in CR, LF or CRLF, one leading byte order mark is skipped,
// and an event that no blank line ends is discarded. Ids are not read, since
// resumption is closed. Comments are signs of life.
type EventReader struct {
	r      *bufio.Reader
	limit  int
	begun  bool
	skipLF bool
	skips  bool // to the end of an event that is over the limit
	cut    bool // the first line of that was read in part
	buf    []byte
}

// slack is for what an event has beside its data.
const slack = 4096

// NewEventReader reads events with at most limit bytes of data from r.
func NewEventReader(r io.Reader, limit int) *EventReader {
	return &EventReader{r: bufio.NewReaderSize(r, 4096), limit: limit}
}

// Next returns the next event. It returns io.EOF at the end of the stream, and
// ErrTooLong for an event over the limit, after which it goes on with the next.
func (e *EventReader) Next() (Event, error) {
	for e.skips {
		line, err := e.line()
		if err != nil {
			return Event{}, err
		}
		e.skips = len(line) > 0
	}
	ev, err := e.next()
	e.skips = errors.Is(err, ErrTooLong)
	return ev, err
}

func (e *EventReader) next() (Event, error) {
	var ev Event
	var data strings.Builder
	lines, size := 0, 0
	for {
		line, err := e.line()
		if err != nil {
			return Event{}, err
		}
		if size += len(line); size > e.limit+slack {
			return Event{}, ErrTooLong
		}
		if len(line) == 0 {
			ev.Data = data.String()
			if lines > 0 || ev.Retry != "" {
				return ev, nil
			}
			ev, size = Event{}, 0 // the standard: an event without a data line is none
			continue
		}
		if line[0] == ':' {
			if size == len(line) { // not within an event
				return Event{}, nil
			}
			continue
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			ev.Name = string(value)
		case "retry":
			if len(value) <= 9 && len(bytes.Trim(value, "0123456789")) == 0 {
				ev.Retry = string(value)
			}
		case "data":
			if lines++; lines > 1 {
				data.WriteByte('\n')
			}
			data.Write(value)
			if data.Len() > e.limit {
				return Event{}, ErrTooLong
			}
		}
	}
}

// line returns the next line without its end. It is valid until the next call.
func (e *EventReader) line() ([]byte, error) {
	e.buf = e.buf[:0]
	if e.cut {
		e.buf, e.cut = append(e.buf, ':'), false // it is not empty, whatever is left of it
	}
	for {
		if _, err := e.r.Peek(1); err != nil {
			return nil, err
		}
		chunk, _ := e.r.Peek(e.r.Buffered())
		if !e.begun {
			if err := e.skipMark(); err != nil {
				return nil, err
			}
			continue
		}
		if e.skipLF {
			e.skipLF = false
			if chunk[0] == '\n' {
				e.discard(1)
				continue
			}
		}
		i := lineEnd(chunk)
		if i < 0 {
			e.buf = append(e.buf, chunk...)
			e.discard(len(chunk))
			switch long := len(e.buf) > e.limit+slack; {
			case long && e.skips:
				e.buf = e.buf[:1]
			case long:
				e.cut = true
				return nil, ErrTooLong
			}
			continue
		}
		e.skipLF = chunk[i] == '\r'
		e.discard(i + 1) // which leaves the bytes where they are
		if len(e.buf) == 0 {
			return chunk[:i], nil
		}
		e.buf = append(e.buf, chunk[:i]...)
		return e.buf, nil
	}
}

// lineEnd is where the first line ends, or negative.
func lineEnd(text []byte) int {
	n := bytes.IndexByte(text, '\n')
	if n < 0 {
		return bytes.IndexByte(text, '\r')
	}
	if r := bytes.IndexByte(text[:n], '\r'); r >= 0 {
		return r
	}
	return n
}

func (e *EventReader) skipMark() error {
	e.begun = true
	mark := []byte("\ufeff")
	if first, _ := e.r.Peek(1); first[0] != mark[0] {
		return nil
	}
	head, err := e.r.Peek(len(mark))
	if err != nil {
		return err
	}
	if bytes.Equal(head, mark) {
		e.discard(len(mark))
	}
	return nil
}

// discard drops n bytes that Peek has shown to be there.
func (e *EventReader) discard(n int) { _, _ = e.r.Discard(n) }

// OneLine returns a JSON text that is one line to every peer. Line breaks can
// only be white space in it. The other characters, which can only be in strings,
// end a line for some decoders in Python (httpx-sse before 0.4.2) and Node
// (readline). White space around the text is left out: a peer of the Go SDK ends
// if there is any before the end of a line on stdio.
func OneLine(text string) string {
	text = strings.Trim(text, " \t\r\n")
	for _, end := range lineEnds {
		if strings.Contains(text, end) {
			return oneLine.Replace(text)
		}
	}
	return text
}

var (
	lineEnds = [...]string{"\r", "\n", "\u2028", "\u2029", "\u0085"}
	oneLine  = strings.NewReplacer("\r", " ", "\n", " ", "\u2028", `\u2028`, "\u2029", `\u2029`, "\u0085", `\u0085`)
)
