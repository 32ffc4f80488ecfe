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
	torn  bool // the last line is there in part, and has no end
	close func() error
	input bool
}

// NewLog returns a log that writes to w. With input, records hold the masked
// input document.
func NewLog(w io.Writer, input bool) *Log {
	return &Log{w: w, input: input, close: func() error { return nil }}
}

// Open opens the log at path, where "-" is stdout. A file is appended to, and a
// new one is readable by its owner alone.
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

// maxKept is the size beyond which a buffer is not kept for further records.
const maxKept = 64 << 10

// Write appends the record. When it returns nil, the whole line is with the
// operating system.
func (l *Log) Write(r *Record) error {
	buf := buffers.Get().(*[]byte)
	line := r.append((*buf)[:0], l.input)
	err := l.write(line)
	if *buf = line; cap(line) <= maxKept {
		buffers.Put(buf)
	}
	return err
}

func (l *Log) write(line []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.torn {
		// A full disk took part of a line: end it, so that this one is whole.
		if _, err := l.w.Write([]byte("\n")); err != nil {
			return err
		}
		l.torn = false
	}
	n, err := l.w.Write(line)
	if err == nil && n < len(line) {
		err = io.ErrShortWrite
	}
	l.torn = n > 0 && n < len(line)
	return err
}

// Close closes the file, if the log opened one.
func (l *Log) Close() error { return l.close() }
