package main

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tailscale/hujson"
)

// The configurations are as people and clients write them. SELF is this program.
var configurations = []struct{ name, member, before, after string }{
	{
		"as Claude Desktop writes it", "mcpServers", `{
  "mcpServers": {
    "filesystem": {
      "command": "npx",
      "args": [
        "-y",
        "@modelcontextprotocol/server-filesystem",
        "/Users/me/Desktop"
      ]
    },
    "My Notes!": {
      "command": "/opt/notes/bin/notes-mcp"
    }
  },
  "globalShortcut": ""
}`, `{
  "mcpServers": {
    "filesystem": {
      "command": "SELF",
      "args": [
        "wrap", "--server", "filesystem", "--", "npx", "-y",
        "@modelcontextprotocol/server-filesystem",
        "/Users/me/Desktop"
      ]
    },
    "My Notes!": {
      "command": "SELF",
      "args": ["wrap", "--server", "my-notes", "/opt/notes/bin/notes-mcp"]
    }
  },
  "globalShortcut": ""
}`,
	},
	{
		"VS Code, with comments, trailing commas and inputs", "servers", `// my servers
{
	"inputs": [{"type": "promptString", "id": "key", "password": true}],
	"servers": {
		// local
		"memory": {
			"type": "stdio", /* always */
			"args": [ // of npx
				"-y", // do not ask
				"@modelcontextprotocol/server-memory",
			],
			"command": "npx", // last, for once
			"env": {"KEY": "${input:key}"},
		},
		"github": {"type": "http", "url": "https://api.githubcopilot.com/mcp/"},
		"quick": {"command": "uvx", "args": [],},
	},
}
`, `// my servers
{
	"inputs": [{"type": "promptString", "id": "key", "password": true}],
	"servers": {
		// local
		"memory": {
			"type": "stdio", /* always */
			"args": [ // of npx
				"wrap", "--server", "memory", "--", "npx", "-y", // do not ask
				"@modelcontextprotocol/server-memory",
			],
			"command": "SELF", // last, for once
			"env": {"KEY": "${input:key}"},
		},
		"github": {"type": "http", "url": "https://api.githubcopilot.com/mcp/"},
		"quick": {"command": "SELF", "args": ["wrap", "--server", "quick", "--", "uvx"],},
	},
}
`,
	},
	{
		"Cursor, on one line, with escapes", "mcpServers",
		`{"mcpServers":{"a":{"command":"\u006epx","args":["\/x","--","--role","q"]},"b":{"url":"http://127.0.0.1:1/mcp"},"c":{"args":[ ],"command":"c"}}}` + "\r\n",
		`{"mcpServers":{"a":{"command":"SELF","args":["wrap", "--server", "a", "--", "\u006epx", "\/x","--","--role","q"]},"b":{"url":"http://127.0.0.1:1/mcp"},` +
			`"c":{"args":["wrap", "--server", "c", "--", "c" ],"command":"SELF"}}}` + "\r\n",
	},
	{
		"nothing of stdio", "mcpServers",
		`{"mcpServers":{"b":{"url":"http://127.0.0.1:1/mcp"},"c":{"type":"sse","command":"x"},"d":{"command":"--odd"},"e":{"disabled":true}},"servers":{"f":{"command":"x"}}}`,
		`{"mcpServers":{"b":{"url":"http://127.0.0.1:1/mcp"},"c":{"type":"sse","command":"x"},"d":{"command":"--odd"},"e":{"disabled":true}},"servers":{"f":{"command":"x"}}}`,
	},
	{"no servers", "mcpServers", `{"theme":"dark"}`, `{"theme":"dark"}`},
}

// edit edits a configuration, in which SELF stands for this program.
func edit(t *testing.T, text, member string, change func(*entry) ([]splice, error)) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	edited, err := editServers([]byte(strings.ReplaceAll(text, "SELF", self)), member, change)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(edited), self, "SELF")
}

