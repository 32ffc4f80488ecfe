package audit

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
)

// Config says where records go and what they hold.
type Config struct {
	Path     string    // a file, or "-" for Stdout
	Stdout   io.Writer // of the process
	Input    bool      // records hold the masked input document
	Key      []byte    // of the hash chain; empty: it has none
	MaxBytes int64     // a file of this size is put aside for a new one; 0: never
	Keep     int       // files put aside that are kept; 0: all
	Log      *slog.Logger
}

// A Log appends records to one writer. Many goroutines may write at once.
// Records are links of a hash chain, which goes on in the next file, and in the
// next process that opens the file.
type Log struct {
	mu    sync.Mutex
	w     io.Writer
	chain chain
	open  bool  // the last line has no end yet
	torn  int64 // bytes since the last whole record
	input bool
	file  *file // nil: w is a stream
	tap   func(record []byte)
}

// NewLog returns a log that writes to w, and begins a chain. With input,
// records hold the masked input document.
func NewLog(w io.Writer, input bool) *Log {
	return &Log{w: w, input: input, chain: newChain(newHasher(nil))}
}

// Open opens a log. A file is appended to, and its chain goes on; a new one is
// readable by its owner alone. It is an error if another process has it open.
func Open(c Config) (*Log, error) {
	l := &Log{w: c.Stdout, input: c.Input, chain: newChain(newHasher(c.Key))}
	if c.Path == "-" {
		return l, nil
	}
	f, err := openFile(&c)
	if err != nil {
		return nil, err
	}
	l.w, l.file = f, f
	if err := l.resume(); err != nil {
		_ = f.close()
		return nil, fmt.Errorf("read audit log: %w", err)
	}
	return l, nil
}

// Tap lets f see each decision that was written, without what makes it a link of
// the chain. f must neither wait nor keep the bytes. It is set before first use.
func (l *Log) Tap(f func(record []byte)) { l.tap = f }

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

const (
	maxKept = 64 << 10 // the size beyond which a buffer is not kept for further records
	linkLen = 256      // room for a link
)

// Write appends the record. When it returns nil, the whole line is with the
// operating system.
func (l *Log) Write(r *Record) error {
	buf := buffers.Get().(*[]byte)
	line := r.append((*buf)[:0], l.input)
	line = slices.Grow(line, linkLen)
	err := l.write(line)
	if err == nil && l.tap != nil && r.Outcome != Reject && r.Candidate == nil {
		l.tap(append(line, '}'))
	}
	if *buf = line; cap(line) <= maxKept {
		buffers.Put(buf)
	}
	return err
}

// write writes a record that lacks its link.
func (l *Log) write(line []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open {
		// A full disk took part of a line: end it, so that this one is whole.
		if _, err := l.w.Write([]byte("\n")); err != nil {
			return err
		}
		l.ended()
	}
	line = l.chain.seal(line, l.torn)
	if l.file != nil {
		l.file.rotate(len(line))
	}
	n, err := l.w.Write(line)
	switch {
	case n >= len(line)-1: // the record is there, if perhaps without its end
		l.chain.advance()
		l.torn, l.open = 0, n < len(line)
	case n > 0:
		l.torn, l.open = l.torn+int64(n), true
	}
	if err == nil && n < len(line) {
		err = io.ErrShortWrite
	}
	return err
}

// ended notes that the last line has an end: one of its own record, or one that
// makes a line of an unfinished record.
func (l *Log) ended() {
	if l.open = false; l.torn > 0 {
		l.torn++
	}
}

// Reopen opens the log's file anew if its path is another file by now, as after
// a tool has moved it away. Until then, records go to the file that was moved.
func (l *Log) Reopen() error {
	if l.file == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file.current() {
		return nil
	}
	if l.open {
		if _, err := l.w.Write([]byte("\n")); err == nil {
			l.ended()
		}
	}
	if err := l.file.replace(); err != nil {
		return err
	}
	l.open = l.file.size > 0 && !endsLine(l.file)
	return nil
}

// Close closes the file, if the log opened one.
func (l *Log) Close() error {
	if l.file == nil {
		return nil
	}
	return l.file.close()
}
