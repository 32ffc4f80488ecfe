package config

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"

	"github.com/hashicorp/go-envparse"
)

// clientServer takes one server of a client's file. Its paths are relative to the workspace, if there is one, and
// so it runs there.
func (l *loader) clientServer(p pair, entry *node) Server {
	var s Server
	var file string
	object(func() []key {
		return append(s.keys(), key{name: "envFile", into: scalar(filePath(&file))})
	})(l, p.path, entry)
	if s.Command == "" {
		return s
	}
	workspace := l.workspace()
	if workspace != "" && !filepath.IsAbs(s.Dir) {
		s.Dir = filepath.Join(workspace, s.Dir)
	}
	if file == "" {
		return s
	}
	if workspace != "" && !filepath.IsAbs(file) {
		file = filepath.Join(workspace, file)
	}
	vars, err := readVariables(file)
	if err != nil {
		l.problem(p.path+".envFile", "cannot be used: %v", err)
	}
	maps.Copy(vars, s.Env)
	s.Env = vars
	return s
}

// readVariables reads a file of lines of the form NAME=value. The error shows neither its path, which may hold the
// value of a variable, nor what it holds.
func readVariables(path string) (map[string]Secret, error) {
	all := map[string]Secret{}
	info, err := os.Stat(path)
	var file *os.PathError
	switch {
	case errors.As(err, &file):
		return all, file.Err
	case err != nil || !info.Mode().IsRegular():
		return all, errors.New("is not a file")
	}
	data, err := os.ReadFile(path)
	if errors.As(err, &file) {
		return all, file.Err
	}
	vars, err := envparse.Parse(strings.NewReader(string(data)))
	if err != nil {
		return all, errors.New("is not a file of lines of the form NAME=value")
	}
	for name, value := range vars {
		all[name] = Secret(value)
	}
	return all, nil
}

// workspace is the folder that a client's file belongs to: that of .mcp.json itself, or of the .vscode or .cursor
// that holds the file. It is empty if there is none.
func (l *loader) workspace() string {
	path, err := filepath.Abs(l.file)
	if err != nil {
		return ""
	}
	dir := filepath.Dir(path)
	switch in := filepath.Base(dir); {
	case filepath.Base(path) == ".mcp.json":
		return dir
	case in == ".vscode", in == ".cursor":
		return filepath.Dir(dir)
	}
	return ""
}

var (
	clientReference = regexp.MustCompile(`^\$\{(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?:(:-)([^}]*))?\}`)
	placeReference  = regexp.MustCompile(`^\$\{(userHome|workspaceFolder|workspaceFolderBasename|pathSeparator|/)\}`)

	errInput = errors.New("${input:…} asks a person, and here is none (set an environment variable, and write ${env:NAME})")
	errPlace = errors.New("${workspaceFolder} cannot be told: the file is not in .vscode or .cursor, nor named .mcp.json (write the path out)")
	errOther = errors.New("${ is not followed by NAME, NAME:-default, env:NAME, userHome, workspaceFolder, " +
		"workspaceFolderBasename or pathSeparator and } (write $${ for a literal ${)")
)

// resolveClients is the resolver of clients' files: what Claude Code, VS Code and Cursor expand.
func (l *loader) resolveClients(text string) (string, int, error) {
	if match := placeReference.FindStringSubmatch(text); match != nil {
		value, err := l.place(match[1])
		return value, len(match[0]), err
	}
	match := clientReference.FindStringSubmatch(text)
	switch {
	case match == nil && strings.HasPrefix(text, "${input:"):
		return "", 0, errInput
	case match == nil:
		return "", 0, errOther
	}
	if value, _ := l.env(match[1]); value == "" && match[2] != "" {
		return match[3], len(match[0]), nil
	}
	value, err := l.lookup(match[1])
	return value, len(match[0]), err
}

// place is what a variable stands for that says where something is.
func (l *loader) place(name string) (string, error) {
	switch name {
	case "userHome":
		if runtime.GOOS == "windows" {
			return l.lookup("USERPROFILE")
		}
		return l.lookup("HOME")
	case "workspaceFolder", "workspaceFolderBasename":
		workspace := l.workspace()
		if workspace == "" {
			return "", errPlace
		}
		if name == "workspaceFolderBasename" {
			return filepath.Base(workspace), nil
		}
		return workspace, nil
	}
	return string(filepath.Separator), nil
}
