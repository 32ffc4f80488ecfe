package mcp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// A LineReader splits what a peer writes on stdio into messages: one a line. Lines
// end in LF or CRLF; empty ones are skipped, and so is one that no LF ends: it
// is not whole.
type LineReader struct {
	r     *bufio.Reader
	limit int
	skips bool // within a line over the limit
}

// maxSkip is how much of a line over the limit is skipped, in bytes.
const maxSkip = 64 << 20

// ErrEndless is what becomes of one that goes on. The next call skips as much again.
var ErrEndless = errors.New("a line does not end")

// NewLineReader reads messages of at most limit bytes from r.
func NewLineReader(r io.Reader, limit int) *LineReader {
	return &LineReader{r: bufio.NewReaderSize(r, 16<<10), limit: limit}
}

// Next returns the next line without its end. It returns io.EOF after the last.
// A line over the limit is told by ErrTooLong as soon as it is, and skipped by the next
// call, unless that meets ErrEndless.
func (l *LineReader) Next() (string, error) {
	if l.skips {
		if err := l.skip(); err != nil {
			return "", err
		}
	}
	var line []byte
	for {
		chunk, err := l.r.ReadSlice('\n')
		line = append(line, chunk...)
		switch {
		case len(line) > l.limit+len("\r\n"):
			l.skips = err != nil
			return "", ErrTooLong
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil:
			return "", err
		}
		line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		switch {
		case len(line) > l.limit:
			return "", ErrTooLong
		case len(bytes.TrimSpace(line)) > 0:
			return string(line), nil
		}
		line = nil
	}
}

// skip reads the rest of a line.
func (l *LineReader) skip() error {
	for skipped := 0; skipped < maxSkip; {
		chunk, err := l.r.ReadSlice('\n')
		if !errors.Is(err, bufio.ErrBufferFull) {
			l.skips = false
			return err
		}
		skipped += len(chunk)
	}
	return ErrEndless
}
