package audit

import (
	"fmt"
	"io"
	"os"
	"sync"
)

// A Log appends records to one writer. Many goroutines may write at once.
type Log struct {
	mu    sync.Mutex
	w     io.Writer
	close func() error
	input bool
}

// NewLog returns a log that writes to w. With input, records hold the masked
// input document.
func NewLog(w io.Writer, input bool) *Log {
	return &Log{w: w, input: input, close: func() error { return nil }}
}

// Open opens the log at path, where "-" is stdout. A file is appended to and
// made readable by its owner alone.
func Open(path string, stdout io.Writer, input bool) (*Log, error) {
	if path == "-" {
		return NewLog(stdout, input), nil
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open audit log: %w", err)
	}
	l := NewLog(f, input)
	l.close = f.Close
	return l, nil
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 2048); return &b }}

// Write appends the record. When it returns nil, the whole line is with the
// operating system.
func (l *Log) Write(r *Record) error {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	line := r.append((*buf)[:0], l.input)
	*buf = line
	l.mu.Lock()
	defer l.mu.Unlock()
	n, err := l.w.Write(line)
	if err != nil && n > 0 && n < len(line) {
		// A full disk took half a line: end it, so that the next one is whole.
		_, _ = l.w.Write([]byte("\n"))
	}
	return err
}

// Close closes the file, if the log opened one.
func (l *Log) Close() error { return l.close() }
