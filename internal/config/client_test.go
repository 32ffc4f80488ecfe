package config_test

import (
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-mcp/gatehouse/internal/config"
)

// stdio is a server with a command.
func stdio(s config.Server) config.Server {
	s.Transport = config.TransportStdio
	return s
}

func at(text string) *url.URL {
	u, err := url.Parse(text)
	if err != nil {
		panic(err)
	}
	return u
}

type secrets = map[string]config.Secret

// Files as clients have them, by their names there. In the servers DIR is the directory with the file.
var clientFiles = []struct {
	client, name, file string
	want               map[string]config.Server
	warnings           []string
}{
	{
		"Claude Desktop", "claude_desktop_config.json", `{
  "globalShortcut": "",
  "mcpServers": {
    "filesystem": {
      "command": "npx",
      "args": ["-y", "@modelcontextprotocol/server-filesystem", "/Users/alice/Desktop"]
    },
    "Brave Search!": {
      "command": "npx",
      "args": ["-y", "@modelcontextprotocol/server-brave-search"],
      "env": {"BRAVE_API_KEY": "s3cr3t"}
    },
    "off": {"command": "npx", "args": ["${UNSET}"], "disabled": true}
  },
  "preferences": {"menuBarEnabled": false}
}
`,
		map[string]config.Server{
			"filesystem":   stdio(config.Server{Command: "npx", Args: []string{"-y", "@modelcontextprotocol/server-filesystem", "/Users/alice/Desktop"}}),
			"brave-search": stdio(config.Server{Command: "npx", Args: []string{"-y", "@modelcontextprotocol/server-brave-search"}, Env: secrets{"BRAVE_API_KEY": "s3cr3t"}}),
		},
		[]string{
			`claude_desktop_config.json:8: mcpServers."Brave Search!": is named "brave-search" here`,
			`claude_desktop_config.json: ignored: globalShortcut, preferences`,
		},
	},
	{
		"Claude Code", ".mcp.json", `{
  "mcpServers": {
    "api": {
      "type": "http",
      "url": "${API_BASE_URL:-https://api.example.com}/mcp",
      "headers": {"Authorization": "Bearer ${TOKEN}", "X-Env": "${STAGE:-}dev"},
      "headersHelper": "/opt/bin/headers.sh"
    },
    "events": {"type": "sse", "url": "${EVENTS:-https://wrong.example}/sse"},
    "local": {
      "type": "stdio",
      "command": "${CLAUDE_PROJECT_DIR:-.}/server",
      "args": ["--config", "$${literal}", "${TOKEN}"],
      "env": {},
      "timeout": 60000
    }
  }
}
`,
		map[string]config.Server{
			"api": {
				Transport: config.TransportHTTP, URL: at("https://api.example.com/mcp"),
				Headers: secrets{"Authorization": "Bearer s3cr3t", "X-Env": "dev"},
			},
			"events": {Transport: config.TransportSSE, URL: at("https://events.example/sse")},
			"local":  stdio(config.Server{Command: "./server", Args: []string{"--config", "${literal}", "s3cr3t"}, Env: secrets{}, Dir: "DIR"}),
		},
		[]string{
			`.mcp.json:3: mcpServers.api: ignored: headersHelper`,
			`.mcp.json:10: mcpServers.local: ignored: timeout`,
		},
	},
	{
		"Cursor", ".cursor/mcp.json", `{"mcpServers": {
  "a": {"command": "${userHome}/bin/a", "args": ["${workspaceFolder}${pathSeparator}x", "${workspaceFolderBasename}${/}y"], "envFile": ".env", "env": {"B": "2"}},
  "b": {"url": "https://b.example/mcp", "headers": {"Authorization": "Bearer ${env:TOKEN}"}, "auth": {"CLIENT_ID": "x"}}
}}`,
		map[string]config.Server{
			"a": stdio(config.Server{
				Command: "/home/alice/bin/a", Args: []string{"DIR/x", "BASE/y"},
				Env: secrets{"A": "of the file #1", "B": "2"}, Dir: "DIR",
			}),
			"b": {URL: at("https://b.example/mcp"), Headers: secrets{"Authorization": "Bearer s3cr3t"}},
		},
		[]string{".cursor/mcp.json:3: mcpServers.b: ignored: auth"},
	},
	{
		"VS Code", ".vscode/mcp.json", "\ufeff" + `{
	// The inputs are asked for.
	"inputs": [{"type": "promptString", "id": "key", "password": true}],
	"servers": {
		/* a server
		   of ours */
		"Ours_1": {
			"type": "stdio",
			"command": "node", // https://nodejs.org
			"args": ["server.js", 8080, "\ud83d\ude00"],
			"cwd": "tools",
			"env": {"PORT": 8080, "DEBUG": null, "HOME": "${userHome}"},
			"dev": {"watch": "src/**"},
			"sandboxEnabled": true,
		},
		"github": {"type": "http", "url": "https://api.githubcopilot.com/mcp/", "env": {}, "gallery": null},
	},
}
`,
		map[string]config.Server{
			"ours-1": stdio(config.Server{
				Command: "node", Args: []string{"server.js", "8080", "😀"}, Dir: "DIR/tools",
				Env: secrets{"PORT": "8080", "HOME": "/home/alice"},
			}),
			"github": {Transport: config.TransportHTTP, URL: at("https://api.githubcopilot.com/mcp/")},
		},
		[]string{
			".vscode/mcp.json:7: servers.Ours_1: ignored: dev, sandboxEnabled",
			`.vscode/mcp.json:7: servers.Ours_1: is named "ours-1" here`,
			".vscode/mcp.json:16: servers.github: ignored: env",
			".vscode/mcp.json: ignored: inputs",
		},
	},
	{
		"others", "settings.jsonc", `{"mcpServers": {
  "a": {"type": "streamableHttp", "serverUrl": "http://a", "command": null},
  "b": {"type": "Streamable-HTTP", "httpUrl": "http://b", "command": "", "requiredScopes": []},
  "c": {"command": "c", "url": "http://c", "type": "STDIO"},
  "d": {"command": "d", "headers": {}, "cwd": "x"},
  "e": {"url": "http://e", "headers": {}, "enabled": false},
  "E": {"command": "e"},
  "` + strings.Repeat("x", 62) + `--y": {"command": "f"}
}}`,
		map[string]config.Server{
			"a":                     {Transport: config.TransportHTTP, URL: at("http://a")},
			"b":                     {Transport: config.TransportHTTP, URL: at("http://b"), RequiredScopes: []string{}},
			"c":                     stdio(config.Server{Command: "c"}),
			"e":                     stdio(config.Server{Command: "e"}),
			"d":                     stdio(config.Server{Command: "d", Dir: "x"}),
			strings.Repeat("x", 62): stdio(config.Server{Command: "f"}),
		},
		[]string{
			"settings.jsonc:3: mcpServers.b: ignored: command",
			"settings.jsonc:4: mcpServers.c: ignored: url",
			"settings.jsonc:5: mcpServers.d: ignored: headers",
			`settings.jsonc:7: mcpServers.E: is named "e" here`,
			`settings.jsonc:8: mcpServers.` + strings.Repeat("x", 62) + `--y: is named "` + strings.Repeat("x", 62) + `" here`,
		},
	},
}

