package config

import (
	"net/url"
	"strings"
	"time"
)

// AuditInput says how much of the policy's input a decision record holds.
type AuditInput string

// The amounts of input in a record.
const (
	AuditInputNone   AuditInput = "none"
	AuditInputMasked AuditInput = "masked" // all of it, with secrets masked
)

// Audit says where decision records go.
type Audit struct {
	Path  string // a file, or "-" for standard output
	Input AuditInput
	// ChainKeyFile holds the key of the records' hash chain; empty: the chain has none.
	ChainKeyFile string
	Rotate       Rotate
	DecisionLogs DecisionLogs
}

// Rotate says when the file of records is put aside for a new one.
type Rotate struct {
	MaxBytes int64 // zero: never
	Keep     int   // files put aside that are kept; zero: all
}

// DecisionLogs says where decisions go in OPA's own format, beside the records.
type DecisionLogs struct {
	URL         *url.URL // of the service, below which /logs is; nil: none. It must not be changed.
	Credentials Credentials
	CA          string // a PEM file with the authorities of the service; empty: those of the system
	Console     bool   // to the operational log as well
	BufferBytes int64  // what waits for the service; more is dropped and counted
	// Delay is the time between two uploads, chosen at random from Min to Max.
	Delay Range
}

// A Range is a span of time to choose from.
type Range struct{ Min, Max time.Duration }

func (a *Audit) keys() []key {
	return []key{
		{name: "path", into: scalar(outputPath(&a.Path))},
		{name: "input", into: scalar(oneOf(&a.Input, AuditInputNone, AuditInputMasked))},
		{name: "chainKeyFile", into: scalar(filePath(&a.ChainKeyFile))},
		{name: "rotate", into: object(a.Rotate.keys)},
		{name: "decisionLogs", into: object(a.DecisionLogs.keys)},
	}
}

func (r *Rotate) keys() []key {
	return []key{
		{name: "maxBytes", into: scalar(whole(&r.MaxBytes, "a whole number of bytes (0 or more)", 0, 1<<62, 1))},
		{name: "keep", into: scalar(count(&r.Keep))},
	}
}

func (d *DecisionLogs) keys() []key {
	const least, most = 64 << 10, 1 << 30
	return []key{
		{name: "url", into: scalar(serverURL(&d.URL))},
		{name: "credentials", into: object(d.Credentials.keys)},
		{name: "ca", into: scalar(filePath(&d.CA))},
		{name: "console", into: scalar(boolean(&d.Console))},
		{name: "bufferBytes", into: scalar(whole(&d.BufferBytes, "a whole number of bytes (65536 to 1073741824)", least, most, 1))},
		{name: "uploadSeconds", into: object(d.Delay.keys)},
	}
}

func (r *Range) keys() []key {
	return []key{
		{name: "min", into: scalar(seconds(&r.Min))},
		{name: "max", into: scalar(seconds(&r.Max))},
	}
}

// checkAudit makes sure that what is told of an upload has a service to go to.
func (l *loader) checkAudit(a *Audit) {
	d := &a.DecisionLogs
	if d.Delay.Min > d.Delay.Max || d.Delay.Max == 0 {
		l.problem("audit.decisionLogs.uploadSeconds", "min is %v and max %v (max must be 1 or more, and not less than min)", d.Delay.Min, d.Delay.Max)
	}
	var kinds []string
	for _, k := range d.Credentials.keys() {
		if _, given := l.sources["audit.decisionLogs.credentials."+k.name]; given {
			kinds = append(kinds, k.name)
		}
	}
	if len(kinds) > 1 {
		l.problem("audit.decisionLogs.credentials", "has %s (use one of them)", strings.Join(kinds, " and "))
	}
	if _, given := l.sources["audit.decisionLogs"]; given && d.URL == nil && !d.Console {
		l.problem("audit.decisionLogs", "has neither a url nor console: true (set one, or leave decisionLogs out)")
	}
}
