package audit

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
)

// A Finding is something that is not as it was written, or a Note of what an
// operator should know.
type Finding struct {
	File string
	Line int64
	Text string
	Note bool
}

func (f Finding) String() string {
	if f.Line == 0 {
		return fmt.Sprintf("%s: %s", f.File, f.Text)
	}
	return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Text)
}

// A Segment is a part of a chain that stands in one file.
type Segment struct {
	Chain       string
	First, Last uint64 // records
	Hash        string // of the last one

	file               string
	line, end          int64 // of the first record, and of the last
	prev, sum          sum   // the link that the first needs, and that the last gives
	lead, torn, behind int64 // bytes that are no record: before the first, as it says, and after the last
	unended            bool  // those after the last have no end
}

// A Verifier checks chains of records over any number of files, in any order.
type Verifier struct {
	hasher   *hasher
	keyed    bool
	report   func(Finding)
	segments []*Segment
	want     string
	met      bool

	Records, Bytes int64
	Broken         int64 // findings that are not notes
}

// NewVerifier returns a verifier that calls report with each finding. expect is
// a hash that one of the records must have, or empty.
func NewVerifier(key []byte, expect string, report func(Finding)) *Verifier {
	return &Verifier{hasher: newHasher(key), keyed: len(key) > 0, want: expect, report: report}
}

// ErrKey says that the records were made with a key.
var ErrKey = errors.New("the chain was made with a key, which is needed to check it")

// maxChains is how many chains one file may hold.
const maxChains = 10_000

// A fileCheck is the state of checking one file.
type fileCheck struct {
	*Verifier
	chains map[id]*Segment
	newest *Segment // that of the last record
	stray  int64    // bytes since then that are no record
	from   int64    // the first of their lines
	line   Line
}

// File checks the records of one file. An error says that the file could not
// be read or checked.
func (v *Verifier) File(name string, r io.Reader) error {
	c := fileCheck{Verifier: v, chains: map[id]*Segment{}}
	for line, err := range Lines(name, r) {
		if err != nil {
			return err
		}
		c.line = line
		size := int64(len(line.Text))
		if line.Ended {
			size++
		}
		v.Bytes += size
		l, ok := parseLink(line.Text)
		if !ok {
			if c.stray == 0 {
				c.from = line.Number
			}
			c.stray += size
			continue
		}
		if err := c.record(l); err != nil {
			return fmt.Errorf("%s:%d: %w", name, line.Number, err)
		}
	}
	switch {
	case c.newest != nil:
		c.newest.behind, c.newest.unended = c.stray, !c.line.Ended
	case c.stray > 0:
		c.found(name, c.from, "no record of a chain")
	}
	return nil
}

// record checks a record against the one before it in the file.
func (c *fileCheck) record(l link) error {
	if l.keyed && !c.keyed {
		return ErrKey
	}
	c.Records++
	name, at := c.line.File, c.line.Number
	switch {
	case !l.keyed && c.keyed:
		c.found(name, at, "record %d is not of a chain with a key", l.seq)
	case !l.signed(c.hasher, c.line.Text):
		c.found(name, at, "record %d was changed: its hash is another", l.seq)
	case c.want != "" && string(l.sum[:]) == c.want:
		c.met = true
	}
	s := c.chains[l.chain]
	if s == nil {
		return c.begin(l)
	}
	c.tornBefore(l)
	switch {
	case l.seq <= s.Last:
		c.found(name, at, "record %d stands after record %d", l.seq, s.Last)
		return nil
	case l.seq > s.Last+1:
		c.missing(name, at, s.Last, l.seq)
	case l.prev != s.sum:
		c.found(name, at, "record %d does not follow record %d before it: one of them is not what was written", l.seq, s.Last)
	}
	s.Last, s.sum, s.end = l.seq, l.sum, at
	c.newest = s
	return nil
}

