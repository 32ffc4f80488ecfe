package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// anonymousID is the id of a caller without credentials, unless the file gives another.
const anonymousID = "anonymous"

// Flags are the settings of the command line. An empty one counts as not given.
type Flags struct {
	Listen       string // --listen
	Admin        string // --admin
	PolicyBundle string // --policy-bundle, a path or a URL
	PolicyMode   string // --policy-mode
	Upstream     string // --upstream, the URL of one server, to be named [DefaultServer]
}

// DefaultServer is the name of the server that --upstream gives.
const DefaultServer = "default"

// Load reads the file at path and puts the environment and the flags over it. An empty path is an empty
// file. env looks up a variable, as [os.LookupEnv] does. The error names every problem, one a line.
func Load(path string, env func(string) (string, bool), flags Flags) (*Config, error) {
	l := &loader{file: path, env: env, sources: map[string]string{}}
	l.references = l.resolve
	c := defaults()
	if path != "" {
		if err := l.readFile(path, c); err != nil {
			return nil, err
		}
	}
	l.environment(c)
	l.flags(c, flags)
	if len(l.problems) == 0 {
		l.checkAll(c)
	}
	if err := errors.Join(l.problems...); err != nil {
		return nil, err
	}
	c.Warnings = l.warnings
	return c, nil
}

// A loader is the state of one Load.
type loader struct {
	file       string
	env        func(string) (string, bool)
	references resolver
	problems   []error
	warnings   []string
	// sources has, by key path, where the value in force comes from, as a message names it:
	// "gatehouse.yaml:3: listen", "--listen", "POLICY_POLL_SEC". A key that was not given is not in it.
	sources map[string]string
}

// problem reports a problem with the key at path.
func (l *loader) problem(path, format string, args ...any) {
	source, ok := l.sources[path]
	if !ok {
		source = path
	}
	l.problemAt(source, format, args...)
}

func (l *loader) problemAt(source, format string, args ...any) {
	l.problems = append(l.problems, fmt.Errorf("%s: %w", source, fmt.Errorf(format, args...)))
}

// readFile decodes the file into c. The error is about the file as a whole; problems with keys are reported.
func (l *loader) readFile(path string, c *Config) error {
	root, err := readRoot(path)
	switch {
	case err != nil || root == nil:
		return err
	case isJSON(path) && isClients(root, c):
		l.readClients(root, c)
	default:
		object(c.keys)(l, "", root)
	}
	return nil
}

// readRoot returns the mapping that a file holds, or nil if there is nothing in it.
func readRoot(path string) (*node, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	read := readYAML
	if isJSON(path) {
		read = readJSON
	}
	root, err := read(data)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, err)
	case root != nil && root.Kind != yaml.MappingNode:
		return nil, fmt.Errorf("%s: the file is not a mapping of keys to values", path)
	}
	return root, nil
}

// readYAML returns the root of a file's only document, or nil if there is nothing in it.
func readYAML(data []byte) (*node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, more node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one YAML document")
	}
	root := document.Content[0]
	if root.Kind == yaml.ScalarNode && root.ShortTag() == nullType {
		return nil, nil
	}
	return root, nil
}

// environment puts the variables over what the file says. Each is checked, also one that loses.
func (l *loader) environment(c *Config) {
	var enforce, enabled bool
	if l.variable("EXPERIMENTAL_POLICY_ENGINE", boolean(&enforce)) {
		c.Policy.Mode = ModePermissive
		if enforce {
			c.Policy.Mode = ModeEnforce
		}
	}
	if l.variable("POLICY_ENABLED", boolean(&enabled)) && !enabled {
		c.Policy.Mode = ModeOff
	}
	l.variable("POLICY_BUNDLE_URL", bundleURL(&c.Policy.Bundle))
	l.variable("POLICY_BUNDLE_PATH", bundlePath(&c.Policy.Bundle)) // after the URL: the path wins
	l.variable("POLICY_BUNDLE_SHA256", pin(&c.Policy.SHA256))
	l.variable("POLICY_POLL_SEC", seconds(&c.Policy.Poll))
}

// variable stores what a variable holds, and reports whether it holds something and that was taken.
func (l *loader) variable(name string, v leaf) bool {
	text, _ := l.env(name)
	return l.override(name, text, v)
}

// override stores a text that is not empty, and reports whether it did. name is that of a flag or variable.
func (l *loader) override(name, text string, v leaf) bool {
	if text == "" {
		return false
	}
	if err := v.set(text); err != nil {
		l.problem(name, "%s %v", v.show(text), err)
		return false
	}
	return true
}

// flags puts the command line over all.
func (l *loader) flags(c *Config, f Flags) {
	if l.override("--listen", f.Listen, address(&c.Listen)) {
		l.sources["listen"] = "--listen"
	}
	if l.override("--admin", f.Admin, address(&c.Admin)) {
		l.sources["admin"] = "--admin"
	}
	l.override("--policy-bundle", f.PolicyBundle, bundle(&c.Policy.Bundle))
	l.override("--policy-mode", f.PolicyMode, mode(&c.Policy.Mode))
	var upstream Server
	if !l.override("--upstream", f.Upstream, serverURL(&upstream.URL)) {
		return
	}
	if _, given := l.sources["mcpServers"]; given {
		l.problem("--upstream", "cannot be given together with mcpServers in %s (use one of them)", l.file)
		return
	}
	c.Servers[DefaultServer] = upstream
}
