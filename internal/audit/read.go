package audit

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// A Line is one line of a file of records.
type Line struct {
	File   string
	Number int64  // from 1
	Text   []byte // without its end, and only until the next line is read
	Ended  bool   // false for what stands after the last end of a line
}

// maxLine is how long a line may be.
const maxLine = 1 << 30

// Lines reads the lines of a file. The last pair has the error, if there is one.
func Lines(file string, r io.Reader) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		b, long := bufio.NewReaderSize(r, 256<<10), []byte(nil)
		for n := int64(1); ; {
			text, err := b.ReadSlice('\n')
			if errors.Is(err, bufio.ErrBufferFull) && len(long)+len(text) <= maxLine {
				long = append(long, text...)
				continue
			}
			if len(long) > 0 {
				long = append(long, text...)
				text, long = long, long[:0]
			}
			text, ended := bytes.CutSuffix(text, []byte("\n"))
			if err != nil && !errors.Is(err, io.EOF) {
				yield(Line{File: file, Number: n}, fmt.Errorf("%s:%d: %w", file, n, err))
				return
			}
			if (ended || len(text) > 0) && !yield(Line{file, n, text, ended}, nil) || err != nil {
				return
			}
			n++
		}
	}
}

// OpenFile opens a file of records, or the standard input for "-", and
// decompresses it if it is compressed with gzip.
func OpenFile(name string, stdin io.Reader) (io.ReadCloser, error) {
	f := io.NopCloser(stdin)
	if name != "-" {
		var err error
		if f, err = os.Open(name); err != nil {
			return nil, err
		}
	}
	b := bufio.NewReader(f)
	r := io.Reader(b)
	if magic, err := b.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		if r, err = gzip.NewReader(b); err != nil {
			_ = f.Close()
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return struct {
		io.Reader
		io.Closer
	}{r, f}, nil
}

// An Entry is a record as it was read. Its texts are what the members stand
// for: whoever shows them has to escape them, as Escape does.
type Entry struct {
	Time                               time.Time
	DecisionID, TraceID                string
	Phase, Kind, Server                string
	Tool, Resource, Prompt             string // one of them at most
	User, RequestIP, Mode              string
	Outcome                            Outcome
	Code, Reason, Message              string
	Status, Items, Hidden, Eval, Size  int64 // Eval in nanoseconds
	Revision, BundleSHA256, BodySHA256 string
	Input                              jsontext.Value // a JSON text, or nil
	Candidate                          *Difference    // nil: the record is of the policy in force
	Chain                              string
	Seq                                int64
}

// A Difference is what a candidate bundle would have decided.
type Difference struct{ Change, Revision, Outcome, Code, Reason string }

func (d *Difference) field(name string) any {
	switch name {
	case "change":
		return &d.Change
	case "revision":
		return &d.Revision
	case "outcome":
		return &d.Outcome
	case "code":
		return &d.Code
	case "reason":
		return &d.Reason
	}
	return nil
}

// A Parser reads records, one after the other. The zero Parser is ready.
type Parser struct {
	text bytes.Buffer
	dec  jsontext.Decoder
}

var errNoRecord = errors.New("not a decision record")

// Parse reads a line. It refuses what is not one object with a time and an
// outcome, and what two readers might read differently. Input is
// valid as long as the line is.
func (p *Parser) Parse(line []byte) (e Entry, err error) {
	p.text.Reset()
	p.text.Write(line)
	p.dec.Reset(&p.text)
	if p.dec.PeekKind() != '{' {
		return e, errNoRecord
	}
	if err = p.object(func(name string) error { return p.member(&e, name, line) }); err != nil {
		return e, fmt.Errorf("%w: %w", errNoRecord, err)
	}
	if _, err := p.dec.ReadToken(); !errors.Is(err, io.EOF) || e.Time.IsZero() || e.Outcome == "" {
		return e, errNoRecord
	}
	return e, nil
}

// object reads an object, each member by read.
func (p *Parser) object(read func(name string) error) error {
	if t, err := p.dec.ReadToken(); err != nil || t.Kind() != '{' {
		return errors.Join(err, errNoRecord)
	}
	for p.dec.PeekKind() != '}' {
		name, err := p.dec.ReadToken()
		if err == nil {
			err = read(name.String())
		}
		if err != nil {
			return err
		}
	}
	_, err := p.dec.ReadToken()
	return err
}

func (p *Parser) member(e *Entry, name string, line []byte) error {
	switch name {
	case "bundle":
		return p.object(func(name string) error {
			switch name {
			case "revision":
				return p.scalar(&e.Revision)
			case "sha256":
				return p.scalar(&e.BundleSHA256)
			}
			return p.dec.SkipValue()
		})
	case "candidate":
		e.Candidate = &Difference{}
		return p.object(func(name string) error { return p.scalar(e.Candidate.field(name)) })
	case "input":
		raw, err := p.dec.ReadValue()
		if err == nil {
			end := int(p.dec.InputOffset())
			e.Input = line[end-len(raw) : end]
		}
		return err
	}
	return p.scalar(e.field(name))
}

func (e *Entry) field(name string) any {
	switch name {
	case "ts":
		return &e.Time
	case "decision_id":
		return &e.DecisionID
	case "trace_id":
		return &e.TraceID
	case "phase":
		return &e.Phase
	case "kind":
		return &e.Kind
	case "server":
		return &e.Server
	case "tool":
		return &e.Tool
	case "resource":
		return &e.Resource
	case "prompt":
		return &e.Prompt
	case "user":
		return &e.User
	case "request_ip":
		return &e.RequestIP
	case "mode":
		return &e.Mode
	case "outcome":
		return (*string)(&e.Outcome)
	case "code":
		return &e.Code
	case "reason":
		return &e.Reason
	case "message":
		return &e.Message
	case "status":
		return &e.Status
	case "items":
		return &e.Items
	case "hidden":
		return &e.Hidden
	case "eval_ns":
		return &e.Eval
	case "size":
		return &e.Size
	case "body_sha256":
		return &e.BodySHA256
	case "chain":
		return &e.Chain
	case "seq":
		return &e.Seq
	}
	return nil
}

// scalar reads a value into a *string, *int64 or *time.Time, or passes over it.
func (p *Parser) scalar(into any) error {
	if into == nil {
		return p.dec.SkipValue()
	}
	t, err := p.dec.ReadToken()
	if err != nil {
		return err
	}
	switch into := into.(type) {
	case *string:
		if t.Kind() != '"' {
			return errors.New("not a string")
		}
		*into = t.String()
	case *time.Time:
		*into, err = time.Parse(time.RFC3339, t.String())
	case *int64:
		if t.Kind() != '0' {
			return errors.New("not a number")
		}
		*into, err = t.Int()
	}
	return err
}

// Target is what the record is about: a tool, a resource or a prompt, or else
// the method.
func (e *Entry) Target() string {
	for _, name := range []string{e.Tool, e.Resource, e.Prompt} {
		if name != "" {
			return name
		}
	}
	return e.Kind
}

// Entries reads the records of a file. With a line that is none comes an error
// that says so, and reading goes on; the pair of an error of reading is the last.
func Entries(file string, r io.Reader) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		var p Parser
		for line, err := range Lines(file, r) {
			var e Entry
			if err == nil {
				if e, err = p.Parse(line.Text); err != nil {
					err = &BadLine{line.File, line.Number, err}
				}
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// A BadLine is a line that is no record.
type BadLine struct {
	File   string
	Number int64
	Err    error
}

func (b *BadLine) Error() string { return fmt.Sprintf("%s:%d: %v", b.File, b.Number, b.Err) }

func (b *BadLine) Unwrap() error { return b.Err }
