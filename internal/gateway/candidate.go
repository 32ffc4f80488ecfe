package gateway

import (
	"context"
	"crypto/rand"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-mcp/gatehouse/internal/audit"
	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

// A Candidate is a policy that judges what the one in force judges, in the
// background: it touches no traffic, and nothing waits for it. What does not
// find room in its queue is dropped, and counted.
type Candidate struct {
	Engine *policy.Engine

	queue   chan *comparison
	held    atomic.Int64 // bytes that the queue keeps from being freed
	dropped atomic.Int64 // since the differences were counted anew
	found   differences
	changes *prometheus.CounterVec
	drops   prometheus.Counter
}

// Bounds on what waits to be judged. An answer that is too large on its own is
// never judged.
const (
	maxWaiting = 1024
	maxHeld    = 16 << 20 // bytes
)

// NewCandidate returns a candidate, and registers its metrics.
func NewCandidate(engine *policy.Engine, r prometheus.Registerer) *Candidate {
	c := &Candidate{
		Engine: engine,
		queue:  make(chan *comparison, maxWaiting),
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatehouse_candidate_total",
			Help: "Decisions that the candidate policy made too, by what it would change.",
		}, []string{"change"}),
		drops: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gatehouse_candidate_dropped_total",
			Help: "Decisions that the candidate policy had no time for.",
		}),
	}
	r.MustRegister(c.changes, c.drops)
	return c
}

// A comparison is something judged, for the candidate to judge as well. All that
// it refers to never changes.
type comparison struct {
	live *policy.Snapshot
	s    subject
	text string // of the message as the policy in force changes it
	d    policy.Decision
	size int64

	use   string // of a list: what its items are for
	items []listed
}

// offer has the candidate judge what was decided, if there is room.
func (c *Candidate) offer(live *policy.Snapshot, s *subject, text string, d *policy.Decision, id string) {
	if c == nil {
		return
	}
	next := &comparison{live: live, s: *s, text: text, d: *d}
	next.s.id = id
	c.enqueue(next)
}

// offerList has the candidate judge the items of a list, if there is room.
func (c *Candidate) offerList(live *policy.Snapshot, base *policy.Input, use string, items []listed) {
	if c == nil || len(items) == 0 {
		return
	}
	c.enqueue(&comparison{live: live, s: subject{in: *base}, use: use, items: items})
}

func (c *Candidate) enqueue(next *comparison) {
	if c.Engine.Pin() == nil {
		return
	}
	next.weigh()
	if c.held.Add(next.size) <= maxHeld {
		select {
		case c.queue <- next:
			return
		default:
		}
	}
	c.held.Add(-next.size)
	c.drop()
}

func (c *Candidate) drop() {
	c.dropped.Add(1)
	c.drops.Inc()
}

// weigh sums up what waiting keeps in memory. What is in one text counts twice
// rather than never.
func (q *comparison) weigh() {
	const fixed = 2 << 10
	size := fixed + q.s.in.Params.Held()
	if q.s.msg != nil {
		size += q.s.msg.Root.Held()
	}
	if q.d.Changes() {
		size += len(q.text)
	}
	for name, values := range q.s.in.Headers {
		for _, v := range values {
			size += len(name) + len(v)
		}
	}
	if len(q.items) > 0 {
		size += q.items[0].item.Held() + len(q.items)*256
	}
	q.size = int64(size)
}

// lookTime is how often the candidate looks for what waits. To be woken by each
// offer would cost the path more than the offer itself.
const lookTime = 20 * time.Millisecond

// Run judges what waits until the context ends.
func (c *Candidate) Run(ctx context.Context, g *Gateway) {
	look := time.NewTicker(lookTime)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			c.drain(ctx, g)
		}
	}
}

// drain judges what waits.
func (c *Candidate) drain(ctx context.Context, g *Gateway) {
	for ctx.Err() == nil {
		select {
		case q := <-c.queue:
			c.judge(g, q)
			c.held.Add(-q.size)
		default:
			return
		}
	}
}

