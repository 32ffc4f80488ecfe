// Package replay judges recorded traffic again, by another policy, and tells
// what would change. What a record leaves out is never guessed: where the
// policy gets to that, the record is counted as not replayable.
package replay

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-mcp/gatehouse/internal/audit"
	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

// A Replay is one run over records.
type Replay struct {
	New     *policy.Snapshot
	Against *policy.Snapshot             // nil: what was recorded
	Chosen  func(change, id string) bool // the records to keep for tests; nil: none
	Done    *atomic.Int64                // lines judged so far; may be nil
}

// An Input is a file of records, by the name that errors call it.
type Input struct {
	Name string
	io.Reader
}

// Lines are handed to workers in batches. Only so many are read ahead.
const (
	batchLines = 256
	batchBytes = 1 << 20
)

type batch struct {
	first int // number of the first line, over all inputs
	lines []string
}

// Run judges all records of the inputs, one after the other. The memory that it
// takes does not grow with their number.
func (r *Replay) Run(ctx context.Context, inputs ...Input) (*Report, []Case, error) {
	workers := runtime.GOMAXPROCS(0)
	batches := make(chan batch, workers)
	parts := make([]part, workers)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(batches)
		return read(ctx, inputs, batches)
	})
	for i := range parts {
		group.Go(func() error {
			parts[i] = part{replay: r, report: newReport()}
			for b := range batches {
				parts[i].judge(b)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	total, cases := newReport(), []Case{}
	for _, p := range parts {
		total.add(p.report)
		cases = append(cases, p.cases...)
	}
	total.Bundle = Bundle{r.New.Revision, r.New.SHA256}
	if r.Against != nil {
		total.Against = &Bundle{r.Against.Revision, r.Against.SHA256}
	}
	total.finish()
	return total, firstCases(cases), nil
}

// read cuts the inputs into batches of lines.
func read(ctx context.Context, inputs []Input, batches chan<- batch) error {
	next, size := batch{}, 0
	send := func() error {
		select {
		case batches <- next:
			next, size = batch{first: next.first + len(next.lines)}, 0
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for _, input := range inputs {
		for line, err := range audit.Lines(input.Name, input) {
			if err != nil {
				return fmt.Errorf("read records: %w", err)
			}
			if len(line.Text) == 0 {
				continue
			}
			next.lines = append(next.lines, string(line.Text))
			if size += len(line.Text); len(next.lines) == batchLines || size >= batchBytes {
				if err := send(); err != nil {
					return err
				}
			}
		}
	}
	return send()
}

// A part is what one worker found.
type part struct {
	replay *Replay
	report *Report
	cases  []Case
}

func (p *part) judge(b batch) {
	for i, line := range b.lines {
		p.line(b.first+i, line)
	}
	if p.replay.Done != nil {
		p.replay.Done.Add(int64(len(b.lines)))
	}
}

func (p *part) line(n int, line string) {
	rec, skip := parseRecord(line)
	if skip != "" {
		p.report.Skipped[skip]++
		return
	}
	p.report.Records++
	p.report.seen(rec.time, rec.time)
	before := rec.old
	after, missing := judge(p.replay.New, rec)
	if missing == "" && p.replay.Against != nil {
		before, missing = judge(p.replay.Against, rec)
	}
	if missing != "" {
		p.report.NotReplayable++
		count(p.report.Missing, missing, 1)
		return
	}
	c := change(before, after)
	if c == "" {
		p.report.Unchanged++
	} else {
		p.report.changed(c, reasonOf(before, after), rec)
	}
	if p.replay.Chosen != nil && p.replay.Chosen(c, rec.id) {
		p.keep(n, c, rec, before, after)
	}
}

// reasonOf is the reason of the denial that a change is about.
func reasonOf(before, after verdict) string {
	if after.class == allowed {
		return before.reason
	}
	return after.reason
}

// keep keeps a record for a test, as long as it is among the first.
func (p *part) keep(n int, change string, rec *record, before, after verdict) {
	if after.answer.Err != nil {
		return // nobody would want to keep it that way
	}
	c, err := newCase(n, change, rec, before, after)
	if err != nil || slices.ContainsFunc(p.cases, c.same) {
		return
	}
	if p.cases = append(p.cases, c); len(p.cases) > 2*maxCases {
		p.cases = firstCases(p.cases)
	}
}
