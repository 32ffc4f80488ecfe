package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

// DecisionConfig says where decisions go in OPA's format.
type DecisionConfig struct {
	URL      *url.URL     // of the service, without /logs; nil: none
	Client   *http.Client // adds the credentials
	Console  bool         // to Log as well
	Buffer   int64        // bytes that may wait
	Min, Max time.Duration
	Path     string            // of the rule that decides, as in mcp/decision
	Labels   map[string]string // of every event
	Policy   func() *policy.Snapshot
	Log      *slog.Logger
	Metrics  prometheus.Registerer
}

// DecisionLogs sends records on in the format of OPA's decision logs. It never
// makes a writer of records wait: what there is no room for is dropped, and counted.
type DecisionLogs struct {
	cfg     DecisionConfig
	queue   chan []byte  // records
	waiting atomic.Int64 // bytes, in queue, ready and under way

	mu    sync.Mutex
	ready [][]byte // events, masked
	bytes int
	wake  chan struct{} // there is a chunk, or the end

	parser   Parser
	asked    *policy.Snapshot // whose rules these are
	rules    *policy.LogRules // nil: it has none
	unusable error            // or they cannot be asked
	done     chan struct{}
	ended    sync.WaitGroup
	failing  bool   // the last upload
	excuse   string // of the last event that could not be masked

	dropped, uploaded, unmasked, failed prometheus.Counter
}

const (
	queued     = 4096
	chunkBytes = 256 << 10 // of events, before they are compressed
	flushTime  = 5 * time.Second
)

// StartDecisionLogs starts to send what Offer takes, until Close.
func StartDecisionLogs(c DecisionConfig) *DecisionLogs {
	d := &DecisionLogs{cfg: c, queue: make(chan []byte, queued), wake: make(chan struct{}, 1), done: make(chan struct{})}
	for _, m := range []struct {
		counter    *prometheus.Counter
		name, help string
	}{
		{&d.dropped, "dropped_total", "Decisions that were not uploaded: no room, refused by the service, or the end of the process."},
		{&d.uploaded, "uploaded_total", "Decisions that were uploaded."},
		{&d.unmasked, "mask_errors_total", "Decisions whose whole input was erased since the bundle could not say what to mask."},
		{&d.failed, "upload_failures_total", "Uploads that failed."},
	} {
		*m.counter = prometheus.NewCounter(prometheus.CounterOpts{Name: "gatehouse_decision_logs_" + m.name, Help: m.help})
		c.Metrics.MustRegister(*m.counter)
	}
	uploading, stop := context.WithCancel(context.Background())
	d.ended.Go(func() {
		d.convert()
		close(d.wake)
		time.AfterFunc(flushTime, stop)
	})
	d.ended.Go(func() {
		defer stop()
		d.upload(uploading)
	})
	return d
}

// Offer takes a record, as of Log.Tap. It does not wait.
func (d *DecisionLogs) Offer(record []byte) {
	n := int64(len(record))
	if d.waiting.Add(n) <= d.cfg.Buffer {
		select {
		case d.queue <- bytes.Clone(record):
			return
		default:
		}
	}
	d.waiting.Add(-n)
	d.dropped.Inc()
}

// Close sends what waits, for some seconds at most. Nothing may be offered afterwards.
func (d *DecisionLogs) Close() {
	close(d.done)
	d.ended.Wait()
}

// convert makes events of records.
func (d *DecisionLogs) convert() {
	for {
		select {
		case record := <-d.queue:
			d.add(record)
			continue
		default:
		}
		select {
		case record := <-d.queue:
			d.add(record)
		case <-d.done:
			for len(d.queue) > 0 {
				d.add(<-d.queue)
			}
			return
		}
	}
}

// add makes an event of a record, and has it uploaded.
func (d *DecisionLogs) add(record []byte) {
	text := d.event(record)
	if text != nil && d.cfg.Console {
		d.show(text)
	}
	if d.cfg.URL == nil {
		text = nil
	}
	d.waiting.Add(int64(len(text) - len(record)))
	if text == nil {
		return
	}
	d.mu.Lock()
	d.ready = append(d.ready, text)
	d.bytes += len(text)
	full := d.bytes >= chunkBytes
	d.mu.Unlock()
	if full {
		select {
		case d.wake <- struct{}{}:
		default:
		}
	}
}

// event is the text of a record's event, or nil if there is none to send.
func (d *DecisionLogs) event(record []byte) []byte {
	e, err := d.parser.Parse(record)
	if err == nil && e.Candidate != nil {
		return nil // nothing was decided
	}
	var text []byte
	if err == nil {
		ev := newEvent(&e, d.cfg.Labels, d.cfg.Path)
		if d.mask(ev) {
			return nil
		}
		text, err = ev.text()
	}
	if err != nil {
		d.dropped.Inc()
		d.cfg.Log.Error("decision log event lost", "error", err)
	}
	return text
}

var errNoPolicy = errors.New("there is no bundle to ask what to mask")

// mask masks an event by the rules of the bundle in force, and reports whether
// it is to be dropped.
func (d *DecisionLogs) mask(ev *event) (drop bool) {
	if s := d.cfg.Policy(); s != d.asked || s == nil {
		if d.asked, d.rules, d.unusable = s, nil, errNoPolicy; s != nil {
			d.rules, d.unusable = s.LogRules()
		}
	}
	err := d.unusable
	switch {
	case err != nil:
		ev.erase()
	case d.rules != nil:
		drop, err = ev.mask(d.rules)
	}
	excuse := ""
	if err != nil {
		d.unmasked.Inc()
		if excuse = err.Error(); excuse != d.excuse { // it is likely to be that of many
			d.cfg.Log.Error("decision log event erased", "error", err, "decision_id", ev.DecisionID)
		}
	}
	d.excuse = excuse
	return drop
}

// show writes an event to the operational log, as OPA does.
func (d *DecisionLogs) show(text []byte) {
	var members map[string]json.RawMessage
	if json.Unmarshal(text, &members) != nil {
		return // it was made just now
	}
	attrs := []slog.Attr{slog.String("type", "openpolicyagent.org/decision_logs")}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		attrs = append(attrs, slog.Any(name, members[name]))
	}
	d.cfg.Log.LogAttrs(context.Background(), slog.LevelInfo, "Decision Log", attrs...)
}

// upload uploads what is ready: now and then, when there is much, and in the end.
func (d *DecisionLogs) upload(ctx context.Context) {
	for more := true; more; {
		wait := time.NewTimer(d.cfg.Min + rand.N(d.cfg.Max-d.cfg.Min+1))
		select {
		case _, more = <-d.wake:
		case <-wait.C:
		}
		wait.Stop()
		for chunk := d.take(); len(chunk) > 0; chunk = d.take() {
			d.send(ctx, chunk)
		}
	}
}

// take takes the next chunk of what is ready.
func (d *DecisionLogs) take() [][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, size := 0, 0
	for n < len(d.ready) && (n == 0 || size+len(d.ready[n]) <= chunkBytes) {
		size += len(d.ready[n])
		n++
	}
	chunk := d.ready[:n:n]
	d.ready, d.bytes = d.ready[n:], d.bytes-size
	return chunk
}
