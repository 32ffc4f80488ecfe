package replay

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// Formats of a report.
const (
	Table = "table"
	JSON  = "json"
	JUnit = "junit"
)

// Write writes the report in a format. In that of JUnit a group of changes is a
// test case, which fails if it is of the changes that are to fail.
func (r *Report) Write(w io.Writer, format string, fails []string) error {
	switch format {
	case Table:
		return r.writeTable(w)
	case JSON:
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	case JUnit:
		return r.writeJUnit(w, fails)
	}
	return errors.New("no such format")
}

// maxRows is how many rows a table shows; the other formats have all.
const maxRows = 40

func (r *Report) writeTable(w io.Writer) error {
	t := &strings.Builder{}
	against := "what was recorded"
	if r.Against != nil {
		against = "bundle " + shown(r.Against.Revision)
	}
	fmt.Fprintf(t, "bundle %s against %s\n", shown(r.Bundle.Revision), against)
	fmt.Fprintf(t, "%d records", r.Records)
	if r.Records > 0 {
		fmt.Fprintf(t, " from %s to %s", stamp(r.First), stamp(r.Last))
	}
	fmt.Fprintf(t, "\n\nunchanged\t%d\n", r.Unchanged)
	for _, c := range Changes {
		fmt.Fprintf(t, "%s\t%d\n", c, r.Changes[c])
	}
	fmt.Fprintf(t, "not replayable\t%d%s\n", r.NotReplayable, listed(r.Missing))
	skipped := 0
	for _, n := range r.Skipped {
		skipped += n
	}
	fmt.Fprintf(t, "skipped\t%d%s\n", skipped, listed(r.Skipped))
	r.groupRows(t)
	for _, by := range dimensions {
		r.countRows(t, by)
	}
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if _, err := io.WriteString(columns, t.String()); err != nil {
		return err
	}
	return columns.Flush()
}

func (r *Report) groupRows(w *strings.Builder) {
	if len(r.Groups) == 0 {
		return
	}
	fmt.Fprint(w, "\nCHANGE\tCOUNT\tTOOL\tUSER\tROLES\tREASON\tFIRST\tLAST\tEXAMPLE\n")
	for i, g := range r.Groups {
		if i == maxRows {
			fmt.Fprintf(w, "and %d more groups\n", len(r.Groups)-i)
			return
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", g.Change, g.Count, shown(g.Tool), shown(g.User), shown(g.Roles),
			shown(g.Reason), stamp(g.First), stamp(g.Last), shown(g.Examples[0]))
	}
}

func (r *Report) countRows(w *strings.Builder, by string) {
	if len(r.By[by]) == 0 {
		return
	}
	fmt.Fprintf(w, "\nBY %s\t%s\n", strings.ToUpper(by), strings.Join(Changes, "\t"))
	for i, name := range largest(r.By[by]) {
		if i == maxRows {
			fmt.Fprintf(w, "and %d more\n", len(r.By[by])-i)
			return
		}
		fmt.Fprint(w, shown(name))
		for _, c := range Changes {
			fmt.Fprintf(w, "\t%d", r.By[by][name][c])
		}
		fmt.Fprintln(w)
	}
}

// largest are the names, those of the most changes first.
func largest(c Counts) []string {
	sum := func(name string) (n int) {
		for _, k := range c[name] {
			n += k
		}
		return n
	}
	return slices.SortedFunc(maps.Keys(c), func(a, b string) int {
		if d := sum(b) - sum(a); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
}

// listed are counters on a line, the largest first.
func listed(m map[string]int) string {
	names := slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		if d := m[b] - m[a]; d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	var b strings.Builder
	for i, name := range names {
		if i == maxRows {
			fmt.Fprintf(&b, ", and %d more", len(names)-i)
			break
		}
		b.WriteString(map[bool]string{true: "\t", false: ", "}[i == 0])
		fmt.Fprintf(&b, "%s: %d", shown(name), m[name])
	}
	return b.String()
}

// shown is a name as a terminal may have it: names come from clients.
func shown(name string) string {
	if name == "" {
		return "-"
	}
	if strings.ContainsFunc(name, func(c rune) bool { return !unicode.IsPrint(c) }) {
		return strconv.Quote(name)
	}
	return name
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string    `xml:"classname,attr"`
	Name    string    `xml:"name,attr"`
	Failure *junitSay `xml:"failure,omitempty"`
	Skipped *junitSay `xml:"skipped,omitempty"`
	Out     string    `xml:"system-out,omitempty"`
}

type junitSay struct {
	Message string `xml:"message,attr"`
}

func (r *Report) writeJUnit(w io.Writer, fails []string) error {
	s := junitSuite{Name: "gatehouse policy replay"}
	s.Cases = append(s.Cases, junitCase{
		Class: "replay", Name: "bundle " + shown(r.Bundle.Revision), Out: fmt.Sprintf("%d records, %d unchanged", r.Records, r.Unchanged),
	})
	for _, g := range r.Groups {
		c := junitCase{Class: g.Change, Name: fmt.Sprintf("%s by %s (%s): %s", shown(g.Tool), shown(g.User), shown(g.Roles), shown(g.Reason))}
		said := fmt.Sprintf("%d decisions from %s to %s, such as %s", g.Count, stamp(g.First), stamp(g.Last), strings.Join(g.Examples, ", "))
		if slices.Contains(fails, g.Change) || g.Change == Failed && slices.Contains(fails, NewlyDenied) {
			c.Failure = &junitSay{said}
			s.Failures++
		} else {
			c.Out = said
		}
		s.Cases = append(s.Cases, c)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Missing)) {
		s.Skipped++
		s.Cases = append(s.Cases, junitCase{
			Class: "not_replayable", Name: shown(name), Skipped: &junitSay{fmt.Sprintf("%d decisions depend on what is not recorded", r.Missing[name])},
		})
	}
	s.Tests = len(s.Cases)
	text, err := xml.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, text)
	return err
}
