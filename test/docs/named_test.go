package docs

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

var (
	goTests   = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	regoTests = regexp.MustCompile(`(?m)^(test_\w+)\b`)
	// mentions are the names of tests, and of the packages that they are in, in backticks.
	mentions = regexp.MustCompile("`(internal/\\w+|cmd/\\w+|test/\\w+|policies)`|\\b((?:Test|Fuzz)[A-Z]\\w*|test_\\w+)")
)

// declared are the tests of the repository, by package and name as in
// internal/mcp.TestValue, and by name alone as in .TestValue.
func declared(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	err := fs.WalkDir(os.DirFS(root), ".", func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || strings.HasPrefix(d.Name(), ".") && file != "."):
			return fs.SkipDir
		case !strings.HasSuffix(file, "_test.go") && !strings.HasSuffix(file, "_test.rego"):
			return nil
		}
		text, err := os.ReadFile(path.Join(root, file))
		if err != nil {
			return err
		}
		tests := goTests
		if strings.HasSuffix(file, ".rego") {
			tests = regoTests
		}
		for _, test := range tests.FindAllStringSubmatch(string(text), -1) {
			all["."+test[1]], all[path.Dir(file)+"."+test[1]] = true, true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestTestsThatAreNamedExist holds the security pages to the tests they call on: each is in the package
// that its line named last, or in any if it named none.
func TestTestsThatAreNamedExist(t *testing.T) {
	all, found := declared(t), 0
	for page, text := range pages(t) {
		if !strings.Contains(page, "docs/security/") {
			continue
		}
		for line := range strings.Lines(text) {
			at := ""
			for _, m := range mentions.FindAllStringSubmatch(line, -1) {
				if m[1] != "" {
					at = m[1]
					continue
				}
				if found++; !all[at+"."+m[2]] {
					t.Errorf("%s: there is no test %s in %q", page, m[2], at)
				}
			}
		}
	}
	if found < 40 {
		t.Errorf("only %d names were found", found)
	}
}
