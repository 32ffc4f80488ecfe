package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/lineage"
)

// steps is a tracer that notes which rules were evaluated, in which order, and
// what became of each.
type steps struct {
	all     []*ruleTrace
	full    bool
	events  []*topdown.Event // all of them, if full
	rules   map[*ast.Rule]*ruleTrace
	queries map[uint64]*ruleTrace
}

var always = ast.NewBody(ast.NewExpr(ast.InternedTerm(true)))

// A ruleTrace is what became of one rule.
type ruleTrace struct {
	Rule    string `json:"rule"`
	File    string `json:"file"`
	Row     int    `json:"row"`
	Held    bool   `json:"held"`
	Value   string `json:"value,omitempty"`   // what it then is
	Stopped string `json:"stopped,omitempty"` // the last expression that did not hold
	At      int    `json:"at,omitempty"`      // its row

	index int // of that expression
}

// Enabled is part of topdown.QueryTracer.
func (*steps) Enabled() bool { return true }

// Config is part of topdown.QueryTracer.
func (s *steps) Config() topdown.TraceConfig { return topdown.TraceConfig{PlugLocalVars: s.full} }

// TraceEvent is part of topdown.QueryTracer.
func (s *steps) TraceEvent(e topdown.Event) {
	if s.full {
		s.events = append(s.events, &e)
	}
	switch node := e.Node.(type) {
	case *ast.Rule:
		switch e.Op {
		case topdown.EnterOp:
			s.enter(e.QueryID, node)
		case topdown.ExitOp:
			s.exit(&e, node)
		}
	case *ast.Expr:
		if at := s.queries[e.QueryID]; at != nil && e.Op == topdown.FailOp && node.Index >= at.index && node.Location != nil {
			at.index, at.At, at.Stopped = node.Index, node.Location.Row, oneLine(string(node.Location.Text))
		}
	}
}

// enter notes a rule, unless it is but a name for a value.
func (s *steps) enter(query uint64, rule *ast.Rule) {
	if !rule.Default && rule.Body.Equal(always) && rule.Head.Value.IsGround() {
		return
	}
	if s.rules == nil {
		s.rules, s.queries = map[*ast.Rule]*ruleTrace{}, map[uint64]*ruleTrace{}
	}
	if s.rules[rule] == nil {
		at := &ruleTrace{Rule: rule.Ref().GroundPrefix().String(), File: strings.TrimPrefix(rule.Location.File, "/"), Row: rule.Location.Row}
		s.rules[rule], s.all = at, append(s.all, at)
	}
	s.queries[query] = s.rules[rule]
}

func (s *steps) exit(e *topdown.Event, rule *ast.Rule) {
	at := s.rules[rule]
	if at == nil {
		return
	}
	value := rule.Head.Value
	if rule.Head.RuleKind() == ast.MultiValue {
		value = rule.Head.Key
	}
	if at.Held = true; value != nil {
		at.Value = oneLine(e.Plug(value).String())
	}
}

// print tells of the rules, those that held first. A rule that neither held
// nor stopped is for another key.
func (s *steps) print(out io.Writer) error {
	if s.full {
		topdown.PrettyTraceWithOpts(out, lineage.Full(s.events), topdown.PrettyTraceOptions{Locations: true})
		return nil
	}
	table := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	for _, yes := range []bool{true, false} {
		for _, at := range s.all {
			switch {
			case at.Held != yes:
			case yes:
				fmt.Fprintf(table, "yes\t%s:%d\t%s\t= %s\n", at.File, at.Row, at.Rule, at.Value)
			case at.Stopped != "":
				fmt.Fprintf(table, "no\t%s:%d\t%s\tstopped at %d: %s\n", at.File, at.Row, at.Rule, at.At, at.Stopped)
			}
		}
	}
	return table.Flush()
}
