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
}

// NewLineReader reads messages of at most limit bytes from r.
func NewLineReader(r io.Reader, limit int) *LineReader {
	return &LineReader{r: bufio.NewReaderSize(r, 16<<10), limit: limit}
}

// Next returns the next line without its end. It returns io.EOF after the last.
// A line over the limit is skipped and told by ErrTooLong, and the next call goes on
// after it.
func (l *LineReader) Next() (string, error) {
	var line []byte
	over := false
	for {
		chunk, err := l.r.ReadSlice('\n')
		if !over {
			line = append(line, chunk...)
		}
		if len(line) > l.limit+len("\r\n") {
			line, over = nil, true
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil:
			return "", err
		case over:
			return "", ErrTooLong
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