func TestClientFiles(t *testing.T) {
	env := vars{"TOKEN": "s3cr3t", "HOME": "/home/alice", "EVENTS": "https://events.example"}
	for _, tt := range clientFiles {
		t.Run(tt.client, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, tt.name)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			for path, text := range map[string]string{path: tt.file, filepath.Join(dir, ".env"): "# ours\nA=\"of the file #1\"\nexport B=1\n"} {
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			c, err := config.Load(path, env.lookup, config.Flags{})
			if err != nil {
				t.Fatal(err)
			}
			place := strings.NewReplacer("DIR", dir, "BASE", filepath.Base(dir))
			want := byDefault()
			for name, s := range tt.want {
				s.Dir = place.Replace(s.Dir)
				s.Args = slices.Clone(s.Args)
				for i, arg := range s.Args {
					s.Args[i] = place.Replace(arg)
				}
				want.Servers[name] = s
			}
			for _, w := range tt.warnings {
				want.Warnings = append(want.Warnings, filepath.Join(dir, w))
			}
			if d := diff(want, c); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// JSON with a key of the gateway's own is a file of its own: as strict, and as complete.
func TestOwnJSON(t *testing.T) {
	const file = `{
  // ours
  "policy": {"mode": "enforce", "pollSeconds": 7, "verify": {"key": "k", "algorithm": "ES256"}},
  "mcpServers": {"a": {"command": "npx", "env": {"A": "${A}"}}},
  "tls": {"certificate": "c", "key": "k", "minVersion": 1.3},
  "deny": {"showReason": false},
}`
	c, err := loadAs(t, "gatehouse.json", file, vars{"A": "a"}, config.Flags{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]config.Server{"a": stdio(config.Server{Command: "npx", Env: secrets{"A": "a"}})}
	if c.Policy.Mode != config.ModeEnforce || c.Policy.Poll.Seconds() != 7 || c.Deny.ShowReason || c.TLS == nil || c.Warnings != nil {
		t.Errorf("%+v", c)
	}
	if d := cmp.Diff(want, c.Servers); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