func wrapping(t *testing.T, f *wrapFlags, named bool) func(*entry) ([]splice, error) {
	t.Helper()
	change, err := f.wrapEntry(named)
	if err != nil {
		t.Fatal(err)
	}
	return change
}

func TestWrapEntries(t *testing.T) {
	for _, c := range configurations {
		t.Run(c.name, func(t *testing.T) {
			wrap := wrapping(t, &wrapFlags{}, false)
			wrapped := edit(t, c.before, c.member, wrap)
			if wrapped != c.after {
				t.Errorf("wrapped:\n%s\nwant:\n%s", wrapped, c.after)
			}
			if again := edit(t, wrapped, c.member, wrap); again != wrapped {
				t.Errorf("wrapped twice:\n%s", again)
			}
			if back := edit(t, wrapped, c.member, unwrapEntry); back != c.before {
				t.Errorf("unwrapped:\n%s\nwant:\n%s", back, c.before)
			}
			if alone := edit(t, c.before, c.member, unwrapEntry); alone != c.before {
				t.Errorf("unwrapped without being wrapped:\n%s", alone)
			}
		})
	}
}

// TestUnwrapRewritten unwraps what a client has written anew in its own way, with
// all flags: the values are what they were.
func TestUnwrapRewritten(t *testing.T) {
	f := &wrapFlags{config: "c.yaml", user: "alice@org", roles: []string{"dev", "--"}, log: "/var/log/w"}
	f.Server, f.PolicyBundle, f.PolicyMode, f.Audit = "files", "https://bundles.example/b.tar.gz", "enforce", "/var/audit.jsonl"
	for _, c := range configurations {
		wrapped := edit(t, c.before, c.member, wrapping(t, f, true))
		back := edit(t, rewritten(t, wrapped), c.member, unwrapEntry)
		if got, want := rewritten(t, back), rewritten(t, c.before); got != want {
			t.Errorf("%s: unwrapped:\n%s\nwant:\n%s", c.name, got, want)
		}
	}
}

// rewritten is a configuration as a client writes it that keeps nothing but values.
func rewritten(t *testing.T, text string) string {
	t.Helper()
	plain, err := hujson.Standardize([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(plain, &v); err != nil {
		t.Fatal(err)
	}
	out, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestEntriesThatCannotBeTold(t *testing.T) {
	for _, text := range []string{
		`{`, `[]`, `{"mcpServers":[]}`, `{"mcpServers":{},"mcpServers":{}}`, `{"mcpServers":{"a":1}}`,
		`{"mcpServers":{"a":{"command":"x","command":"y"}}}`, `{"mcpServers":{"a":{"command":"x","args":"y"}}}`,
		`{"mcpServers":{"a":{"command":"x","args":[1]}}}`, `{"mcpServers":{"a":{"command":"x","args":[],"args":[]}}}`,
	} {
		if out, err := editServers([]byte(text), "mcpServers", wrapping(t, &wrapFlags{}, false)); err == nil {
			t.Errorf("%s became %s", text, out)
		}
	}
}

func TestWrapWords(t *testing.T) {
	t.Chdir("/")
	f := &wrapFlags{config: "c.yaml", user: "alice@org", roles: []string{"dev", "ops"}, log: "w.log"}
	f.PolicyBundle, f.PolicyMode, f.Audit = "oci://r.example/p:1", "enforce", "a.jsonl"
	got, err := f.words("files")
	want := []string{
		"wrap", "--server", "files", "--config", "/c.yaml", "--policy-bundle", "oci://r.example/p:1", "--audit", "/a.jsonl",
		"--log", "/w.log", "--policy-mode", "enforce", "--user", "alice@org", "--role", "dev", "--role", "ops",
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}

func TestServerOf(t *testing.T) {
	for name, want := range map[string]string{
		"filesystem": "filesystem", "My Notes!": "my-notes", "a/b.c": "a-b-c", "日本": "default", "": "default",
		strings.Repeat("x", 80): strings.Repeat("x", 63), strings.Repeat("x", 62) + " y": strings.Repeat("x", 62),
	} {
		if got := serverOf(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
