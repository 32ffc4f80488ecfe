package replay

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/format"

	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

// maxCases is how many tests are written at the most.
const maxCases = 100

// A Case is a record to write a test of: its input, and the new answer to it.
type Case struct {
	n      int // of the line
	id     string
	time   time.Time
	about  string
	input  string // JSON
	answer policy.Decision
}

func newCase(n int, change string, rec *record, before, after verdict) (Case, error) {
	doc, err := rec.in.Document()
	if err != nil {
		return Case{}, err
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	err = enc.Encode(doc)
	was := "allowed"
	if before.class != allowed {
		was = "denied: " + before.reason
	}
	about := fmt.Sprintf("%s %s: was %s", cmp.Or(change, "unchanged"), rec.target(), was)
	return Case{n, rec.id, rec.time, about, text.String(), after.answer}, err
}

// same reports whether two cases would make the same test.
func (c Case) same(o Case) bool { return c.input == o.input }

// firstCases are the first cases in the order of the records, each input once.
func firstCases(cases []Case) []Case {
	slices.SortFunc(cases, func(a, b Case) int { return cmp.Compare(a.n, b.n) })
	var first []Case
	for _, c := range cases {
		if len(first) < maxCases && !slices.ContainsFunc(first, c.same) {
			first = append(first, c)
		}
	}
	return first
}

// WriteTests writes a Rego file with a test for each case: that the rule at the
// path, as in mcp/decision, answers to the input what it answered now. Masked
// members stand there as they were recorded, since the answer does not depend
// on them.
func WriteTests(w io.Writer, path string, s *policy.Snapshot, cases []Case) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Written by gatehouse policy replay from recorded decisions, by bundle %s.\n", line(s.Revision))
	b.WriteString("package replayed_test\n\n")
	for i, c := range cases {
		fmt.Fprintf(&b, "# %s %s %s\n", c.time.UTC().Format(time.RFC3339), line(c.id), line(c.about))
		fmt.Fprintf(&b, "test_%d_%s if {\n", i+1, name(c.id))
		fmt.Fprintf(&b, "\tdecision := data.%s with input as %s", strings.ReplaceAll(path, "/", "."), strings.TrimSpace(c.input))
		if s.ReadsTime() {
			fmt.Fprintf(&b, " with time.now_ns as %d", c.time.UnixNano())
		}
		fmt.Fprintf(&b, "\n\tdecision.allow == %t\n", c.answer.Allow)
		if c.answer.Reason != "" {
			fmt.Fprintf(&b, "\tdecision.reason == %s\n", quote(c.answer.Reason))
		}
		if !c.answer.Allow && c.answer.Code != policy.CodeDeny {
			fmt.Fprintf(&b, "\tdecision.code == %s\n", quote(c.answer.Code))
		}
		if c.answer.Allow && c.answer.Patch != "" {
			fmt.Fprintf(&b, "\tdecision.patch == %s\n", strings.TrimSpace(c.answer.Patch))
		}
		b.WriteString("}\n\n")
	}
	text, err := format.Source("replayed_test.rego", []byte(b.String()))
	if err != nil {
		return fmt.Errorf("format tests: %w", err)
	}
	_, err = w.Write(text)
	return err
}

// line is a text on one line of a comment.
func line(s string) string {
	q := quote(s)
	return short(q[1 : len(q)-1])
}

// name is the part of an id that may stand in the name of a rule.
func name(id string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			return c
		}
		return -1
	}, short(id))
}

func quote(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic("marshal a string: " + err.Error())
	}
	return string(text)
}
