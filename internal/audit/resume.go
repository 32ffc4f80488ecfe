package audit

import (
	"bytes"
	"errors"
	"io"
	"iter"
)

// ErrInUse says that a file of records has a writer already.
var ErrInUse = errors.New("another process writes to it, and a chain of records has one writer")

// maxLook is how far back the last record of a file is looked for.
const maxLook = 64 << 20

// resume goes on with the chain of the last record of the file. What stands
// after that record was not finished when a process or the disk ended. A last
// record that is not as it was written begins a new chain, and is told.
func (l *Log) resume() error {
	f := l.file
	if !f.regular || f.size == 0 {
		return nil
	}
	for line, err := range backwards(f, f.size) {
		if err != nil {
			return err
		}
		if line.at+int64(len(line.text)) == f.size {
			l.open = len(line.text) > 0
		}
		if at, ok := parseLink(line.text); ok {
			if at.signed(l.chain.hasher, line.text) {
				l.chain = continued(l.chain.hasher, at)
			} else {
				f.log.Error("the last audit record was changed, or made with another key: a new chain begins",
					"path", f.path, "chain", string(at.chain[:]), "seq", at.seq)
			}
			break
		}
		if l.torn = f.size - line.at; l.torn > maxLook {
			break
		}
	}
	if l.torn > 0 {
		f.log.Warn("the last audit record is unfinished", "path", f.path, "bytes", l.torn)
	}
	return nil
}

func endsLine(f *file) bool {
	var last [1]byte
	_, err := f.ReadAt(last[:], f.size-1)
	return err == nil && last[0] == '\n'
}

// A part is a line, without its end, and where it begins.
type part struct {
	at   int64
	text []byte // until the next
}

// backwards reads the lines of the first size bytes, the last one first. What
// stands after the last end of a line is a line too, if it is not empty.
func backwards(r io.ReaderAt, size int64) iter.Seq2[part, error] {
	return func(yield func(part, error) bool) {
		var text []byte
		block, first := int64(64<<10), true
		for at := size; ; {
			if i := bytes.LastIndexByte(text, '\n'); i >= 0 {
				p := part{at + int64(i) + 1, text[i+1:]}
				if text = text[:i]; (!first || len(p.text) > 0) && !yield(p, nil) {
					return
				}
				first = false
				continue
			}
			if at == 0 {
				if len(text) > 0 || !first {
					yield(part{0, text}, nil)
				}
				return
			}
			block = max(block, int64(len(text)))
			n := min(block, at)
			more := make([]byte, n, n+int64(len(text)))
			if _, err := r.ReadAt(more, at-n); err != nil {
				yield(part{}, err)
				return
			}
			at, text = at-n, append(more, text...)
		}
	}
}