func (c *Candidate) judge(g *Gateway, q *comparison) {
	defer func() {
		if recover() != nil {
			g.Log.Error("the candidate policy made the gateway panic")
		}
	}()
	next, live := c.Engine.Pin(), g.Policy.Pin()
	if next == nil || q.live != live { // what was in force has changed meanwhile
		c.drop()
		return
	}
	c.restart(live, next)
	q.s.in.Begin() // what was built for the one in force is still in use there
	if q.items == nil {
		passed, d := g.verdict(next, &q.s)
		c.compare(g, next, q, &q.s, &q.d, &d, q.text == passed.msg.Text)
		return
	}
	for _, l := range q.items {
		s := subject{in: q.s.in, id: l.id}
		if !describeItem(&s.in, q.use, l.item) {
			continue // no policy is asked about such
		}
		d, fresh := next.Visible(&s.in)
		if fresh || l.fresh {
			c.compare(g, next, q, &s, &l.d, &d, true)
		}
	}
}

// compare counts a difference, and records it. same says that both let the same
// text pass.
func (c *Candidate) compare(g *Gateway, next *policy.Snapshot, q *comparison, s *subject, live, d *policy.Decision, same bool) {
	change := changeOf(live, d, same)
	slower := d.Eval > 2*live.Eval && d.Eval > time.Millisecond
	c.changes.WithLabelValues(change).Inc()
	if slower {
		c.changes.WithLabelValues(Slower).Inc()
	}
	if change != Unchanged && s.id == "" {
		s.id = rand.Text() // an item that stays in its list has no record
	}
	r := &audit.Record{
		Time: time.Now(), DecisionID: s.id, Input: &s.in, Mode: g.Mode,
		Revision: q.live.Revision, SHA256: q.live.SHA256, Candidate: candidateDecision(d),
	}
	r.Candidate.Change, r.Candidate.Revision, r.Candidate.SHA256 = change, next.Revision, next.SHA256
	reason := r.Candidate.Reason
	if change == NewlyAllowed {
		if reason = live.Reason; live.Err != nil {
			reason = reasonError
		}
	}
	c.found.add(change, reason, slower, r)
	if change == Unchanged {
		return
	}
	if err := g.Audit.Write(r); err != nil {
		g.Metrics.unrecorded()
		g.Log.Error("audit record lost", "error", err, "decision_id", r.DecisionID)
	}
}

// What a candidate would change. Slower is counted beside any of the others.
const (
	Unchanged        = "none"
	NewlyDenied      = "newly_denied"
	NewlyAllowed     = "newly_allowed"
	PatchedOtherwise = "patched_otherwise"
	Failed           = "error"
	Slower           = "slower"
)

// changeOf tells two decisions apart. A redaction is what it makes of the text:
// two bundles may have other patterns by the same keys.
func changeOf(live, next *policy.Decision, same bool) string {
	redact := live.Redact != "" || next.Redact != ""
	switch {
	case next.Err != nil && live.Err == nil:
		return Failed
	case live.Allow && !next.Allow:
		return NewlyDenied
	case !live.Allow && next.Allow:
		return NewlyAllowed
	case live.Allow && redact && !same, live.Allow && !redact && !policy.SamePatch(live.Patch, next.Patch):
		return PatchedOtherwise
	}
	return Unchanged
}

// candidateDecision is what a record tells of a candidate's decision.
func candidateDecision(d *policy.Decision) *audit.Candidate {
	a := &audit.Candidate{Outcome: audit.Deny, Code: d.Code, Reason: d.Reason, Eval: d.Eval}
	switch {
	case d.Err != nil:
		a.Outcome, a.Code, a.Reason = audit.Error, policy.CodeDeny, reasonError
	case d.Changes():
		a.Outcome = audit.Patch
	case d.Allow:
		a.Outcome = audit.Allow
	}
	return a
}
