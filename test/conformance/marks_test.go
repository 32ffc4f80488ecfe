//go:build conformance

package conformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A mark is what the suite says about one check of one scenario.
type mark struct{ scenario, check, status string }

func (m mark) String() string { return fmt.Sprintf("%s / %s: %s", m.scenario, m.check, m.status) }

// marks are all marks of one run but the mere notes (INFO), with how often each occurs and an example of what
// the suite says about it.
type marks map[mark]*evidence

type evidence struct {
	times   int
	message string
}

// count is how many checks have a status.
func (ms marks) count(status string) int {
	n := 0
	for m, e := range ms {
		if m.status == status {
			n += e.times
		}
	}
	return n
}

// without are the marks of all other checks.
func (ms marks) without(checks []string) marks {
	others := maps.Clone(ms)
	maps.DeleteFunc(others, func(m mark, _ *evidence) bool { return slices.Contains(checks, m.check) })
	return others
}

// compare fails the test for every mark that one run has more often than the other.
func compare(t *testing.T, direct, through marks, way string) {
	t.Helper()
	all := maps.Clone(direct)
	maps.Insert(all, maps.All(through))
	order := func(a, b mark) int { return strings.Compare(a.String(), b.String()) }
	for _, m := range slices.SortedFunc(maps.Keys(all), order) {
		var d, g evidence
		if direct[m] != nil {
			d = *direct[m]
		}
		if through[m] != nil {
			g = *through[m]
		}
		if d.times != g.times {
			t.Errorf("%v\n\t%d times directly %s\n\t%d times %s %s", m, d.times, d.message, g.times, way, g.message)
		}
	}
}

// runSuite runs every scenario of a protocol version against a server and reads the marks from its reports.
func runSuite(suite []string, version, url, dir string) (marks, error) {
	args := append(slices.Clone(suite[1:]), "server", "--url", url, "--suite", "all", "--spec-version", version, "-o", dir)
	out, err := exec.Command(suite[0], args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) { // a failed check is no failed run
		return nil, err
	}
	ms, err := readMarks(dir)
	if err == nil && len(ms) == 0 {
		err = errors.New("the suite reported nothing")
	}
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	return ms, nil
}

// stamp is the time at the end of the name of a scenario's folder.
var stamp = regexp.MustCompile(`-\d{4}-\d\d-\d\dT[-\dZ]+$`)

// readMarks reads the reports that a run has left in a folder.
func readMarks(dir string) (marks, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*", "checks.json"))
	if err != nil {
		return nil, err
	}
	ms := marks{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var checks []struct{ ID, Status, ErrorMessage string }
		if err := json.Unmarshal(text, &checks); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		scenario := stamp.ReplaceAllString(filepath.Base(filepath.Dir(file)), "")
		for _, c := range checks {
			ms.add(mark{scenario, c.ID, c.Status}, c.ErrorMessage)
		}
	}
	return ms, nil
}

// add counts a mark, unless it is a mere note.
func (ms marks) add(m mark, message string) {
	if m.status == "INFO" {
		return
	}
	if ms[m] == nil {
		ms[m] = &evidence{}
	}
	ms[m].times++
	if message != "" {
		ms[m].message = "(" + message + ")"
	}
}
