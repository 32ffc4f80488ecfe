package gateway

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-mcp/gatehouse/internal/audit"
	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

// A CandidateReport tells what a candidate would change of what was decided
// since it, or the policy in force, was loaded.
type CandidateReport struct {
	Candidate BundleReport     `json:"candidate"`
	Live      BundleReport     `json:"live"`
	Since     time.Time        `json:"since,omitzero"`
	Judged    int              `json:"judged"`
	Dropped   int64            `json:"dropped"`
	Totals    map[string]int   `json:"totals"`
	Table     []*DifferenceRow `json:"table"` // the most frequent first
}

// A BundleReport tells which bundle it is.
type BundleReport struct {
	Revision string    `json:"revision,omitempty"`
	SHA256   string    `json:"sha256,omitempty"`
	LoadedAt time.Time `json:"loaded_at,omitzero"`
	Error    string    `json:"error,omitempty"` // why the newest was refused
}

// A DifferenceRow is all differences of one kind, rule, tool and user.
type DifferenceRow struct {
	Change   string    `json:"change"`
	Reason   string    `json:"reason"` // of the denial that is new, or gone
	Tool     string    `json:"tool"`   // or resource, prompt, method
	User     string    `json:"user"`
	Count    int       `json:"count"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	Examples []string  `json:"examples"` // decision ids, the first of all
}

// Bounds on the table, whatever names clients send.
const (
	maxRows     = 1000
	maxName     = 128 // bytes
	maxExamples = 5
	otherNames  = "(other)"
)

// differences are what a candidate was found to change.
type differences struct {
	mu         sync.Mutex
	live, next *policy.Snapshot
	since      time.Time
	judged     int
	totals     map[string]int
	rows       map[[4]string]*DifferenceRow
}

// restart counts anew if another policy is in force or a candidate.
func (c *Candidate) restart(live, next *policy.Snapshot) {
	f := &c.found
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.live == live && f.next == next {
		return
	}
	if f.live != nil {
		c.dropped.Store(0)
	}
	f.live, f.next, f.since, f.judged = live, next, time.Now().UTC(), 0
	f.rows, f.totals = map[[4]string]*DifferenceRow{}, map[string]int{}
	for _, change := range []string{NewlyDenied, NewlyAllowed, PatchedOtherwise, Failed, Slower} {
		f.totals[change] = 0
	}
}

func (f *differences) add(change, reason string, slower bool, r *audit.Record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.judged++
	if slower {
		f.totals[Slower]++
	}
	if change == Unchanged {
		return
	}
	f.totals[change]++
	key := [4]string{change, short(reason), short(about(r.Input)), short(r.Input.User.ID)}
	if f.rows[key] == nil && len(f.rows) >= maxRows {
		key = [4]string{change, otherNames, otherNames, otherNames}
	}
	row := f.rows[key]
	if row == nil {
		row = &DifferenceRow{Change: key[0], Reason: key[1], Tool: key[2], User: key[3], First: r.Time.UTC()}
		f.rows[key] = row
	}
	row.Count++
	row.Last = r.Time.UTC()
	if len(row.Examples) < maxExamples {
		row.Examples = append(row.Examples, r.DecisionID)
	}
}

// about is what a message is about, be it named or not.
func about(in *policy.Input) string {
	return cmp.Or(target(in), resourceOf(in), in.Kind)
}

func resourceOf(in *policy.Input) string {
	if in.Resource == nil {
		return ""
	}
	return audit.MaskURI(in.Resource.URI)
}

// short cuts a name where it gets too long.
func short(name string) string {
	if len(name) <= maxName {
		return name
	}
	at := maxName
	for at > 0 && !utf8.RuneStart(name[at]) {
		at--
	}
	return name[:at] + "…"
}

// Report tells what the candidate would change.
func (c *Candidate) Report(p Policy) *CandidateReport {
	live, next := p.Pin(), c.Engine.Pin()
	r := &CandidateReport{Candidate: bundleReport(next), Live: bundleReport(live), Totals: map[string]int{}, Table: []*DifferenceRow{}}
	if err := c.Engine.Status().Err; err != nil {
		r.Candidate.Error = err.Error()
	}
	if next == nil || live == nil {
		return r
	}
	c.restart(live, next)
	f := &c.found
	f.mu.Lock()
	defer f.mu.Unlock()
	r.Since, r.Judged, r.Dropped, r.Totals = f.since, f.judged, c.dropped.Load(), maps.Clone(f.totals)
	for _, row := range f.rows {
		shown := *row
		shown.Examples = slices.Clone(row.Examples)
		r.Table = append(r.Table, &shown)
	}
	slices.SortFunc(r.Table, func(a, b *DifferenceRow) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Change, b.Change),
			cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Tool, b.Tool), cmp.Compare(a.User, b.User))
	})
	return r
}

func bundleReport(s *policy.Snapshot) BundleReport {
	if s == nil {
		return BundleReport{}
	}
	return BundleReport{Revision: s.Revision, SHA256: s.SHA256, LoadedAt: s.Loaded.UTC()}
}
