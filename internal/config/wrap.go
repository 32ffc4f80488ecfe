package config

import (
	"errors"
	"time"
)

// WrapFlags are the settings of the command line of gatehouse wrap. An empty one counts as not given.
type WrapFlags struct {
	PolicyBundle string // --policy-bundle, a path or a URL
	PolicyMode   string // --policy-mode
	Server       string // --server, the name of the server; never empty
	Audit        string // --audit, the file of records
}

// watchTime is the time between two looks at a bundle on this machine, which somebody may be writing.
const watchTime = 2 * time.Second

// LoadWrap is Load for a gateway around one server: there are no listeners, and no callers to tell apart,
// so that the file has no keys for them. No file of records is chosen by default, and a bundle on this
// machine is looked at more often.
func LoadWrap(path string, env func(string) (string, bool), f WrapFlags) (*Config, error) {
	l := &loader{file: path, env: env, sources: map[string]string{}}
	l.references = l.resolve
	c := defaults()
	c.Audit.Path, c.Policy.Poll = "", -1
	if path != "" {
		root, err := readRoot(path)
		if err != nil {
			return nil, err
		}
		if root != nil {
			object(c.wrapKeys)(l, "", root)
		}
	}
	l.environment(c)
	l.flags(c, Flags{PolicyBundle: f.PolicyBundle, PolicyMode: f.PolicyMode})
	if l.override("--audit", f.Audit, outputPath(&c.Audit.Path)) {
		l.sources["audit.path"] = "--audit"
	}
	if _, err := serverName(f.Server); err != nil {
		l.problem("--server", "%q %v", f.Server, err)
	}
	if len(l.problems) == 0 {
		l.checkWrap(c)
	}
	if err := errors.Join(l.problems...); err != nil {
		return nil, err
	}
	c.Warnings = l.warnings
	return c, nil
}

func (c *Config) wrapKeys() []key {
	return []key{
		{name: "policy", into: object(c.Policy.keys)},
		{name: "deny", into: object(c.Deny.keys)},
		{name: "audit", into: object(c.Audit.keys)},
		{name: "limits", into: object(c.Limits.keys)},
	}
}

// checkWrap is checkAll without what there is not, and chooses how often to look at the bundle.
func (l *loader) checkWrap(c *Config) {
	switch {
	case c.Policy.Poll >= 0:
	case remote(c.Policy.Bundle):
		c.Policy.Poll = defaults().Policy.Poll
	default:
		c.Policy.Poll = watchTime
	}
	l.checkAudit(&c.Audit)
	l.checkBundle(&c.Policy)
	if c.Audit.Path == "-" {
		l.problem("audit.path", "%q is for the messages of the server alone (use a file)", c.Audit.Path)
	}
}
