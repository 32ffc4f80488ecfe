package audit

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math"
	"os"
	"slices"
	"time"
)

// A Tail reads the end of a file of records, and what is written on.
type Tail struct {
	path string
	f    *os.File
	at   int64 // what is before was read
}

// OpenTail opens the file at path, which must not be a pipe.
func OpenTail(path string) (*Tail, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &Tail{path: path, f: f}, nil
}

// Close closes the file.
func (t *Tail) Close() error { return t.f.Close() }

// Last returns the last n lines that want chooses, the newest one last.
func (t *Tail) Last(n int, want func(line []byte) bool) (lines [][]byte, err error) {
	info, err := t.f.Stat()
	if err != nil {
		return nil, err
	}
	size := info.Size()
	for p, err := range backwards(t.f, size) {
		switch {
		case err != nil:
			return nil, err
		case t.at == 0 && p.at+int64(len(p.text)) == size: // it has no end yet
			size, t.at = p.at, p.at
			continue
		case t.at == 0:
			t.at = size
		}
		if len(lines) == n {
			break
		}
		if want(p.text) {
			lines = append(lines, slices.Clone(p.text))
		}
	}
	slices.Reverse(lines)
	return lines, nil
}

// lookout is how often Follow looks for new records.
const lookout = 200 * time.Millisecond

// Follow yields each line that is written from now on, also to the files that
// take this one's place, until the context ends.
func (t *Tail) Follow(ctx context.Context, yield func(line []byte) error) error {
	look := time.NewTicker(lookout)
	defer look.Stop()
	for {
		next, err := t.next() // first: then nothing is added to this file any more
		if err == nil {
			err = t.drain(yield)
		}
		if err != nil {
			return err
		}
		if next != nil {
			_ = t.f.Close()
			t.f, t.at = next, 0
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
	}
}

// drain yields the whole lines that were not read yet.
func (t *Tail) drain(yield func(line []byte) error) error {
	if info, err := t.f.Stat(); err == nil && info.Size() < t.at {
		t.at = 0 // it was cut
	}
	r := bufio.NewReader(io.NewSectionReader(t.f, t.at, math.MaxInt64-t.at))
	for {
		line, err := r.ReadBytes('\n')
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		t.at += int64(len(line))
		if err := yield(line[:len(line)-1]); err != nil {
			return err
		}
	}
}

// next opens the file that took this one's place, or returns nil.
func (t *Tail) next() (*os.File, error) {
	this, err := t.f.Stat()
	if err != nil {
		return nil, err
	}
	if at, err := os.Stat(t.path); err != nil || os.SameFile(at, this) {
		return nil, nil // or it is not there yet
	}
	aside, err := Aside(t.path)
	if err != nil {
		return nil, err
	}
	for i, name := range aside {
		if at, err := os.Stat(name); err == nil && os.SameFile(at, this) && i+1 < len(aside) {
			return openIfThere(aside[i+1])
		}
	}
	return openIfThere(t.path)
}

// openIfThere returns nil for a file that is gone, as in the midst of a rotation.
func openIfThere(name string) (*os.File, error) {
	f, err := os.Open(name)
	if os.IsNotExist(err) {
		return nil, nil
	}
	return f, err
}
