// Package docs runs what the documentation shows.
package docs

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/gatehouse-mcp/gatehouse/internal/config"
	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

const root = "../.."

// TestMain has one run at a time on a machine: the ports are those that the pages show.
func TestMain(m *testing.M) {
	release, err := harness.Alone("gatehouse-test-docs")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	release()
	os.Exit(code)
}

// A command is one of a console block, with the output that the page shows.
// There ... stands for anything.
type command struct{ line, output string }

var blocks = regexp.MustCompile("(?ms)^```console\n(.*?)^```$")

// commands are the commands of all console blocks of a page.
func commands(page string) (all []command) {
	for _, block := range blocks.FindAllStringSubmatch(page, -1) {
		for line := range strings.Lines(block[1]) {
			if c, ok := strings.CutPrefix(line, "$ "); ok {
				all = append(all, command{line: strings.TrimSpace(c)})
				continue
			}
			all[len(all)-1].output += line
		}
	}
	return all
}

// stays are commands that would not end by themselves, and what runs instead.
var stays = map[string]string{
	"make demo": "go run ./cmd/gatehouse demo --exit --listen 127.0.0.1:0",
}

// pages are all pages of the documentation, by path.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, pattern := range []string{"/*.md", "/docs/*.md", "/docs/*/*.md", "/policies/*.md"} {
		paths, err := filepath.Glob(root + pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			all[path] = string(text)
		}
	}
	return all
}

var (
	links = regexp.MustCompile(`\]\(([^)#:]+)\)`)
	regos = regexp.MustCompile("(?ms)^```rego\n(.*?)^```$")
)

func TestLinksLeadSomewhere(t *testing.T) {
	for path, text := range pages(t) {
		for _, link := range links.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), link[1])); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
}

func TestRegoBlocksCompile(t *testing.T) {
	found := 0
	for path, text := range pages(t) {
		for _, block := range regos.FindAllStringSubmatch(text, -1) {
			found++
			if _, err := ast.CompileModules(map[string]string{path: block[1]}); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	if found == 0 {
		t.Error("no block was found")
	}
}

var yamls = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")

// Each piece of configuration that a page shows is one that the gateway takes.
func TestYAMLBlocksLoad(t *testing.T) {
	file, found := filepath.Join(t.TempDir(), "gatehouse.yaml"), 0
	secret := regexp.MustCompile("(TOKEN|SECRET|PASSWORD)$")
	env := func(name string) (string, bool) {
		if !secret.MatchString(name) {
			return "", false
		}
		return "value", true
	}
	for path, text := range pages(t) {
		for _, block := range yamls.FindAllStringSubmatch(text, -1) {
			found++
			if err := os.WriteFile(file, []byte(block[1]), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := config.Load(file, env, config.Flags{}); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	if found == 0 {
		t.Error("no block was found")
	}
}

func TestConsoleBlocks(t *testing.T) {
	ran := 0
	t.Setenv("PATH", tools(t)+string(os.PathListSeparator)+os.Getenv("PATH"))
	for path, text := range pages(t) {
		dir := ""
		for _, c := range commands(text) {
			if dir == "" {
				dir = checkout(t)
			}
			ran++
			c.run(t, path, dir)
		}
	}
	if ran < 4 {
		t.Errorf("only %d commands were found", ran)
	}
}

func (c *command) run(t *testing.T, page, dir string) {
	t.Helper()
	line := c.line
	if instead, ok := stays[line]; ok {
		line = instead
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", line)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %s: %v\n%s", page, c.line, err, out)
	}
	pattern := strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(c.output)), `\.\.\.`, `(?s:.*)`)
	if !regexp.MustCompile(`^\s*` + pattern + `\s*$`).Match(out) {
		t.Errorf("%s: %s\nshows:\n%s\nprinted:\n%s", page, c.line, c.output, out)
	}
}

// tools is a folder with the tools that pages call by their names.
func tools(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Symlink(harness.Tool(t, "HELM"), filepath.Join(dir, "helm")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// checkout copies the project's files to a folder of the test's own.
func checkout(t *testing.T) string {
	t.Helper()
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = root
	names, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names), "\x00"), "\x00") {
		from, to := filepath.Join(root, name), filepath.Join(dir, name)
		info, err := os.Lstat(from)
		if os.IsNotExist(err) {
			continue // deleted, and not committed yet
		}
		if err == nil {
			err = os.MkdirAll(filepath.Dir(to), 0o700)
		}
		if err == nil {
			err = duplicate(from, to, info.Mode())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// duplicate copies a file, or a link as a link.
func duplicate(from, to string, mode os.FileMode) error {
	if mode&os.ModeSymlink != 0 {
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(target, to)
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o600)
}