// begin notes the first record of a chain in this file.
func (c *fileCheck) begin(l link) error {
	if len(c.chains) == maxChains {
		return fmt.Errorf("more than %d chains", maxChains)
	}
	s := &Segment{
		Chain: string(l.chain[:]), First: l.seq, Last: l.seq, file: c.line.File, line: c.line.Number, end: c.line.Number,
		prev: l.prev, sum: l.sum, lead: c.stray, torn: l.torn,
	}
	if c.newest != nil { // the bytes before it are of this file
		c.tornBefore(l)
		s.lead, s.torn = 0, 0
	}
	c.chains[l.chain], c.newest, c.stray = s, s, 0
	c.segments = append(c.segments, s)
	return nil
}

// tornBefore checks that what stands before a record and is none is what the
// record says was not finished.
func (c *fileCheck) tornBefore(l link) {
	c.torn(c.line.File, c.line.Number, c.from, l.torn, c.stray)
	c.stray = 0
}

func (v *Verifier) torn(file string, line, from, said, there int64) {
	switch {
	case said != there && there > 0:
		v.found(file, from, "no record of a chain")
	case said != there:
		v.found(file, line, "%d bytes of an unfinished record are missing before this one", said)
	case there > 0:
		v.note(file, from, "an unfinished record, as the one after it says")
	}
}

// Finish checks that the files fit together, and returns the chains.
func (v *Verifier) Finish() []Segment {
	slices.SortStableFunc(v.segments, func(a, b *Segment) int {
		return cmp.Or(cmp.Compare(a.Chain, b.Chain), cmp.Compare(a.First, b.First), cmp.Compare(a.Last, b.Last))
	})
	var chains []Segment
	for _, s := range v.segments {
		if n := len(chains); n > 0 && chains[n-1].Chain == s.Chain {
			v.join(&chains[n-1], s)
			continue
		}
		v.first(s)
		chains = append(chains, *s)
	}
	for i := range chains {
		v.last(&chains[i])
	}
	if v.want != "" && !v.met {
		v.Broken++
		v.report(Finding{File: "--expect-last", Text: "no record has the hash " + v.want + ": records were cut off, or changed"})
	}
	return chains
}

// first checks the beginning of a chain, which may be in a file that is gone.
func (v *Verifier) first(s *Segment) {
	if s.First > 1 {
		v.note(s.file, s.line, "chain %s begins with record %d: those before are in no file given", s.Chain, s.First)
		if s.lead > s.torn {
			v.found(s.file, 1, "no record of a chain")
		}
		return
	}
	if s.prev != origin {
		v.found(s.file, s.line, "record 1 follows another one: it is not what was written")
	}
	v.torn(s.file, s.line, 1, s.torn, s.lead)
}

// join checks that b goes on where a ends, and makes them one.
func (v *Verifier) join(a, b *Segment) {
	switch {
	case b.First <= a.Last:
		v.found(b.file, b.line, "record %d is in %s too", b.First, a.file)
	case b.First > a.Last+1:
		v.missing(b.file, b.line, a.Last, b.First)
	case b.prev != a.sum:
		v.found(b.file, b.line, "record %d does not follow record %d in %s: one of them is not what was written", b.First, a.Last, a.file)
	default:
		v.torn(a.file, a.end, a.end+1, b.torn, a.behind+b.lead)
	}
	if b.Last > a.Last {
		a.Last, a.sum, a.file, a.end, a.behind, a.unended = b.Last, b.sum, b.file, b.end, b.behind, b.unended
	}
}

// last checks the end of a chain.
func (v *Verifier) last(s *Segment) {
	s.Hash = string(s.sum[:])
	switch {
	case s.behind > 0 && s.unended:
		v.note(s.file, s.end+1, "an unfinished record of %d bytes at the end", s.behind)
	case s.behind > 0:
		v.found(s.file, s.end+1, "no record of a chain")
	}
}

func (v *Verifier) missing(file string, line int64, last, next uint64) {
	if next == last+2 {
		v.found(file, line, "record %d is missing before this one", last+1)
		return
	}
	v.found(file, line, "records %d to %d are missing before this one", last+1, next-1)
}

func (v *Verifier) found(file string, line int64, format string, args ...any) {
	v.Broken++
	v.report(Finding{File: file, Line: line, Text: fmt.Sprintf(format, args...)})
}

func (v *Verifier) note(file string, line int64, format string, args ...any) {
	v.report(Finding{File: file, Line: line, Text: fmt.Sprintf(format, args...), Note: true})
}
