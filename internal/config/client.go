package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// This file reads the files of MCP clients: Claude Desktop's claude_desktop_config.json, Claude Code's .mcp.json,
// Cursor's and VS Code's mcp.json, and others of their shape.

// isClients reports whether a file is a client's: it has servers, and no other key of the gateway's own. A key of
// another case counts as the gateway's, so that what was meant for it is not ignored.
func isClients(root *node, c *Config) bool {
	servers := false
	for i := 0; i+1 < len(root.Content); i += 2 {
		name := root.Content[i].Value
		if holdsServers(name) {
			servers = true
			continue
		}
		if slices.ContainsFunc(c.keys(), func(k key) bool { return strings.EqualFold(k.name, name) }) {
			return false
		}
	}
	return servers
}

// holdsServers reports whether a top-level key has the servers. VS Code's has a name of its own.
func holdsServers(name string) bool { return name == "mcpServers" || name == "servers" }

// readClients takes from a client's file what is about servers.
func (l *loader) readClients(root *node, c *Config) {
	l.references = l.resolveClients
	pairs, _ := l.pairs("", root, "a mapping")
	taken := map[string]string{}
	var ignored []string
	for _, p := range pairs {
		if holdsServers(p.name) {
			l.sources["mcpServers"] = l.sources[p.path]
			l.clientServers(p, c.Servers, taken)
			continue
		}
		ignored = append(ignored, p.path)
	}
	for name, path := range taken {
		l.moved(path, "mcpServers."+name)
	}
	l.ignore(l.file, ignored)
}

// clientServers takes the servers of one key. taken has the path of each server that was, by its name.
func (l *loader) clientServers(all pair, servers map[string]Server, taken map[string]string) {
	pairs, _ := l.pairs(all.path, all.value, "a mapping")
	for _, p := range pairs {
		e := l.entry(p)
		if e == nil {
			continue
		}
		name := fitting(p.name)
		switch first, ok := taken[name]; {
		case name == "":
			l.problem(p.path, "%q holds nothing that the name of a server may (a-z, 0-9 and -)", p.name)
			continue
		case ok:
			l.problem(p.path, "would be named %q, and so is %s (rename one of them)", name, first)
			continue
		case name != p.name:
			l.warn(l.sources[p.path], "is named %q here", name)
		}
		taken[name] = p.path
		servers[name] = l.clientServer(p, e)
	}
}

// moved makes the sources of all below a path those of another.
func (l *loader) moved(from, to string) {
	for path, source := range maps.Clone(l.sources) {
		if rest, ok := strings.CutPrefix(path, from); ok && (rest == "" || rest[0] == '.') {
			l.sources[to+rest] = source
		}
	}
}

var unfit = regexp.MustCompile(`[^a-z0-9-]+`)

// fitting makes a server's name of any. It is empty if nothing is left.
func fitting(name string) string {
	if serverNameText.MatchString(name) {
		return name
	}
	name = strings.Trim(unfit.ReplaceAllString(strings.ToLower(name), "-"), "-")
	return strings.TrimRight(name[:min(len(name), 63)], "-")
}

// otherNames are keys by which some clients know others.
var otherNames = map[string]string{"serverUrl": "url", "httpUrl": "url"}

// entry returns the keys of a server that are used, as a client that has them all would write them, or nil if there
// is no server. It warns of the rest.
func (l *loader) entry(server pair) *node {
	off, on := false, true
	var s Server
	known := append(names(s.keys()), "envFile")
	var kept []pair
	var ignored []string
	pairs, ok := l.pairs(server.path, server.value, "a mapping")
	for _, p := range pairs {
		if other := otherNames[p.name]; other != "" {
			p.name = other
		}
		switch {
		case p.value.Kind == yaml.ScalarNode && p.value.ShortTag() == nullType: // it says that there is none
			delete(l.sources, p.path)
		case p.name == "disabled":
			scalar(boolean(&off))(l, p.path, p.value)
		case p.name == "enabled":
			scalar(boolean(&on))(l, p.path, p.value)
		case slices.Contains(known, p.name):
			kept = append(kept, p)
		default:
			ignored = append(ignored, join("", p.name))
		}
	}
	if !ok || off || !on {
		for _, p := range pairs {
			delete(l.sources, p.path) // another may come by its name
		}
		return nil
	}
	unused := unusedKeys(kept)
	n := &node{Kind: yaml.MappingNode, Line: server.value.Line}
	for _, p := range kept {
		if slices.Contains(unused, p.name) {
			ignored = append(ignored, p.name)
			delete(l.sources, p.path)
			continue
		}
		k := &node{Kind: yaml.ScalarNode, Tag: strType, Value: p.name, Line: p.value.Line}
		n.Content = append(n.Content, k, plain(p.name, p.value))
	}
	l.ignore(l.sources[server.path], ignored)
	return n
}

func names(keys []key) (all []string) {
	for _, k := range keys {
		all = append(all, k.name)
	}
	return all
}

// unusedKeys are those of the kind of server that this one is not, as far as its keys tell.
func unusedKeys(pairs []pair) []string {
	var s Server
	given := map[string]*node{}
	for _, p := range pairs {
		given[p.name] = p.value
	}
	kind := given["type"]
	switch command, url := given["command"] != nil, given["url"] != nil; {
	case command && (!url || kind != nil && spelled(kind.Value) == TransportStdio):
		return names(s.urlKeys())
	case url && (!command || kind != nil):
		return append(names(s.commandKeys()), "envFile")
	}
	return nil
}

// spelled is a transport as the gateway writes it.
func spelled(kind string) Transport {
	kind = strings.ToLower(kind)
	if strings.NewReplacer("-", "", "_", "").Replace(kind) == "streamablehttp" {
		return TransportHTTP
	}
	return Transport(kind)
}

// plain is the value of a key without what only clients write: numbers for texts, variables without a value, and
// their spellings of a transport.
func plain(name string, value *node) *node {
	v := *value
	switch {
	case name == "type" && v.Kind == yaml.ScalarNode:
		v.Value = string(spelled(v.Value))
	case name == "env" && v.Kind == yaml.MappingNode, name == "headers" && v.Kind == yaml.MappingNode:
		v.Content = nil
		for i := 0; i+1 < len(value.Content); i += 2 {
			if k, each := value.Content[i], value.Content[i+1]; each.Kind != yaml.ScalarNode || each.ShortTag() != nullType {
				v.Content = append(v.Content, k, text(each))
			}
		}
	case name == "args" && v.Kind == yaml.SequenceNode:
		v.Content = nil
		for _, each := range value.Content {
			v.Content = append(v.Content, text(each))
		}
	}
	return &v
}

// text makes of a number or truth value the text that it is written as.
func text(value *node) *node {
	if value.Kind != yaml.ScalarNode || value.ShortTag() == nullType {
		return value
	}
	v := *value
	v.Tag = strType
	return &v
}

// ignore warns of keys.
func (l *loader) ignore(source string, keys []string) {
	if len(keys) > 0 {
		l.warn(source, "ignored: %s", strings.Join(keys, ", "))
	}
}

func (l *loader) warn(source, format string, args ...any) {
	l.warnings = append(l.warnings, source+": "+fmt.Sprintf(format, args...))
}
