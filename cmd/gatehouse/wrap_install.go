package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"
)

// install is what gatehouse wrap is to do to a client's configuration.
type install struct {
	install, uninstall string // a client
	file               string
	write              bool
}

func (in *install) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&in.install, "install", "", "show how to wrap all stdio servers of a `client`: "+clientNames)
	f.StringVar(&in.uninstall, "uninstall", "", "show how to unwrap all servers of a `client`")
	f.StringVar(&in.file, "file", "", "the client's configuration `file`, where it is not the user's own")
	f.BoolVar(&in.write, "write", false, "write it, and keep a copy of the file as it was")
	cmd.MarkFlagsMutuallyExclusive("install", "uninstall")
}

func (in *install) wanted() bool { return in.install != "" || in.uninstall != "" }

// clientNames are the names of clients, for help and errors.
const clientNames = "claude-desktop, vscode or cursor"

// A desktopClient is a client that starts servers by itself.
type desktopClient struct {
	member string   // that holds the servers
	path   []string // of the user's configuration, below a folder of that kind
	home   bool     // which is the user's home, not the one for configurations
}

var desktopClients = map[string]desktopClient{
	"claude-desktop": {member: "mcpServers", path: []string{"Claude", "claude_desktop_config.json"}},
	"vscode":         {member: "servers", path: []string{"Code", "User", "mcp.json"}},
	"cursor":         {member: "mcpServers", path: []string{".cursor", "mcp.json"}, home: true},
}

// file is where the client's configuration is: os.UserConfigDir is where all of
// them look for it on each system.
func (c desktopClient) file() (string, error) {
	dir, err := os.UserConfigDir()
	if c.home {
		dir, err = os.UserHomeDir()
	}
	return filepath.Join(append([]string{dir}, c.path...)...), err
}

func (in *install) run(cmd *cobra.Command, f *wrapFlags) error {
	name := in.install + in.uninstall
	client, ok := desktopClients[name]
	if !ok {
		return fmt.Errorf("%q is not a client (%s)", name, clientNames)
	}
	path := in.file
	if path == "" {
		var err error
		if path, err = client.file(); err != nil {
			return err
		}
	}
	old, err := os.ReadFile(filepath.Clean(path))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%s has no configuration at %s (name another with --file)", name, path)
	case err != nil:
		return err
	}
	change := unwrapEntry
	if in.install != "" {
		if change, err = f.wrapEntry(cmd.Flags().Changed("server")); err != nil {
			return err
		}
	}
	edited, err := editServers(old, client.member, change)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return in.finish(cmd, path, old, edited)
}

// finish shows the edit, and makes it if that is wanted.
func (in *install) finish(cmd *cobra.Command, path string, old, edited []byte) error {
	out := cmd.OutOrStdout()
	if bytes.Equal(old, edited) {
		fmt.Fprintf(out, "%s: nothing to change\n", path)
		return nil
	}
	_, _ = out.Write(diff.Diff(path, old, path, edited))
	if !in.write {
		fmt.Fprintln(out, "\nNothing is written yet: --write does.")
		return nil
	}
	kept, err := replaceConfig(path, old, edited)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nWritten. The file as it was is %s\nRestart the client for its servers to start anew.\n", kept)
	return nil
}

// replaceConfig writes a file in one step, and keeps what it was beside it.
func replaceConfig(path string, old, edited []byte) (kept string, err error) {
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	kept = path + "." + time.Now().UTC().Format("20060102T150405.000Z") + ".bak"
	if err := replaceFile(kept, old, info.Mode()); err != nil {
		return "", err
	}
	return kept, replaceFile(path, edited, info.Mode())
}

// words are the arguments of gatehouse that wrap a server of that name. Files are
// named in full: nobody knows where a client starts its servers.
func (f *wrapFlags) words(server string) ([]string, error) {
	words := []string{"wrap", "--server", server}
	for _, file := range []struct{ flag, path string }{
		{"--config", f.config}, {"--policy-bundle", f.PolicyBundle}, {"--audit", f.Audit}, {"--log", f.log},
	} {
		if file.path == "" {
			continue
		}
		path := file.path
		if !strings.Contains(path, "://") {
			var err error
			if path, err = filepath.Abs(path); err != nil {
				return nil, err
			}
		}
		words = append(words, file.flag, path)
	}
	if f.PolicyMode != "" {
		words = append(words, "--policy-mode", f.PolicyMode)
	}
	if f.user != "" {
		words = append(words, "--user", f.user)
	}
	for _, role := range f.roles {
		words = append(words, "--role", role)
	}
	return words, nil
}

// isGatehouse reports whether a command is this program.
func isGatehouse(command string) bool {
	self, err := os.Executable()
	return err == nil && command == self || filepath.Base(command) == "gatehouse"
}
