package audit

import (
	"cmp"
	"slices"
	"time"
)

// A Report counts records by rule, by target and by user, in memory that does
// not grow with their number.
type Report struct {
	Records  int64             `json:"records"`  // of any outcome
	Outcomes map[Outcome]int64 `json:"outcomes"` // how many of them by outcome
	First    time.Time         `json:"first,omitzero"`
	Last     time.Time         `json:"last,omitzero"`
	Rules    Table             `json:"rules"`
	Targets  Table             `json:"targets"`
	Users    Table             `json:"users"`
	Bad      int64             `json:"bad_lines"` // no records

	about []Outcome
}

// A Table has the groups of a report, those of most records first.
type Table struct {
	Groups []*Group `json:"groups"`
	Cut    int64    `json:"cut"` // records of further groups, for which there was no room

	index map[Common]*Group
}

// A Group is some records that have something in common.
type Group struct {
	Common
	Count    int64     `json:"count"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	Examples []string  `json:"examples"` // the newest ones' decision ids
}

// Common is what the records of a group have in common: the outcome, and what
// the table is about.
type Common struct {
	Outcome Outcome `json:"outcome"`
	Code    string  `json:"code,omitempty"`
	Reason  string  `json:"reason,omitempty"`
	Server  string  `json:"server,omitempty"`
	Kind    string  `json:"kind,omitempty"`
	Target  string  `json:"target,omitempty"`
	User    string  `json:"user,omitempty"`
}

const (
	maxGroups   = 1000 // in one table
	maxExamples = 3
)

// Unenforced are the outcomes that tell what permissive mode let pass.
var Unenforced = []Outcome{WouldDeny, WouldPatch, Error}

// NewReport returns an empty report about records of these outcomes. The
// others are only counted.
func NewReport(about []Outcome) *Report {
	return &Report{Outcomes: map[Outcome]int64{}, about: about}
}

// Add counts a record. One of a candidate bundle counts as what it changes.
func (r *Report) Add(e *Entry) {
	outcome, code, reason := e.Outcome, e.Code, e.Reason
	if c := e.Candidate; c != nil {
		outcome, code, reason = Outcome(c.Change), c.Code, c.Reason
	}
	r.Records++
	if r.Outcomes[outcome] > 0 || len(r.Outcomes) < maxGroups {
		r.Outcomes[outcome]++
	}
	r.First, r.Last = span(r.First, r.Last, e.Time)
	if e.Candidate == nil && !slices.Contains(r.about, outcome) {
		return
	}
	r.Rules.add(e, Common{Outcome: outcome, Code: code, Reason: reason})
	r.Targets.add(e, Common{Outcome: outcome, Server: e.Server, Kind: e.Kind, Target: e.Target()})
	r.Users.add(e, Common{Outcome: outcome, User: e.User})
}

// span makes room for a moment in a span of time.
func span(first, last, at time.Time) (from, to time.Time) {
	if first.IsZero() || at.Before(first) {
		first = at
	}
	if at.After(last) {
		last = at
	}
	return first, last
}

func (t *Table) add(e *Entry, c Common) {
	g := t.index[c]
	if g == nil {
		if len(t.Groups) == maxGroups {
			t.Cut++
			return
		}
		if t.index == nil {
			t.index = map[Common]*Group{}
		}
		g = &Group{Common: c}
		t.index[c], t.Groups = g, append(t.Groups, g)
	}
	g.Count++
	g.First, g.Last = span(g.First, g.Last, e.Time)
	if g.Examples = append(g.Examples, e.DecisionID); len(g.Examples) > maxExamples {
		g.Examples = slices.Delete(g.Examples, 0, 1)
	}
}

// Sort puts the groups of most records first.
func (r *Report) Sort() {
	for _, t := range []*Table{&r.Rules, &r.Targets, &r.Users} {
		slices.SortStableFunc(t.Groups, func(a, b *Group) int { return cmp.Compare(b.Count, a.Count) })
	}
}
