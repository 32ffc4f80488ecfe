package config

import (
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// Transport is how a server is reached.
type Transport string

// The transports.
const (
	TransportUnknown Transport = ""      // one of the next two: the server's first answer tells which
	TransportHTTP    Transport = "http"  // Streamable HTTP
	TransportSSE     Transport = "sse"   // HTTP+SSE, of revision 2024-11-05
	TransportStdio   Transport = "stdio" // a process
)

// Processes bound the processes of servers with a command.
type Processes struct {
	Max             int           // in all; 1 or more
	MaxPerPrincipal int           // for one caller at one server; 1 or more
	Idle            time.Duration // without a message, then a process ends; never zero
	Lifetime        time.Duration // of a process; zero: no bound
	MaxMemory       int64         // bytes that a process has with its children; zero: no bound
}

func (p *Processes) keys() []key {
	const many = "a whole number (1 to 1000000)"
	return []key{
		{name: "max", into: scalar(whole(&p.Max, many, 1, 1e6, 1))},
		{name: "maxPerPrincipal", into: scalar(whole(&p.MaxPerPrincipal, many, 1, 1e6, 1))},
		{name: "idleSeconds", into: scalar(whole(&p.Idle, "a whole number of seconds (1 or more)", 1, math.MaxInt64/int64(time.Second), time.Second))},
		{name: "lifetimeSeconds", into: scalar(seconds(&p.Lifetime))},
		{name: "maxMemoryMiB", into: scalar(whole(&p.MaxMemory, "a whole number of MiB (0 to 1048576)", 0, 1<<20, 1<<20))},
	}
}

func (s *Server) keys() []key {
	return slices.Concat(s.commandKeys(), s.urlKeys(), []key{
		{name: "type", into: scalar(transport(&s.Transport))},
		{name: "requiredScopes", into: list(&s.RequiredScopes, scope)},
	})
}

// commandKeys are those of a server with a command alone.
func (s *Server) commandKeys() []key {
	return []key{
		{name: "command", into: scalar(command(&s.Command))},
		{name: "args", into: list(&s.Args, argument)},
		{name: "env", into: scalars(&s.Env, variableName, variableValue)},
		{name: "cwd", into: scalar(filePath(&s.Dir))},
	}
}

// urlKeys are those of a server with a URL alone.
func (s *Server) urlKeys() []key {
	return []key{
		{name: "url", into: scalar(serverURL(&s.URL))},
		{name: "headers", into: scalars(&s.Headers, headerName, headerValue)},
		{name: "headerFiles", into: scalars(&s.HeaderFiles, headerName, filePath)},
		{name: "oauth2", into: pointer(&s.OAuth2, (*TokenClient).keys)},
		{name: "tokenExchange", into: pointer(&s.TokenExchange, (*TokenClient).keys)},
		{name: "tls", into: object(s.TLS.keys)},
	}
}

func transport(dst *Transport) leaf {
	const streamable = "streamable-http" // the specification's own name for it
	var written Transport
	v := oneOf(&written, TransportHTTP, streamable, TransportSSE, TransportStdio)
	take := v.set
	v.set = func(text string) error {
		err := take(text)
		if *dst = written; written == streamable {
			*dst = TransportHTTP
		}
		return err
	}
	return v
}

func command(dst *string) leaf {
	return parsed(dst, "a program (not empty, no control characters)", func(text string) (string, bool) {
		return text, text != "" && printable(text)
	})
}

// argument is a leaf for an argument of a command, which may hold a secret.
func argument(dst *string) leaf {
	v := parsed(dst, "a text without NUL", func(text string) (string, bool) {
		return text, !strings.Contains(text, "\x00")
	})
	v.secret = true
	return v
}

func variableName(name string) (string, error) {
	if name == "" || strings.Contains(name, "=") || !printable(name) {
		return "", errors.New("is not the name of a variable (not empty, no =, no control characters)")
	}
	return name, nil
}

// variableValue is a leaf for the value of a variable, which is never shown.
func variableValue(dst *Secret) leaf {
	v := parsed(dst, "a text without NUL", func(text string) (Secret, bool) {
		return Secret(text), !strings.Contains(text, "\x00")
	})
	v.secret = true
	return v
}

// checkServers checks each server, and says of one with a command how it is reached.
func (l *loader) checkServers(servers map[string]Server) {
	for _, name := range slices.Sorted(maps.Keys(servers)) {
		s, at := servers[name], "mcpServers."+name
		switch {
		case s.Command == "" && s.URL == nil:
			l.problem(at, "has neither url nor command (give one of them)")
		case s.Command != "" && s.URL != nil:
			l.problem(at, "has url and command (use one of them)")
		case s.Command != "":
			l.checkKind(at, "command", s.commandKeys(), s.urlKeys())
			if s.Transport != TransportUnknown && s.Transport != TransportStdio {
				l.problem(at+".type", "%q does not fit (a server with command is stdio)", s.Transport)
			}
			s.Transport = TransportStdio
			servers[name] = s
		default:
			l.checkKind(at, "url", s.urlKeys(), s.commandKeys())
			if s.Transport == TransportStdio {
				l.problem(at+".type", "%q does not fit (a server with url is http, streamable-http or sse)", s.Transport)
			}
			l.checkURLServer(at, &s)
		}
	}
}

// checkKind makes sure that a server has no keys of the other kind.
func (l *loader) checkKind(at, kind string, own, other []key) {
	for _, k := range other {
		if _, given := l.sources[at+"."+k.name]; given {
			l.problem(at+"."+k.name, "is not for a server with %s (allowed: %s, type, requiredScopes)", kind, strings.Join(names(own), ", "))
		}
	}
}

// checkURLServer makes sure that a server gets one value of a header, and what belongs together.
func (l *loader) checkURLServer(at string, s *Server) {
	for header := range s.HeaderFiles {
		if _, ok := s.Headers[header]; ok {
			l.problem(at+".headerFiles", "%s is in headers too (use one of them)", header)
		}
	}
	for key, client := range map[string]*TokenClient{".oauth2": s.OAuth2, ".tokenExchange": s.TokenExchange} {
		if client != nil && inClear(client.TokenURL.String()) {
			l.problem(at+key+".tokenUrl", "would take the secret across the network in clear (use an https URL)")
		}
	}
	tokens := s.OAuth2 != nil || s.TokenExchange != nil
	_, header := s.Headers["Authorization"]
	_, file := s.HeaderFiles["Authorization"]
	t := s.TLS
	switch {
	case s.OAuth2 != nil && s.TokenExchange != nil:
		l.problem(at+".oauth2", "cannot be given together with tokenExchange (use one of them)")
	case tokens && (header || file):
		l.problem(at, "Authorization is set twice: by oauth2 or tokenExchange, and by a header of that name")
	case (t.Certificate == "") != (t.Key == ""):
		l.problem(at+".tls", "has certificate or key alone (give both or none)")
	case t != ServerTLS{} && s.URL.Scheme != "https":
		l.problem(at+".tls", "has no use with an http URL (use https)")
	}
}
