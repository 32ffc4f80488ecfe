package replay

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds on what is kept, whatever names clients have sent.
const (
	maxGroups   = 10_000
	maxName     = 128 // bytes of a name
	maxExamples = 3   // decision ids of a group
	other       = "(other)"
)

// A Report is what would change. Its counts do not depend on the order in which
// records were judged, as long as no more names occur than are kept.
type Report struct {
	Bundle        Bundle            `json:"bundle"`
	Against       *Bundle           `json:"against,omitempty"` // nil: against what was recorded
	Records       int               `json:"records"`           // judged again
	Unchanged     int               `json:"unchanged"`
	Changes       map[string]int    `json:"changes"`
	NotReplayable int               `json:"not_replayable"`
	Missing       map[string]int    `json:"missing,omitempty"` // what records lacked that the policy reads
	Skipped       map[string]int    `json:"skipped,omitempty"`
	First         time.Time         `json:"first,omitzero"`
	Last          time.Time         `json:"last,omitzero"`
	By            map[string]Counts `json:"by"` // tool, user, role, reason
	Groups        []*Group          `json:"groups"`

	groups map[groupKey]*Group
}

// A Bundle is one of those that are compared.
type Bundle struct {
	Revision string `json:"revision"`
	SHA256   string `json:"sha256"`
}

// Counts are numbers of changes, by name and change.
type Counts map[string]map[string]int

// A Group is all changes of one kind that are alike.
type Group struct {
	Change   string    `json:"change"`
	Tool     string    `json:"tool"` // or resource, prompt, method
	User     string    `json:"user"`
	Roles    string    `json:"roles"`
	Reason   string    `json:"reason"` // of the denial, old or new
	Count    int       `json:"count"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	Examples []string  `json:"examples"` // decision ids, the earliest
	earliest []time.Time
}

type groupKey struct{ change, tool, user, roles, reason string }

func newReport() *Report {
	r := &Report{
		Changes: map[string]int{}, Missing: map[string]int{}, Skipped: map[string]int{},
		By: map[string]Counts{}, Groups: []*Group{}, groups: map[groupKey]*Group{},
	}
	for _, by := range dimensions {
		r.By[by] = Counts{}
	}
	for _, c := range Changes {
		r.Changes[c] = 0
	}
	return r
}

// dimensions are what changes are counted by.
var dimensions = []string{"tool", "user", "role", "reason"}

// count adds to a counter whose names are bounded.
func count(m map[string]int, name string, n int) {
	if name = short(name); m[name] == 0 && len(m) >= maxGroups {
		name = other
	}
	m[name] += n
}

func (c Counts) add(name, change string, n int) {
	name = short(name)
	if c[name] == nil {
		if len(c) >= maxGroups {
			name = other
		}
		if c[name] == nil {
			c[name] = map[string]int{}
		}
	}
	c[name][change] += n
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

// changed counts a change.
func (r *Report) changed(change, reason string, rec *record) {
	r.Changes[change]++
	roles := slices.Sorted(slices.Values(rec.in.User.Roles))
	tool, user := rec.target(), rec.in.User.ID
	r.By["tool"].add(tool, change, 1)
	r.By["user"].add(user, change, 1)
	for _, role := range slices.Compact(roles) {
		r.By["role"].add(role, change, 1)
	}
	r.By["reason"].add(reason, change, 1)
	r.merge(&Group{
		Change: change, Tool: short(tool), User: short(user), Roles: short(strings.Join(roles, ",")), Reason: short(reason),
		Count: 1, First: rec.time, Last: rec.time, Examples: []string{short(rec.id)}, earliest: []time.Time{rec.time},
	})
}

// target is what a record is about.
func (r *record) target() string {
	switch in := &r.in; {
	case in.Tool != nil:
		return in.Tool.Name
	case in.Resource != nil:
		return in.Resource.URI
	case in.Prompt != nil:
		return in.Prompt.Name
	default:
		return in.Kind
	}
}

func (g *Group) key() groupKey { return groupKey{g.Change, g.Tool, g.User, g.Roles, g.Reason} }

// merge adds a group to the one of the same key.
func (r *Report) merge(g *Group) {
	have := r.groups[g.key()]
	if have == nil && len(r.groups) >= maxGroups {
		g.Tool, g.User, g.Roles, g.Reason = other, other, other, other
		have = r.groups[g.key()]
	}
	if have == nil {
		r.groups[g.key()] = g
		return
	}
	have.Count += g.Count
	if g.First.Before(have.First) {
		have.First = g.First
	}
	if g.Last.After(have.Last) {
		have.Last = g.Last
	}
	for i, id := range g.Examples {
		have.example(id, g.earliest[i])
	}
}

// example keeps the earliest decisions.
func (g *Group) example(id string, at time.Time) {
	i := len(g.Examples)
	for i > 0 && (at.Before(g.earliest[i-1]) || at.Equal(g.earliest[i-1]) && id < g.Examples[i-1]) {
		i--
	}
	if i >= maxExamples {
		return
	}
	g.Examples, g.earliest = slices.Insert(g.Examples, i, id), slices.Insert(g.earliest, i, at)
	n := min(len(g.Examples), maxExamples)
	g.Examples, g.earliest = g.Examples[:n], g.earliest[:n]
}

// seen notes when a record is from.
func (r *Report) seen(first, last time.Time) {
	if r.First.IsZero() || !first.IsZero() && first.Before(r.First) {
		r.First = first
	}
	if last.After(r.Last) {
		r.Last = last
	}
}

// add adds what another part of the records came to.
func (r *Report) add(o *Report) {
	r.Records += o.Records
	r.Unchanged += o.Unchanged
	r.NotReplayable += o.NotReplayable
	r.seen(o.First, o.Last)
	for change, n := range o.Changes {
		r.Changes[change] += n
	}
	for name, n := range o.Missing {
		count(r.Missing, name, n)
	}
	for name, n := range o.Skipped {
		r.Skipped[name] += n
	}
	for by, counts := range o.By {
		for name, changes := range counts {
			for change, n := range changes {
				r.By[by].add(name, change, n)
			}
		}
	}
	for _, g := range o.groups {
		r.merge(g)
	}
}

// finish puts the groups in order: by change, and then the largest first.
func (r *Report) finish() {
	r.Groups = slices.SortedFunc(maps.Values(r.groups), func(a, b *Group) int {
		return cmp.Or(
			cmp.Compare(slices.Index(Changes, a.Change), slices.Index(Changes, b.Change)), cmp.Compare(b.Count, a.Count),
			cmp.Compare(a.Tool, b.Tool), cmp.Compare(a.User, b.User), cmp.Compare(a.Roles, b.Roles), cmp.Compare(a.Reason, b.Reason))
	})
}

// Fails reports whether there is a change that fails a build: one of those
// named, of which newly_denied means that the policy failed, too.
func (r *Report) Fails(changes []string) bool {
	for _, c := range changes {
		if r.Changes[c] > 0 || c == NewlyDenied && r.Changes[Failed] > 0 {
			return true
		}
	}
	return false
}
